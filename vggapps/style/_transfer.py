"""Style transfer from coarse to fine, after Gatys, Ecker, Bethge, Image Style Transfer Using Convolutional Neural
Networks, CVPR 2016 (arXiv 1508.06576).

Differences from the paper:

- means and covariances are matched separately instead of Gram matrices, which leave contrast ambiguous (Risser 2017);
- every loss is relative to its target, so that the weights do not depend on size and layer;
- three or more scales, each twice the previous size: large strokes form where a step costs a sixteenth;
- L-BFGS is preconditioned, so that large areas change as fast as fine detail;
- the start is the photo with the style's colours, which saves the first dozens of steps;
- a margin around the picture is optimized and cut off, as padding changes the features near the border and leaves a
  rim. The first convolution replicates the border; zero padding acts like a dark frame.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from vggapps.errors import SettingsError, argument
from vggapps.image import Picture, open_picture, resize, scaled
from vggapps.losses._moments import Moments, add_up
from vggapps.optimize._engine import Score
from vggapps.optimize._optimizers import LBFGS, Adam, Optimizer
from vggapps.optimize._precondition import favour_large
from vggapps.optimize._pyramid import mirrored, plan_scales, pyramid
from vggapps.optimize._step import Step
from vggapps.style._color import match_colors
from vggapps.style._memory import TILE, MemoryPlan, plan_memory, too_large
from vggapps.style._schedule import LARGE, SCHEDULES
from vggapps.style._score import StyleScore, content_term, style_term, whole
from vggapps.style._settings import LARGEST, StylizeSettings
from vggapps.style._styles import Painting, Source, Styles, is_grey, pairs_of, read, read_styles, style_bytes
from vggapps.style._tiling import Tiling, tiled
from vggapps.vgg._facts import layer_facts
from vggapps.vgg._moving import check_differentiable
from vggapps.vgg._network import VGG
from vggapps.weights._backbone import load_network

log = logging.getLogger(__name__)

SMALLEST = 64  # longer side of the coarsest scale, in pixels: four positions of relu5_1
COARSE = 16  # stride of layers that are matched at the coarsest scales only, that is of relu5_1
HISTORY = 8  # 20 gave the same pictures and distances, with two and a half times the memory
CORNER = 0.05  # cycles per pixel, above which the gradient is damped
MARGIN = 16  # pixels around the picture that are optimized and cut off: one position of relu5_1. With 8 a rim remains.

# The scale of each weight, found by eye and by the measure of docs/stylize.md.
CONTENT = 0.3
TV = 4.0
AVERAGE = 0.5


def load_backbone(settings: StylizeSettings) -> VGG:
    """Load the network of the settings, optimized for the device. Load it once for many pictures."""
    return load_network(
        settings.backbone, layers=settings.layers, pooling=settings.pooling, padding="replicate-first",
        convention=settings.convention, device=settings.device, dtype=settings.dtype,
    )  # fmt: skip


@torch.inference_mode(False)
def stylize_steps(
    content: Source,
    styles: Styles,
    settings: StylizeSettings | None = None,
    *,
    vgg: VGG | None = None,
    **overrides: Any,
) -> Iterator[Step]:
    """Paint a photo in the style of one or several pictures, step by step.

    >>> for step in stylize_steps("town.jpg", "starry-night.jpg", size=384):             # doctest: +SKIP
    ...     print(step.index, step.total, step.loss)

    Args:
        content: the photo, like the other arguments as for :func:`stylize`.
        styles: one style or several.
        settings: see :class:`StylizeSettings`; ``overrides`` change single settings by name.
        vgg: the network from :func:`load_backbone`; loaded by default.

    Returns:
        The steps, coarse to fine; ``image()`` of the last one is the result, 1 × 3 × h × w in [0, 1], grey if all
        styles are grey.

    Raises:
        VggappsError: invalid arguments, before the first step.
    """
    settings = replace(settings or StylizeSettings(), **overrides)
    picture = read(content)
    vgg = load_backbone(settings) if vgg is None else vgg
    vgg.check(settings.layers)
    check_differentiable(vgg)
    narrowest = max(facts.stride for facts in layer_facts(vgg.plan, head="none") if facts.name in settings.layers)
    size = _size(picture, settings, narrowest)
    pairs = pairs_of(styles)
    memory = _plan(size, vgg, style_bytes(pairs, size, settings.style_size))
    photo = resize(picture.rgb, size)
    paintings = read_styles(pairs, photo, settings.style_size)
    if settings.colors == "content":
        paintings = [_recolor(painting, picture) for painting in paintings]
    start = _start(settings, photo, None if picture.alpha is None else resize(picture.alpha, size), paintings)
    if grey := _is_grey(settings, photo, paintings):
        start = start.mean(1, keepdim=True)
    scales = plan_scales(size, settings.steps_at(max(size)), SMALLEST, narrowest)
    device = vgg.device
    paintings = [painting.to(device) for painting in paintings]
    score = partial(_score, vgg, photo.to(device), paintings, settings, memory.tile)
    optimizer: Optimizer = (
        LBFGS(HISTORY, precondition=partial(favour_large, corner=CORNER)) if settings.optimizer == "lbfgs" else Adam()
    )
    return pyramid(
        partial(resize, start.to(device)), scales, score, optimizer,
        average=AVERAGE, margin=MARGIN, render=_in_grey if grey else None,
    )  # fmt: skip


def _size(photo: Picture, settings: StylizeSettings, narrowest: int) -> tuple[int, int]:
    """(height, width) of the result."""
    longest, shortest = max(photo.size), min(photo.size)
    longer_side = settings.longer_side(longest)
    height, width = scaled(*photo.size, longer_side)
    if min(height, width) < narrowest:
        enough = size_for(longest, shortest, narrowest)
        raise SettingsError(
            f"{width} x {height} px is too narrow: the deepest layer has a stride of {narrowest} px",
            f"use a {argument('size')} of at least {enough}"
            if enough <= LARGEST
            else "crop the photo: no size is large enough",
        )
    if longer_side > longest:
        warning = "the photo is only %d px: it is enlarged to %d px, strokes will be finer than its details"
        log.warning(warning, longest, longer_side)
    return height, width


def size_for(longer: int, shorter: int, least: int) -> int:
    """The smallest longer side at which the shorter side of a picture of that shape has ``least`` pixels."""
    size = math.ceil((least - 0.5) * longer / shorter)
    while min(scaled(longer, shorter, size)) < least:  # half a pixel may be rounded up or down
        size += 1
    return size


def _plan(size: tuple[int, int], vgg: VGG, inputs: int) -> MemoryPlan:
    """Plan the memory of a run, and refuse one that needs too much before allocating anything of that size."""
    height, width = size
    weight = vgg.conv1_1.weight
    size_with_margin = height + 2 * MARGIN, width + 2 * MARGIN
    memory = plan_memory(size_with_margin, 2 * HISTORY, weight.dtype, weight.device, inputs)
    log.info("%d x %d px %s", width, height, memory)
    if memory.bytes > memory.free:
        raise too_large(size, memory.bytes, memory.free)
    return memory


def _recolor(painting: Painting, photo: Picture) -> Painting:
    """A painting with the photo's colours."""
    rgb = match_colors(painting.rgb, photo.rgb, painting.alpha, photo.alpha).clamp(0, 1)
    return replace(painting, rgb=_in_grey([rgb]) if is_grey(photo.rgb, photo.alpha) else rgb)


