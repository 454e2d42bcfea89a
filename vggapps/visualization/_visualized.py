"""Finished visualizations: their scores, sheets and recipes."""

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
from vggapps.objectives._networks import Networks, compute_activations, networks_of
from vggapps.objectives._objective import Objective, each
from vggapps.objectives._text import expand, parse
from vggapps.optimize._step import last
from vggapps.vgg._wrapped import as_network
from vggapps.visualization._natural import natural_maximum
from vggapps.visualization._render import parameterization_of, visualize_steps
from vggapps.visualization._settings import VisualizeSettings

STAMP = 128  # pixels; smaller pictures are enlarged on a sheet, by a whole factor
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Visualized:
    """Finished pictures with their objectives and scores.

    Attributes:
        pictures: in [0, 1].
        objectives: one for each picture.
        scores: of the finished pictures, without random transforms.
        natural: activations relative to the maximum over 1,000 photographs; None if it is not known, see
            :func:`~vggapps.visualization.natural_maximum`.
        network: name of the weights or the network.
    """

    pictures: Float[Tensor, "n 3 h w"]
    objectives: tuple[Objective, ...]
    scores: tuple[float, ...]
    natural: tuple[float | None, ...]
    network: str

    def picture(self) -> Picture:
        """The picture; several as a labelled sheet."""
        if len(self.pictures) == 1:
            return Picture(self.pictures, name=self.objectives[0].text)
        return contact_sheet(self._tiles(), self._labels(), title=self._title())

    def facts(self) -> list[dict[str, Any]]:
        """For each picture its objective, its score and, if known, its activation relative to photographs."""
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
        """The recipe stored in the picture; ``inputs`` identify the settings' files.

        ``arguments`` say how the objectives were given; by default as a list.
        """
        kinds = [parameterization_of(settings, objective) for objective in self.objectives]
        pictures = [fact | {"parameterization": kind} for fact, kind in zip(self.facts(), kinds, strict=True)]
        given = arguments or {"objectives": list(dict.fromkeys(self._texts())), "grid": False}
        return recipe("visualize", settings, inputs or {}, given, pictures=pictures)

    def manifest(self) -> dict[str, Any]:
        """The layout of the sheet, as JSON."""
        return manifest(self._tiles(), self._labels(), self.facts(), title=self._title())

    def unfinished(self) -> int:
        """The number of pictures with a lower activation than the best photograph."""
        return sum(far is not None and far < 1 for far in self.natural)

    def _tiles(self) -> list[Float[Tensor, "1 3 h w"]]:
        """The pictures on a sheet; small ones are enlarged."""
        factor = math.ceil(STAMP / max(self.pictures.shape[2:]))
        size = (factor * self.pictures.shape[2], factor * self.pictures.shape[3])
        return list(torch.split(resize(self.pictures, size), 1))

    def _labels(self) -> list[str]:
        common, texts = self._common(), self._texts()
        names = [text.removeprefix(common) for text in texts]
        if len(set(texts)) == 1:
            names = [str(number) for number in range(1, len(names) + 1)]
        return [name + _relative_label(far) for name, far in zip(names, self.natural, strict=True)]

    def _title(self) -> str:
        texts = self._texts()
        return f"{self.network} {texts[0] if len(set(texts)) == 1 else self._common().rstrip(':')}".strip()

    def _common(self) -> str:
        """The layer with a colon, if all objectives are channels of one layer."""
        texts = self._texts()
        layers = {text.partition(":")[0] for text in texts}
        return layers.pop() + ":" if len(layers) == 1 and all(":" in text for text in texts) else ""

    def _texts(self) -> list[str]:
        return [objective.text for objective in self.objectives]


def score_pictures(
    pictures: Float[Tensor, "n 3 h w"], objectives: Sequence[Objective], networks: Networks
) -> Visualized:
    """Score finished pictures, without random transforms.

    Args:
        pictures: in [0, 1].
        objectives: one for each picture, or a single one for all.
        networks: from :func:`vggapps.objectives.load_networks`.
    """
    network = networks[""]
    device = as_network(network).device
    own = list(objectives) * (len(pictures) if len(objectives) == 1 else 1)
    maxima = [natural_maximum(one.text, network) for one in own]
    scores: list[float] = []
    reached: list[float] = []
    with torch.no_grad():
        for start in range(0, len(own), _BATCH):
            chosen = slice(start, start + _BATCH)
            whole = objectives[0] if len(objectives) == 1 else each(own[chosen])
            measured = each([pair[0] if pair else one for pair, one in zip(maxima[chosen], own[chosen], strict=True)])
            batch = pictures[chosen].to(device)
            compared = [square(image.to(batch), batch.shape[2]) for image in whole.references.values()]
            layers, names = whole.layers | measured.layers, list(whole.references)
            seen = compute_activations(networks, torch.cat([batch, *compared]), layers, names)
            scores += whole.score(seen).tolist()
            reached += measured.score(seen).tolist()
    natural = [pair and round(far / pair[1], 4) for pair, far in zip(maxima, reached, strict=True)]
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
    """Visualize a layer, a channel or a class, as ``vggapps visualize`` does.

    >>> vggapps.visualize("conv4_2:29").save("fur.png")                                 # doctest: +SKIP

    Args:
        objective: in text form, ``conv4_3:12``, ``conv4_3:0-63``, ``class:tabby``, or as an object of
            :mod:`vggapps.objectives`; several give a labelled sheet.
        settings: see :class:`VisualizeSettings`; ``overrides`` replace single settings by name.
        network: a VGG, any module in inference mode that takes pictures in [0, 1], or several by name; loaded by
            default.
        progress: show a progress bar on stderr.

    Returns:
        The picture; several as a sheet. Its ``settings`` are the recipe, with the score of each picture and, if known,
        its activation relative to the maximum over 1,000 photographs.

    Raises:
        VggappsError: invalid arguments, before the first step.
    """
    settings = replace(settings or VisualizeSettings(), **overrides)
    given = [objective] if isinstance(objective, str | Objective) else list(objective)
    networks = networks_of(network, given, settings)
    used = identify_files(settings)
    objectives: list[Objective] = []
    for one in given:
        objectives += [one] if isinstance(one, Objective) else [parse(text, networks) for text in expand(one, networks)]
    steps = visualize_steps(objectives, settings, network=networks)
    title = objectives[0].text if len(objectives) == 1 else f"{len(objectives)} pictures"
    made = score_pictures(last(watched(steps, title, quiet=not progress)).image(), objectives, networks)
    texts = [one if isinstance(one, str) else one.text for one in given]
    return replace(made.picture(), settings=made.recipe(settings, used, {"objectives": texts, "grid": False}))


def _relative_label(far: float | None) -> str:
    if far is None:
        return ""
    return f"\nx{far:.2g}, unfinished" if far < 1 else f"\nx{far:.1f}"  # the font has no ×
