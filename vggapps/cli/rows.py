"""Measuring pairs of pictures. An error in one metric or in the map does not lose the other values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vggapps.cli.outcome import expected
from vggapps.cli.pairs import Pair, open_for_comparison
from vggapps.cli.saving import Target, deliver_picture
from vggapps.errors import VggappsError

if TYPE_CHECKING:
    import torch

    from vggapps.losses._comparison import Loss, Metric
    from vggapps.losses._settings import CompareSettings

Values = Mapping[str, float | None]  # by metric; None if it was not measured


@dataclass(frozen=True)
class Row:
    """The result of a pair.

    Attributes:
        pair: its files.
        values: by metric.
        size: (width, height) as compared; None if the pictures could not be opened.
        scaled_from: B's size before it was scaled to A's.
        map: the file of the heat map.
        errors: of this pair.
    """

    pair: Pair
    values: Values
    size: tuple[int, int] | None = None
    scaled_from: tuple[int, int] | None = None
    map: str | None = None
    errors: tuple[VggappsError, ...] = ()

    @property
    def is_measured(self) -> bool:
        """Whether any metric was measured."""
        return any(value is not None for value in self.values.values())

    @property
    def error(self) -> str | None:
        """The errors in one line."""
        return "; ".join(error.message for error in self.errors) or None


@dataclass(frozen=True)
class Comparer:
    """Compares pairs.

    Attributes:
        losses: the metrics to measure.
        needed: names of metrics that must not be skipped without an error.
        drawn: the metric of the heat map.
        where: the device.
        settings: of the comparison.
        note: prints a message.
    """

    losses: Mapping[Metric, Loss]
    needed: Collection[str]
    drawn: Metric | None
    where: torch.device
    settings: CompareSettings
    note: Callable[[str], None]

    def row(self, pair: Pair, target: Target | None) -> Row:
        """Compare a pair, and write its heat map to the target.

        Raises:
            Exception: a bug.
        """
        from vggapps.losses._comparison import measure

        facts: dict[str, Any] = {"values": {metric.name: None for metric in self.losses}}
        errors: list[Exception] = []
        try:
            opened = open_for_comparison(pair, self.settings.size, self.note, scale_to_a=self.settings.scale_to_a)
            x, y = opened.x.to(self.where), opened.y.to(self.where)
            facts |= {"size": (x.shape[3], x.shape[2]), "scaled_from": opened.scaled_from}
            found = measure(self.losses, x, y, needed=self.needed)
            facts["values"] = found.values
            errors += found.errors.values()
            if target and self.drawn and found.values[self.drawn.name] is not None:
                facts["map"] = self._map(self.drawn, x, y, pair, target)
        except Exception as error:
            errors.append(error)
        return Row(pair, **facts, errors=tuple(expected(error, "") for error in errors))

    def _map(self, drawn: Metric, x: torch.Tensor, y: torch.Tensor, pair: Pair, target: Target) -> str:
        from vggapps.figures._overlay import difference_map
        from vggapps.image._identity import identify
        from vggapps.image._recipe import recipe

        picture, peak = difference_map(x, self.losses[drawn](x, y, map=True))
        inputs = {"a": [identify(pair.a)], "b": [identify(pair.b)]}
        place = deliver_picture(target, picture, recipe("compare", self.settings, inputs, drawn=drawn.name, peak=peak))
        self.note(f"{place}: yellow is the maximum, {peak:.3g} by {drawn.title}")
        return place
