"""From a photo and a painting to a painted photo: Gatys, Ecker, Bethge, Image Style Transfer Using Convolutional
Neural Networks, CVPR 2016 (arXiv 1508.06576), coarse to fine.

Where this departs from the paper, and why:

- means and covariances are matched apart instead of Gram matrices, which leave contrast ambiguous (Risser 2017);
- every loss is relative to its target, so that no weight has to be guessed anew for another size or layer;
- three or more scales, each twice the one before: large strokes form where a step costs a sixteenth;
- the start is the photo with the style's colours, which saves the first dozens of steps;
- a margin is painted around the picture and cut off: a network sees the border of a picture differently from its
  inside, and what it makes of that is a rim. The first convolution repeats the border instead of padding it with
  zeros, which look like a dark frame to it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from vggapps.errors import OutOfMemoryError, SettingsError, argument
from vggapps.image import Picture, open_picture, resize, scaled
from vggapps.losses._moments import Moments, add_up
from vggapps.optimize._engine import Score
from vggapps.optimize._optimizers import LBFGS, Adam, Optimizer
from vggapps.optimize._pyramid import mirrored, pyramid, rungs
from vggapps.optimize._step import Step
from vggapps.style._color import match_colors
from vggapps.style._memory import TILE, MemoryPlan, plan_memory
from vggapps.style._score import StyleScore, content_term, style_term, whole
from vggapps.style._settings import LARGEST, StylizeSettings
from vggapps.style._styles import Painting, Source, Styles, held_by, is_grey, pairs_of, read, read_styles
from vggapps.style._tiling import Tiling, tiled
from vggapps.vgg._moving import check_differentiable
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import layer_facts
from vggapps.weights._backbone import load_network

log = logging.getLogger(__name__)

SMALLEST = 64  # longer side of the coarsest scale, in pixels: four positions of relu5_1
HISTORY = 8  # 20 gave the same pictures and distances, for two and a half times the memory
# Pixels that are painted beyond each border and cut off: one position of relu5_1. With 8 of them a rim is left.
MARGIN = 16


# What `1` of each weight means, found by eye and by the measure of docs/stylize.md.
CONTENT = 0.3
TV = 4.0
AVERAGE = 0.5


def load_backbone(settings: StylizeSettings) -> VGG:
    """The network that the settings ask for, where and how it runs fastest. Load it once for many pictures."""
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
    """Paint a photo in the style of one or several pictures.

    >>> for step in stylize_steps("town.jpg", "starry-night.jpg", size=384):             # doctest: +SKIP
    ...     print(step.index, step.total, step.loss)

    Args:
        content: the photo: a file, a :class:`~vggapps.image.Picture`, or a 1 × 3 × H × W tensor of RGB in [0, 1].
        styles: one style or several; ``(style, weight)`` pairs, or a dictionary from style to weight, mix them in
            proportion to their weights. Of a partly transparent style only what is visible counts.
        settings: see :class:`StylizeSettings`; ``overrides`` change single ones by name.
        vgg: the network, from :func:`load_backbone`; loaded when it is not given.

    Returns:
        The steps, coarse to fine; the last one's ``image()`` is the result, 1 × 3 × h × w in [0, 1]. Where all styles
        are grey, so is the result.

    Raises:
        VggappsError: anything wrong with the arguments, before the first step is taken.
    """
    settings = replace(settings or StylizeSettings(), **overrides)
    picture = read(content)
    vgg = load_backbone(settings) if vgg is None else vgg
    vgg.check(settings.layers)
    check_differentiable(vgg)
    narrowest = max(facts.stride for facts in layer_facts(vgg.plan, head="none") if facts.name in settings.layers)
    size = _size(picture, settings, narrowest)
    pairs = pairs_of(styles)
    memory = _plan(size, vgg, held_by(pairs, size, settings.style_size))
    photo = resize(picture.rgb, size)
    paintings = read_styles(pairs, photo, settings.style_size)
    if settings.colors == "content":
        paintings = [_recoloured(painting, picture) for painting in paintings]
    start = _start(settings, photo, None if picture.alpha is None else resize(picture.alpha, size), paintings)
    if grey := _is_grey(settings, photo, paintings):
        start = start.mean(1, keepdim=True)
    scales = rungs(size, split_steps(settings.steps, max(size)), SMALLEST, narrowest)
    device = vgg.device
    paintings = [painting.to(device) for painting in paintings]
    score = partial(_score, vgg, photo.to(device), paintings, settings, memory.tile)
    optimizer: Optimizer = LBFGS(HISTORY) if settings.optimizer == "lbfgs" else Adam()
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
            f"{width} x {height} px is too narrow: the deepest layer looks at every {narrowest}th pixel",
            f"use a {argument('size')} of at least {enough}"
            if enough <= LARGEST
            else "crop the photo: no size is large enough",
        )
    if longer_side > longest:
        log.warning(
            "the photo is only %d px: it is enlarged to %d px, strokes will be finer than its details",
            longest,
            longer_side,
        )
    return height, width


def size_for(longer: int, shorter: int, least: int) -> int:
    """The smallest longer side, in pixels, at which the shorter side of a picture of that shape has ``least``."""
    size = math.ceil((least - 0.5) * longer / shorter)
    while min(scaled(longer, shorter, size)) < least:  # half a pixel may be rounded either way
        size += 1
    return size


def _plan(size: tuple[int, int], vgg: VGG, inputs: int) -> MemoryPlan:
    """How the run is done, or why it can't be: before anything of that size is made."""
    height, width = size
    weight = vgg.conv1_1.weight
    painted_size = height + 2 * MARGIN, width + 2 * MARGIN
    memory = plan_memory(painted_size, 2 * HISTORY, weight.dtype, weight.device, inputs)
    log.info("%d x %d px %s", width, height, memory)
    if memory.bytes > memory.free:
        raise OutOfMemoryError(
            f"{width} x {height} px takes about {memory.bytes / 1e9:.1f} GB and {memory.free / 1e9:.1f} GB are free",
            f"try {argument('size', largest_size(max(size), memory))}",
        )
    return memory


