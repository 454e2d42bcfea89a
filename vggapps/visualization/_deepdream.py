"""DeepDream: gradient ascent on a photo, over several octaves.

A. Mordvintsev, C. Olah, M. Tyka, Inceptionism: Going Deeper into Neural Networks, 2015, and their notebook. Changes:

- the mean of each colour channel is kept and its standard deviation bounded, so that long dreams do not saturate;
- the gradient is smoothed by a pixel, against the grid pattern of max pooling;
- jitter pads with mirrored pixels instead of rolling the picture, so that opposite borders are not neighbours;
- large pictures are processed in tiles at random offsets (``vggapps.visualization._tiles``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from vggapps.objectives._networks import Networks, compute_activations, networks_of
from vggapps.objectives._objective import Activations, Objective
from vggapps.objectives._text import parse
from vggapps.optimize._engine import Score
from vggapps.optimize._pyramid import Scale, pyramid
from vggapps.optimize._step import Step, last
from vggapps.vgg._wrapped import as_network
from vggapps.visualization._canvas import Source, check_size, field_of, load_photo
from vggapps.visualization._settings import DreamSettings
from vggapps.visualization._tiles import tiled

STEP = 1.5 / 255  # mean absolute change of a value by a step of strength 1, as in the notebook
SMOOTH = 1.0  # pixels; standard deviation of the Gaussian that smooths gradients
CONTRAST = 1.25  # largest ratio of the dream's standard deviation to the photo's: less looks flat, more saturates
GUIDE = 384  # pixels; longer side of a guide
_POSITIONS = 4096  # positions that are compared with the guide at once


@torch.inference_mode(False)  # gradients are needed
def dream_steps(
    image: Source,
    objective: str | Objective = "relu5_1",
    settings: DreamSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    **overrides: Any,
) -> Iterator[Step]:
    """DeepDream of a picture, step by step.

    Args:
        image: a file, a :class:`~vggapps.image.Picture`, or a 1 × 3 × H × W tensor of RGB in [0, 1].
        objective: what to amplify, in text form (see :mod:`vggapps.objectives`) or as an object: a layer, a channel,
            a class, sums of them.
        settings: see :class:`DreamSettings`; ``overrides`` replace single settings by name.
        network: see :func:`~vggapps.visualization.visualize_steps`; loaded by default.

    Returns:
        The steps, from the smallest octave to the full size; the last one's ``image()`` is the result, 1 × 3 × h × w in
        [0, 1]. The loss is minus the objective.

    Raises:
        VggappsError: invalid arguments, before the first step.
    """
    settings = replace(settings or DreamSettings(), **overrides)
    networks = networks_of(network, [objective], settings)
    start = load_photo(image, settings.size)
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
    """DeepDream of a picture, as ``vggapps dream`` does.

    >>> vggapps.dream("town.jpg", "relu4_3", size=512).save("dream.png")                # doctest: +SKIP

    Args:
        image: see :func:`dream_steps`, also for ``overrides``.
        objective: what to amplify.
        settings: see :class:`DreamSettings`.
        network: loaded by default.
        progress: show a progress bar on stderr.

    Returns:
        The picture, with the photo's name, transparency and metadata. Its ``settings`` are the recipe.

    Raises:
        VggappsError: invalid arguments, before the first step.
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
    """Parse the objective; with a guide, the objective is :func:`guided` by the layer of the text."""
    if isinstance(objective, Objective):
        return objective
    found = parse(objective, networks)
    if settings.guide is None:
        return found
    if found.layers != {found.text}:
        raise SettingsError(f"a guide needs a layer as objective, and {found.text} is not one", "for example relu4_3")
    return guided(found.text, open_picture(settings.guide, at_least=2 * GUIDE).rgb, networks, Path(settings.guide).name)


