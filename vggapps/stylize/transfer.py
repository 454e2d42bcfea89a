"""From a photo and a painting to a painted photo: Gatys, Ecker, Bethge, Image Style Transfer Using Convolutional
Neural Networks, CVPR 2016 (arXiv 1508.06576), coarse to fine.

Where this departs from the paper, and why:

- means and covariances are matched apart instead of Gram matrices, which leave contrast ambiguous (Risser 2017);
- every loss is relative to its target, so that no weight has to be guessed anew for another size or layer;
- three or more scales, each twice the one before: large strokes form where a step costs a sixteenth;
- the start is the photo with the style's colours, which saves the first dozens of steps;
- the first convolution repeats the border instead of padding it with zeros, which looks like a dark frame to it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from vggapps.errors import OutOfMemoryError, SettingsError
from vggapps.image import Picture, resize, rgb_of, scaled
from vggapps.losses.bound import ContentLoss, StyleLoss
from vggapps.losses.moments import Moments, add_up
from vggapps.optimize.engine import Score
from vggapps.optimize.optimizers import LBFGS, Adam, Optimizer
from vggapps.optimize.pyramid import pyramid, rungs
from vggapps.optimize.step import Step
from vggapps.stylize.color import match_colors
from vggapps.stylize.memory import TILE, Plan, plan_memory
from vggapps.stylize.score import Objective, whole
from vggapps.stylize.settings import StylizeSettings
from vggapps.stylize.tiling import Tiling, tiled
from vggapps.vgg.fast import accelerate
from vggapps.vgg.network import VGG
from vggapps.vgg.plan import layer_facts
from vggapps.weights.load import load_vgg

log = logging.getLogger(__name__)

Source = str | PathLike[str] | Picture | Tensor
Style = Source | tuple[Source, float]

SMALLEST = 64  # longer side of the coarsest scale, in pixels: four positions of relu5_1
HISTORY = 8  # 20 gave the same pictures and distances, for two and a half times the memory


# What `1` of each weight means, found by eye and by the measure of docs/stylize.md.
CONTENT = 0.3
TV = 1.0
AVERAGE = 0.5


def load_backbone(settings: StylizeSettings) -> VGG:
    """The network that the settings ask for, where and how it runs fastest. Load it once for many pictures."""
    vgg = load_vgg(
        settings.backbone, settings.weights, head="none", pooling=settings.pooling, padding="replicate-first"
    )
    vgg.check(settings.layers)
    return accelerate(vgg, settings.device, settings.dtype)


def stylize(
    content: Source,
    styles: Style | Sequence[Style],
    settings: StylizeSettings | None = None,
    *,
    vgg: VGG | None = None,
    **overrides: Any,
) -> Iterator[Step]:
    """Paint a photo in the style of one or several pictures.

    >>> from vggapps.optimize.step import last                                          # doctest: +SKIP
    >>> painted = last(stylize("town.jpg", "starry-night.jpg", size=384)).image()       # doctest: +SKIP

    Args:
        content: the photo: a file, a :class:`~vggapps.image.Picture`, or a 1 × 3 × H × W tensor of RGB in [0, 1].
        styles: one style or several; ``(style, weight)`` mixes them in proportion to their weights.
        settings: see :class:`StylizeSettings`; ``overrides`` change single ones by name.
        vgg: the network, from :func:`load_backbone`; loaded when it is not given.

    Returns:
        The steps, coarse to fine; the last one's ``image()`` is the result, 1 × 3 × h × w in [0, 1].

    Raises:
        VggappsError: anything wrong with the arguments, before the first step is taken.
    """
    settings = replace(settings or StylizeSettings(), **overrides)
    photo, paintings = rgb_of(content), _weighted(styles)
    vgg = load_backbone(settings) if vgg is None else vgg
    vgg.check(settings.layers)
    height, width = scaled(photo.shape[2], photo.shape[3], settings.size)
    narrowest = max(facts.stride for facts in layer_facts(vgg.plan, head="none") if facts.name in settings.layers)
    memory = _check_size(height, width, narrowest, settings, vgg)
    if settings.size > (longest := max(photo.shape[2:])):
        log.warning(
            "the photo is only %d px: it is enlarged to %d px, strokes will be finer than its details",
            longest,
            settings.size,
        )
    photo = resize(photo, (height, width))
    if settings.colors == "content":
        paintings = [(match_colors(painting, photo).clamp(0, 1), weight) for painting, weight in paintings]
    start = _start(settings, photo, paintings)
    scales = rungs((height, width), split_steps(settings.steps, max(height, width)), SMALLEST, narrowest)
    device = vgg.conv1_1.weight.device
    paintings = [(painting.to(device), weight) for painting, weight in paintings]
    score = partial(_score, vgg, photo.to(device), paintings, settings, memory.tile)
    optimizer: Optimizer = LBFGS(HISTORY) if settings.optimizer == "lbfgs" else Adam()
    return pyramid(partial(resize, start.to(device)), scales, score, optimizer, average=AVERAGE)


def _check_size(height: int, width: int, narrowest: int, settings: StylizeSettings, vgg: VGG) -> Plan:
    """How the run is done, or why it can't be: before anything of that size is made."""
    if min(height, width) < narrowest:
        raise SettingsError(
            f"{width} x {height} px is too narrow: the deepest layer looks at every {narrowest}th pixel",
            f"use a --size of at least {math.ceil(narrowest * settings.size / min(height, width))}",
        )
    weight = vgg.conv1_1.weight
    memory = plan_memory((height, width), 2 * HISTORY, weight.dtype, weight.device)
    log.info("%d x %d px %s", width, height, memory)
    if memory.bytes > memory.free:
        raise OutOfMemoryError(
            f"{width} x {height} px takes about {memory.bytes / 1e9:.1f} GB and {memory.free / 1e9:.1f} GB are free",
            f"try --size {largest_size(settings.size, memory)}",
        )
    return memory


