"""Finished pictures: how far they got, and how they are shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps._progress import watched
from vggapps.figures._sheet import contact_sheet, manifest
from vggapps.image import Picture, resize, square
from vggapps.image._identity import Identity
from vggapps.image._recipe import identify_files, recipe
from vggapps.objectives._networks import Networks, networks_of, see
from vggapps.objectives._objective import Objective, Seen, each
from vggapps.objectives._text import expand, parse
from vggapps.optimize._step import last
from vggapps.vgg._any import as_network
from vggapps.visualization._natural import natural_maximum
from vggapps.visualization._render import parameterization_of, visualize_steps
from vggapps.visualization._settings import VisualizeSettings

STAMP = 128  # pixels: smaller pictures are enlarged on a sheet, by a whole factor
_TOGETHER = 64  # pictures that are looked at together


@dataclass(frozen=True, eq=False)
class Visualized:
    """Pictures made for objectives.

    Attributes:
        pictures: in [0, 1].
        objectives: of each.
        scores: what the finished pictures reach, standing still.
        natural: their activations over the largest of 1,000 photographs; None where that is not known, see
            :func:`vggapps.visualization._natural.natural_maximum`.
        network: which one saw them.
    """

    pictures: Float[Tensor, "n 3 h w"]
    objectives: tuple[Objective, ...]
    scores: tuple[float, ...]
    natural: tuple[float | None, ...]
    network: str

    def picture(self) -> Picture:
        """The picture, or a sheet of all of them, labelled."""
        if len(self.pictures) == 1:
            return Picture(self.pictures, name=self.objectives[0].text)
        return contact_sheet(self._tiles(), self._labels(), title=self._title())

    def facts(self) -> list[dict[str, Any]]:
        """Objective, score and, where it is known, the activation relative to photographs, of each picture."""
        return [
            {"objective": text, "score": score, "relative_to_photographs": far}
            for text, score, far in zip(self._texts(), self.scores, self.natural, strict=True)
        ]

    def recipe(
        self,
        settings: VisualizeSettings,
        inputs: Mapping[str, Sequence[Identity]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What is written into the picture; of each picture also the parameterization that ``auto`` meant.

        Args:
            settings: with which they were made.
            inputs: what :func:`vggapps.image._recipe.identify_files` told of the settings' files.
            arguments: how the objectives were given; by default a list of them.
        """
        kinds = [parameterization_of(settings, objective) for objective in self.objectives]
        pictures = [fact | {"parameterization": kind} for fact, kind in zip(self.facts(), kinds, strict=True)]
        given = arguments or {"objectives": list(dict.fromkeys(self._texts())), "grid": False}
        return recipe("visualize", settings, inputs or {}, given, pictures=pictures)

    def manifest(self) -> dict[str, Any]:
        """What lies where on the sheet."""
        return manifest(self._tiles(), self._labels(), self.facts(), title=self._title())

    def unfinished(self) -> int:
        """How many pictures excite the network less than the best of the photographs."""
        return sum(map(_is_unfinished, self.natural))

    def _tiles(self) -> list[Float[Tensor, "1 3 h w"]]:
        """As they are put on a sheet: small ones enlarged, which people would else have to do."""
        factor = math.ceil(STAMP / max(self.pictures.shape[2:]))
        size = (factor * self.pictures.shape[2], factor * self.pictures.shape[3])
        return list(torch.split(resize(self.pictures, size), 1))

    def _labels(self) -> list[str]:
        common, texts = self._common(), self._texts()
        names = [text.removeprefix(common) for text in texts]
        if len(set(texts)) == 1:
            names = [str(number) for number in range(1, len(names) + 1)]
        return [name + _how_far(far) for name, far in zip(names, self.natural, strict=True)]

    def _title(self) -> str:
        texts = self._texts()
        return f"{self.network} {texts[0] if len(set(texts)) == 1 else self._common().rstrip(':')}".strip()

    def _common(self) -> str:
        """The layer, where all are channels of one."""
        texts = self._texts()
        layers = {text.partition(":")[0] for text in texts}
        return layers.pop() + ":" if len(layers) == 1 and all(":" in text for text in texts) else ""

    def _texts(self) -> list[str]:
        return [objective.text for objective in self.objectives]