def split_steps(steps: int, longer_side: int) -> list[int]:
    """How many steps at each scale, coarse to fine; they add up to ``steps``, and at least one is at full size.

    In proportion 6 : 4 : 2 up to 512 px; each doubling adds a scale with half the steps of the one before, which is
    still twice its time.

    >>> split_steps(120, 512), split_steps(120, 2048)
    ([60, 40, 20], [53, 36, 18, 9, 4])
    """
    doublings = max(0, math.ceil(math.log2(longer_side / 512)))
    shares = [6.0, 4.0, 2.0, *(2 / 2**n for n in range(1, doublings + 1))]
    counts = [round(steps * share / sum(shares)) for share in shares]
    counts[-1] = max(1, counts[-1])
    counts[0] = max(0, steps - sum(counts[1:]))
    return counts


def largest_size(size: int, memory: MemoryPlan) -> int:
    """A size that fits, told to people whose wish does not."""
    return max(32, int(size * math.sqrt(memory.free / memory.bytes)) // 32 * 32)


def _recoloured(painting: Painting, photo: Picture) -> Painting:
    """A painting with a photo's colours."""
    rgb = match_colors(painting.rgb, photo.rgb, painting.alpha, photo.alpha).clamp(0, 1)
    return replace(painting, rgb=_in_grey([rgb]) if is_grey(photo.rgb, photo.alpha) else rgb)


def _is_grey(settings: StylizeSettings, photo: Tensor, paintings: list[Painting]) -> bool:
    """Whether the result has no other colours to take than greys."""
    style_counts = settings.strength * settings.style_weight > 0
    return all(is_grey(p.rgb, p.alpha) for p in paintings) and (style_counts or is_grey(photo))


def _in_grey(leaves: Sequence[Tensor]) -> Tensor:
    """Three equal channels of one or more."""
    return leaves[0].mean(1, keepdim=True).expand(-1, 3, -1, -1)


def _start(settings: StylizeSettings, photo: Tensor, alpha: Tensor | None, paintings: list[Painting]) -> Tensor:
    """What to start from; it is resized to each scale."""
    if settings.init == "noise":
        # As fine as the coarsest scale, so that no finer noise is added later.
        grid = scaled(photo.shape[2], photo.shape[3], SMALLEST)
        return torch.rand(1, 3, *grid, generator=torch.Generator().manual_seed(settings.seed))
    matched = [p.share * match_colors(photo, p.rgb, alpha, p.alpha) for p in paintings]
    # A weak style must not begin with all of its colours.
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
    """The losses of one scale, bound to their targets at that size."""
    layers = settings.style_layer_weights

    def share(painting: Painting) -> dict[str, Moments]:
        found = Tiling(vgg, layers, TILE).moments(*painting.seen(size, settings.style_size))
        return {name: m * painting.share for name, m in found.items()}

    target = add_up(share(painting) for painting in paintings)
    photographed = Tiling(vgg, settings.content_layers, TILE).gather(mirrored(resize(photo, size), MARGIN))
    style_weight, content_weight, tv_weight = weigh(settings)
    style = style_term(target, settings.style_loss, layers, style_weight)
    parts = StyleScore([style, content_term(photographed, content_weight)], tv_weight)
    return whole(vgg, parts) if tile is None else tiled(vgg, parts, tile)


def weigh(settings: StylizeSettings) -> tuple[float, float, float]:
    """Weights of style, content and total variation; ``strength`` moves weight between them, 0.5 leaves all."""
    more, less = 2 * settings.strength, 2 * (1 - settings.strength)
    return more * settings.style_weight, less * CONTENT * settings.content_weight, more * TV * settings.tv_weight