def _is_grey(settings: StylizeSettings, photo: Tensor, paintings: list[Painting]) -> bool:
    """Whether all colours that the result can take are grey."""
    style_counts = settings.strength * settings.style_weight > 0
    return all(is_grey(p.rgb, p.alpha) for p in paintings) and (style_counts or is_grey(photo))


def _in_grey(leaves: Sequence[Tensor]) -> Tensor:
    """Three equal channels, the mean of one or more."""
    return leaves[0].mean(1, keepdim=True).expand(-1, 3, -1, -1)


def _start(settings: StylizeSettings, photo: Tensor, alpha: Tensor | None, paintings: list[Painting]) -> Tensor:
    """The initial picture, which is resized to each scale."""
    if settings.init == "noise":
        # At the size of the coarsest scale, so that no finer noise is added later.
        grid = scaled(photo.shape[2], photo.shape[3], SMALLEST)
        return torch.rand(1, 3, *grid, generator=torch.Generator().manual_seed(settings.seed))
    matched = [p.share * match_colors(photo, p.rgb, alpha, p.alpha) for p in paintings]
    # A weak style starts with only a part of its colours.
    start = torch.lerp(photo, torch.stack(matched).sum(0), min(1.0, 2 * settings.strength))
    if settings.init == "content":
        return start
    given = read(open_picture(settings.init, at_least=2 * max(photo.shape[2:])))
    if given.alpha is None:
        return given.rgb
    size = (photo.shape[2], photo.shape[3])
    return torch.lerp(start, resize(given.rgb, size), resize(given.alpha, size))


def _score(
    vgg: VGG,
    photo: Tensor,
    paintings: list[Painting],
    settings: StylizeSettings,
    tile: int | None,
    size: tuple[int, int],
) -> Score:
    """The score of one scale, with targets at that size."""
    layers = _layers_at(size, photo, vgg, settings.style_layer_weights)
    target = style_moments(vgg, paintings, layers, settings.style_size, size)
    content = Tiling(vgg, settings.content_layers, TILE).gather(mirrored(resize(photo, size), MARGIN))
    style_weight, content_weight, tv_weight = term_weights(settings)
    style = style_term(target, settings.style_loss, layers, style_weight * SCHEDULES[settings.quality].style)
    parts = StyleScore([style, content_term(content, content_weight)], tv_weight)
    return whole(vgg, parts) if tile is None else tiled(vgg, parts, tile)


def _layers_at(size: tuple[int, int], photo: Tensor, vgg: VGG, weights: dict[str, float]) -> dict[str, float]:
    """The style layers of a scale, with their weights: from half the size on without those of the largest stride.

    What these see there, others have seen at the coarser scales. Without relu5_1 both distances are smaller after an
    equal number of steps, and a step takes a quarter less time: see docs/stylize.md.
    """
    if max(size) <= 3 / 8 * min(max(photo.shape[2:]), LARGE):  # half the size is above this, a quarter below
        return weights
    strides = {facts.name: facts.stride for facts in layer_facts(vgg.plan, head="none")}
    return {name: weight for name, weight in weights.items() if strides[name] < COARSE} or weights


def style_moments(
    vgg: VGG, paintings: Sequence[Painting], layers: Iterable[str], style_size: float, size: tuple[int, int]
) -> dict[str, Moments]:
    """The moments of a mixture of paintings by layer, for a result of (height, width)."""

    def share(painting: Painting) -> dict[str, Moments]:
        found = Tiling(vgg, layers, TILE).moments(*painting.resized_for(size, style_size))
        return {name: m * painting.share for name, m in found.items()}

    return add_up(share(painting) for painting in paintings)


def term_weights(settings: StylizeSettings) -> tuple[float, float, float]:
    """Weights of style, content and total variation; ``strength`` shifts weight between them, 0.5 is neutral."""
    more, less = 2 * settings.strength, 2 * (1 - settings.strength)
    return more * settings.style_weight, less * CONTENT * settings.content_weight, more * TV * settings.tv_weight
