"""DeepDream: a network draws into a picture what it believes to see there.

A. Mordvintsev, C. Olah, M. Tyka, Inceptionism: Going Deeper into Neural Networks, 2015, and their notebook. Where
this departs from it:

- the mean of each colour stays that of the photo and its deviation near it, so that long dreams don't burn in;
- the gradient is smoothed by a pixel, against the grid that maximum pooling leaves in it;
- the view moves by mirroring the border, not by rolling the picture: the sky is not the lawn's neighbour;
- large pictures are seen in tiles, which lie elsewhere at each step (``vggapps.visualization._tiles``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from kornia.filters import gaussian_blur2d
from torch import Tensor, nn

from vggapps._progress import watched
from vggapps.errors import SettingsError
from vggapps.image import Picture, open_picture, resize
from vggapps.image._identity import identified
from vggapps.image._recipe import identify_files, recipe
from vggapps.objectives._networks import Networks, networks_of, see
from vggapps.objectives._objective import Objective, Seen
from vggapps.objectives._text import parse
from vggapps.optimize._engine import Score
from vggapps.optimize._pyramid import Scale, pyramid
from vggapps.optimize._step import Step, last
from vggapps.vgg._any import as_network
from vggapps.visualization._fields import field_of
from vggapps.visualization._photo import Source, check_width, photo
from vggapps.visualization._settings import DreamSettings
from vggapps.visualization._tiles import tiled

STEP = 1.5 / 255  # the mean change of a number by one step of strength 1, as in the notebook
SMOOTH = 1.0  # pixels; deviation of a Gaussian: the gradient through maximum pooling is a grid, which would be drawn
CONTRAST = 1.25  # the dream's deviation over the photo's, at most: less washes the photo out, more burns in
GUIDE = 384  # pixels; longer side at which a guide is looked at
_POSITIONS = 4096  # compared with the guide's at once


@torch.inference_mode(False)  # which has no gradients
def dream_steps(
    image: Source,
    objective: str | Objective = "relu5_1",
    settings: DreamSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    **overrides: Any,
) -> Iterator[Step]:
    """Draw into a picture what a network sees in it.

    Args:
        image: a file, a :class:`~vggapps.image.Picture`, or a 1 × 3 × H × W tensor of RGB in [0, 1].
        objective: what grows, in text form (see :mod:`vggapps.objectives`) or as an object: a layer, a channel, a
            class, sums of them.
        settings: see :class:`DreamSettings`; ``overrides`` change single ones by name.
        network: what is looked at, see :func:`~vggapps.visualization.visualize_steps`; loaded when it is not given.

    Returns:
        The steps, from the smallest octave to the whole picture; the last one's ``image()`` is the result, 1 × 3 × h ×
        w in [0, 1]. The loss is less the objective.

    Raises:
        VggappsError: anything wrong with the arguments, before the first step is taken.
    """
    settings = replace(settings or DreamSettings(), **overrides)
    networks = networks_of(network, [objective], settings)
    start = photo(image, settings.size)
    return ascend(start, objective_of(objective, settings, networks), settings, networks, like=start)


def dream(
    image: Source,
    objective: str | Objective = "relu5_1",
    settings: DreamSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    progress: bool = False,
    **overrides: Any,
) -> Picture:
    """Draw into a picture what a network sees in it, as ``vggapps dream`` does.

    >>> vggapps.dream("town.jpg", "relu4_3", size=512).save("dream.png")                # doctest: +SKIP

    Args:
        image: as for :func:`dream_steps`, as are ``objective``, ``settings``, ``network`` and ``overrides``.
        objective: what grows.
        settings: see :class:`DreamSettings`.
        network: what is looked at.
        progress: show a progress bar on stderr.

    Returns:
        The picture, with the photo's name, transparency and metadata. Its ``settings`` say how it was made.

    Raises:
        VggappsError: anything wrong with the arguments, before the first step is taken.
    """
    settings = replace(settings or DreamSettings(), **overrides)
    source, identity = identified(image)
    used = identify_files(settings)
    picture = open_picture(source, at_least=2 * settings.size, name=identity.name)
    steps = dream_steps(picture, objective, settings, network=network)
    step = last(watched(steps, picture.name, quiet=not progress))
    text = objective if isinstance(objective, str) else objective.text
    made = recipe("dream", settings, {"images": [identity], **used}, {"objective": text, "zoom": None})
    return replace(picture.with_rgb(step.full_image()), settings=made)


def objective_of(objective: str | Objective, settings: DreamSettings, networks: Networks) -> Objective:
    """The objective that a text means, or that of the guide by the layer that it names; an objective is itself."""
    if isinstance(objective, Objective):
        return objective
    found = parse(objective, networks)
    if settings.guide is None:
        return found
    if found.layers != {found.text}:
        raise SettingsError(f"a guide needs a layer to be looked at by, and {found.text} is none", "such as relu4_3")
    return guided(found.text, open_picture(settings.guide, at_least=2 * GUIDE).rgb, networks, Path(settings.guide).name)


def ascend(
    start: Float[Tensor, "1 3 h w"],
    objective: Objective,
    settings: DreamSettings,
    networks: Networks,
    *,
    like: Float[Tensor, "1 3 h2 w2"],
) -> Iterator[Step]:
    """The steps of a dream over all octaves.

    Args:
        start: the picture.
        objective: what grows.
        settings: its size counts for nothing here.
        networks: by name, the first one's empty.
        like: the picture whose mean and deviation of each colour the dream keeps.
    """
    _, field, stride = field_of(networks, objective.layers)
    device = as_network(networks[""]).device
    start, like = start.to(device), like.to(device)
    generator = torch.Generator().manual_seed(settings.seed)

    def score(size: tuple[int, int]) -> Score:
        references = {name: resize(picture, size).to(device) for name, picture in objective.references.items()}
        return _score(networks, objective, references, settings.jitter, field // 2, stride, generator)

    whole = (start.shape[2], start.shape[3])
    check_width(whole, stride)
    sizes = octave_sizes(whole, settings.octaves, settings.octave_scale, smallest=2 * stride)
    with torch.no_grad():  # what only looking tells: a channel that another's network has not, a place off the map
        score(sizes[0])(resize(start, sizes[0]))
    scales = [Scale(size, settings.steps) for size in sizes]
    return pyramid(partial(resize, start), scales, score, Ascent(settings.strength * STEP, like))


def octave_sizes(size: tuple[int, int], octaves: int, scale: float, smallest: int) -> list[tuple[int, int]]:
    """(height, width) of each octave, from small to large; those with a side below ``smallest`` are left out.

    >>> octave_sizes((280, 392), 3, 1.4, smallest=32)
    [(143, 200), (200, 280), (280, 392)]
    """
    sizes = [(round(size[0] / scale**octave), round(size[1] / scale**octave)) for octave in range(octaves)]
    return [one for one in reversed(sizes) if min(one) >= smallest] or [size]


class Ascent:
    """Steps of one length along the gradient, whatever its size: ``rate · g / mean|g|``.

    Args:
        rate: mean change of a number by a step.
        like: after each step the mean of each channel is this picture's again, and its deviation at most a quarter
            more. Steps along a gradient drift off in colour and add contrast: a long dream would be black and white.
    """

    def __init__(self, rate: float, like: Float[Tensor, "1 3 h w"]) -> None:
        self.rate = rate
        deviation, self.mean = torch.std_mean(like, (2, 3), keepdim=True)
        self.deviation = CONTRAST * deviation

    @torch.no_grad()
    def update(self, leaves: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """One step."""
        for leaf, gradient in zip(leaves, gradients, strict=True):
            tiny = torch.finfo(gradient.dtype).tiny
            smooth = gaussian_blur2d(gradient, 7, (SMOOTH, SMOOTH), "replicate")
            leaf -= self.rate * smooth / smooth.abs().mean().clamp_min(tiny)
            deviation, mean = torch.std_mean(leaf, (2, 3), keepdim=True)
            less = (self.deviation / deviation.clamp_min(tiny)).clamp_max(1)
            leaf.sub_(mean).mul_(less).add_(self.mean).clamp_(0, 1)

    def resample(self, resample: Callable[[Tensor], Tensor], area: float) -> None:
        """There is nothing to carry to another size."""


def guided(layer: str, guide: Float[Tensor, "1 3 h w"], networks: Networks, name: str = "guide") -> Objective:
    """More of what a guide shows: each position grows along that of the guide's vectors which is most like it.

    "Most like" is the largest dot product, as in the notebook; the objective is the mean over positions of those.

    Args:
        layer: where both are looked at.
        guide: in [0, 1]; it is looked at with a longer side of 384 pixels at most.
        networks: by name, the first one's empty.
        name: for the objective's text.
    """
    factor = min(1.0, GUIDE / max(guide.shape[2:]))
    shown = resize(guide, (max(1, round(guide.shape[2] * factor)), max(1, round(guide.shape[3] * factor))))
    with torch.no_grad():
        device = as_network(networks[""]).device
        vectors = see(networks, shown.to(device), [layer]).features[layer].flatten(2)[0]

    def score(seen: Seen) -> Float[Tensor, " n"]:
        a = seen.features[layer].flatten(2)
        with torch.no_grad():
            best = [(chunk.mT @ vectors).argmax(2) for chunk in torch.split(a, _POSITIONS, 2)]
            nearest = vectors.T[torch.cat(best, 1)].mT
        return (a * nearest).sum(1).mean(1)

    return Objective(frozenset({layer}), score, f"guided({layer}, {name})")


def _score(
    networks: Networks,
    objective: Objective,
    references: dict[str, Float[Tensor, "1 3 h w"]],
    jitter: int,
    margin: int,
    stride: int,
    generator: torch.Generator,
) -> Score:
    """What is minimised: less the objective, of the picture moved by up to ``jitter`` pixels."""

    def score(image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        # Mirrored pixels around the picture: it moves against the network's grid of poolings, and what deeper layers
        # make of the border is not drawn.
        most = min(jitter, min(image.shape[2:]) - 1)
        down, right = torch.randint(0, most + 1, (2,), generator=generator).tolist()
        around = (right, most - right, down, most - down)
        view, *others = (F.pad(one, around, mode="reflect") for one in (image, *references.values()))

        def piece(shown: Tensor, place: tuple[slice, slice]) -> Tensor:
            shown = torch.cat([shown, *(other[:, :, *place] for other in others)])
            return -objective.score(see(networks, shown, objective.layers, list(references))).mean()

        loss, terms = tiled(piece, margin, generator, stride=stride)(view)
        return loss, dict(terms)

    return score