def score_pictures(
    pictures: Float[Tensor, "n 3 h w"], objectives: Sequence[Objective], networks: Networks
) -> Visualized:
    """How far pictures got.

    Args:
        pictures: finished ones, standing still.
        objectives: one for each picture, or a single one for all.
        networks: that see them, as :func:`vggapps.objectives.load_networks` gives them.
    """
    network = networks[""]
    device = as_network(network).device
    own = list(objectives) * (len(pictures) if len(objectives) == 1 else 1)
    yards = [natural_maximum(one.text, network) for one in own]
    scores: list[float] = []
    reached: list[float] = []
    with torch.no_grad():
        for start in range(0, len(own), _TOGETHER):
            chosen = slice(start, start + _TOGETHER)
            whole = objectives[0] if len(objectives) == 1 else each(own[chosen])
            measured = each([yard[0] if yard else one for yard, one in zip(yards[chosen], own[chosen], strict=True)])
            seen = _seen(pictures[chosen].to(device), whole, measured, networks)
            scores += whole.score(seen).tolist()
            reached += measured.score(seen).tolist()
    natural = [yard and round(far / yard[1], 4) for yard, far in zip(yards, reached, strict=True)]
    name = as_network(network).weights_name or as_network(network).name
    return Visualized(pictures, tuple(own), tuple(scores), tuple(natural), name)


def visualize(
    objective: str | Objective | Sequence[str | Objective],
    settings: VisualizeSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    progress: bool = False,
    **overrides: Any,
) -> Picture:
    """Show what a layer, a channel or a class looks for, as ``vggapps visualize`` does.

    >>> vggapps.visualize("conv4_2:29").save("fur.png")                                 # doctest: +SKIP

    Args:
        objective: in text form, ``conv4_3:12``, ``conv4_3:0-63``, ``class:tabby``, or as an object of
            :mod:`vggapps.objectives`; several make a labelled sheet.
        settings: see :class:`VisualizeSettings`; ``overrides`` change single ones by name.
        network: what is looked at: ours, any module in inference mode that takes pictures in [0, 1], or several by
            name; loaded when it is not given.
        progress: show a progress bar on stderr.

    Returns:
        The picture, or a sheet of several. Its ``settings`` say how it was made, and for each picture the score and,
        where it is known, the activation relative to the largest of 1,000 photographs.

    Raises:
        VggappsError: anything wrong with the arguments, before the first step is taken.
    """
    settings = replace(settings or VisualizeSettings(), **overrides)
    wanted = [objective] if isinstance(objective, str | Objective) else list(objective)
    networks = networks_of(network, wanted, settings)
    used = identify_files(settings)
    objectives = [
        parse(text, networks) if isinstance(text, str) else text
        for one in wanted
        for text in (expand(one, networks, False) if isinstance(one, str) else [one])
    ]
    steps = visualize_steps(objectives, settings, network=networks)
    title = objectives[0].text if len(objectives) == 1 else f"{len(objectives)} pictures"
    made = score_pictures(last(watched(steps, title, quiet=not progress)).image(), objectives, networks)
    texts = [one if isinstance(one, str) else one.text for one in wanted]
    return replace(made.picture(), settings=made.recipe(settings, used, {"objectives": texts, "grid": False}))


def _is_unfinished(far: float | None) -> bool:
    return far is not None and far < 1


def _how_far(far: float | None) -> str:
    if far is None:
        return ""
    return f"\nx{far:.2g}, unfinished" if _is_unfinished(far) else f"\nx{far:.1f}"  # the font has no ×


def _seen(pictures: Tensor, whole: Objective, measured: Objective, networks: Networks) -> Seen:
    compared = [square(image.to(pictures), pictures.shape[2]) for image in whole.references.values()]
    layers = whole.layers | measured.layers
    return see(networks, torch.cat([pictures, *compared]), layers, list(whole.references))