def painted(step: Step, content: Picture) -> Picture:
    """A step's picture with what the photo brings along: its name, its transparency and its metadata."""
    rgb = step.image()
    alpha = None if content.alpha is None else resize(content.alpha, (rgb.shape[2], rgb.shape[3]))
    return Picture(rgb, alpha, content.name, metadata=content.metadata)


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


def largest_size(size: int, memory: Plan) -> int:
    """A size that fits, told to people whose wish does not."""
    return max(32, int(size * math.sqrt(memory.free / memory.bytes)) // 32 * 32)


def _weighted(styles: Style | Sequence[Style]) -> list[tuple[Tensor, float]]:
    one = isinstance(styles, str | PathLike | Picture | Tensor) or _is_pair(styles)
    several: Any = [styles] if one else styles
    pairs = [s if _is_pair(s) else (s, 1.0) for s in several]
    total = sum(weight for _, weight in pairs)
    if not pairs or total <= 0 or any(weight < 0 for _, weight in pairs):
        raise SettingsError("the styles' weights must be positive", "style.jpg:0.7 other.jpg:0.3")
    return [(rgb_of(source), weight / total) for source, weight in pairs]


def _is_pair(style: object) -> bool:
    return isinstance(style, tuple) and len(style) == 2 and isinstance(style[1], int | float)


def _start(settings: StylizeSettings, photo: Tensor, paintings: list[tuple[Tensor, float]]) -> Tensor:
    """What to start from; it is resized to each scale."""
    if settings.init == "noise":
        # As fine as the coarsest scale, so that no finer noise is added later.
        grid = scaled(photo.shape[2], photo.shape[3], SMALLEST)
        return torch.rand(1, 3, *grid, generator=torch.Generator().manual_seed(settings.seed))
    if settings.init != "content":
        return rgb_of(settings.init)
    matched = torch.stack([weight * match_colors(photo, painting) for painting, weight in paintings]).sum(0)
    # A weak style must not begin with all of its colours.
    return torch.lerp(photo, matched, min(1.0, 2 * settings.strength))


def _score(
    vgg: VGG,
    photo: Tensor,
    paintings: list[tuple[Tensor, float]],
    settings: StylizeSettings,
    tile: int | None,
    size: tuple[int, int],
) -> Score:
    """The losses of one scale, bound to their targets at that size."""
    layers = settings.style_layer_weights

    def share(painting: Tensor, weight: float) -> dict[str, Moments]:
        # The style is seen with the area of the picture, times ``style_size``; it is never enlarged, that would only
        # teach the picture its blur.
        area = size[0] * size[1] / (painting.shape[2] * painting.shape[3])
        factor = min(1.0, settings.style_size * math.sqrt(area))
        seen = resize(
            painting, (max(16, round(painting.shape[2] * factor)), max(16, round(painting.shape[3] * factor)))
        )
        return {name: m * weight for name, m in Tiling(vgg, layers, TILE).moments(seen).items()}

    target = add_up(share(painting, weight) for painting, weight in paintings)
    style = StyleLoss(target, settings.style_loss, layers)
    content = ContentLoss(Tiling(vgg, settings.content_layers, TILE).gather(resize(photo, size)))
    objective = Objective(style, content, *weigh(settings))
    return whole(vgg, objective) if tile is None else tiled(vgg, objective, tile)


def weigh(settings: StylizeSettings) -> tuple[float, float, float]:
    """Weights of style, content and total variation; ``strength`` moves weight between them, 0.5 leaves all."""
    more, less = 2 * settings.strength, 2 * (1 - settings.strength)
    return more * settings.style_weight, less * CONTENT * settings.content_weight, more * TV * settings.tv_weight