def ascend(
    start: Float[Tensor, "1 3 h w"],
    objective: Objective,
    settings: DreamSettings,
    networks: Networks,
    *,
    like: Float[Tensor, "1 3 h2 w2"],
) -> Iterator[Step]:
    """The steps of a dream over all octaves; it keeps the colour statistics of ``like``, see :class:`Ascent`."""
    _, field, stride = field_of(networks, objective.layers)
    device = as_network(networks[""]).device
    start, like = start.to(device), like.to(device)
    generator = torch.Generator().manual_seed(settings.seed)

    def score_of(size: tuple[int, int]) -> Score:
        references = {name: resize(picture, size).to(device) for name, picture in objective.references.items()}

        def score(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
            # Mirrored padding shifts the picture on the pooling grid, and hides the network's own border effects.
            most = min(settings.jitter, min(size) - 1)
            down, right = torch.randint(0, most + 1, (2,), generator=generator).tolist()
            around = (right, most - right, down, most - down)
            view, *others = (F.pad(one, around, mode="reflect") for one in (image, *references.values()))

            def loss(shown: Tensor, place: tuple[slice, slice]) -> Tensor:
                shown = torch.cat([shown, *(other[:, :, *place] for other in others)])
                seen = compute_activations(networks, shown, objective.layers, list(references))
                return -objective.score(seen).mean()

            return tiled(loss, field // 2, generator, stride=stride)(view)

        return score

    whole = (start.shape[2], start.shape[3])
    check_size(whole, stride)
    sizes = octave_sizes(whole, settings.octaves, settings.octave_scale, smallest=2 * stride)
    with torch.no_grad():  # raises errors that only a forward pass finds: no such channel in a module, no such position
        score_of(sizes[0])(resize(start, sizes[0]))
    scales = [Scale(size, settings.steps) for size in sizes]
    return pyramid(partial(resize, start), scales, score_of, Ascent(settings.strength * STEP, like))


def octave_sizes(size: tuple[int, int], octaves: int, scale: float, smallest: int) -> list[tuple[int, int]]:
    """(height, width) of each octave, from small to large, without those that have a side below ``smallest``.

    >>> octave_sizes((280, 392), 3, 1.4, smallest=32)
    [(143, 200), (200, 280), (280, 392)]
    """
    sizes = [(round(size[0] / scale**octave), round(size[1] / scale**octave)) for octave in range(octaves)]
    return [one for one in reversed(sizes) if min(one) >= smallest] or [size]


class Ascent:
    """Gradient ascent with normalized steps, ``rate · g / mean|g|``.

    Args:
        rate: mean absolute change of a value by a step.
        like: after each step, the mean of each channel is reset to this picture's, and its standard deviation is
            limited to 1.25 times this picture's. Otherwise colours drift and contrast grows until the dream saturates.
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
        """No state depends on the size."""


def guided(layer: str, guide: Float[Tensor, "1 3 h w"], networks: Networks, name: str = "guide") -> Objective:
    """Amplify the features of a guide: the mean over positions of the largest dot product with a feature of the guide.

    The features are vectors of one position, as in the notebook.

    Args:
        layer: the layer of the features.
        guide: in [0, 1]; scaled down to a longer side of 384 pixels.
        networks: by name; the main one has an empty name.
        name: for the objective's text.
    """
    factor = min(1.0, GUIDE / max(guide.shape[2:]))
    shown = resize(guide, (max(1, round(guide.shape[2] * factor)), max(1, round(guide.shape[3] * factor))))
    with torch.no_grad():
        device = as_network(networks[""]).device
        vectors = compute_activations(networks, shown.to(device), [layer]).features[layer].flatten(2)[0]

    def score(seen: Activations) -> Float[Tensor, " n"]:
        a = seen.features[layer].flatten(2)
        with torch.no_grad():
            best = [(chunk.mT @ vectors).argmax(2) for chunk in torch.split(a, _POSITIONS, 2)]
            nearest = vectors.T[torch.cat(best, 1)].mT
        return (a * nearest).sum(1).mean(1)

    return Objective(frozenset({layer}), score, f"guided({layer}, {name})")
