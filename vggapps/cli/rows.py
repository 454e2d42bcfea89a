"""One pair of pictures on its way to a row of numbers: what goes wrong with a part costs that part only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vggapps.cli.outcome import failure
from vggapps.cli.pairs import Pair, opened
from vggapps.cli.saving import Target, deliver_picture
from vggapps.errors import VggappsError

if TYPE_CHECKING:
    import torch

    from vggapps.losses._comparison import Loss, Metric
    from vggapps.losses._settings import CompareSettings

Values = Mapping[str, float | None]  # by metric; None where there is no number


@dataclass(frozen=True)
class Row:
    """What is known of a pair.

    Attributes:
        pair: its files.
        values: its numbers.
        size: (width, height) that were compared; None if the pictures could not be.
        scaled_from: B's, before it was scaled to A's.
        map: the file of the map.
        errors: what went wrong.
    """

    pair: Pair
    values: Values
    size: tuple[int, int] | None = None
    scaled_from: tuple[int, int] | None = None
    map: str | None = None
    errors: tuple[VggappsError, ...] = ()

    @property
    def is_measured(self) -> bool:
        """Whether there is any number."""
        return any(value is not None for value in self.values.values())

    @property
    def error(self) -> str | None:
        """What went wrong, in a line, for tables."""
        return "; ".join(error.message for error in self.errors) or None


@dataclass(frozen=True)
class Comparer:
    """How pairs are compared.

    Attributes:
        losses: what is measured.
        needed: names of metrics without which a row is not complete.
        drawn: the metric that is mapped.
        where: the device.
        settings: sizes and what else they are compared by.
        note: takes what a user should know.
    """

    losses: Mapping[Metric, Loss]
    needed: Collection[str]
    drawn: Metric | None
    where: torch.device
    settings: CompareSettings
    note: Callable[[str], None]

    def row(self, pair: Pair, target: Target | None) -> Row:
        """Compare a pair, and write its map to the target.

        Raises:
            Exception: a defect.
        """
        from vggapps.losses._comparison import measure

        facts: dict[str, Any] = {"values": {metric.name: None for metric in self.losses}}
        errors: list[Exception] = []
        try:
            seen = opened(pair, self.settings.size, self.note, scale_to_a=self.settings.scale_to_a)
            x, y = seen.x.to(self.where), seen.y.to(self.where)
            facts |= {"size": (x.shape[3], x.shape[2]), "scaled_from": seen.scaled_from}
            found = measure(self.losses, x, y, needed=self.needed)
            facts["values"] = found.values
            errors += found.errors.values()
            if target and self.drawn and found.values[self.drawn.name] is not None:
                facts["map"] = self._map(self.drawn, x, y, pair, target)
        except Exception as error:
            errors.append(error)
        return Row(pair, **facts, errors=tuple(failure(error, "") for error in errors))

    def _map(self, drawn: Metric, x: torch.Tensor, y: torch.Tensor, pair: Pair, target: Target) -> str:
        from vggapps.figures._overlay import difference_map
        from vggapps.image._identity import identify
        from vggapps.image._recipe import recipe

        picture, peak = difference_map(x, self.losses[drawn](x, y, map=True))
        inputs = {"a": [identify(pair.a)], "b": [identify(pair.b)]}
        place = deliver_picture(target, picture, recipe("compare", self.settings, inputs, drawn=drawn.name, peak=peak))
        self.note(f"{place}: yellow is the most, {peak:.3g} by {drawn.title}")
        return place
