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
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from vggapps.errors import OutOfMemoryError, SettingsError
from vggapps.image import Picture, open_picture, resize
from vggapps.losses.content import ContentLoss
from vggapps.losses.moments import Moments
from vggapps.losses.style import StyleLoss
from vggapps.optimize.engine import Score
from vggapps.optimize.optimizers import LBFGS, Adam, Optimizer
from vggapps.optimize.pyramid import Scale, pyramid, rungs
from vggapps.optimize.step import Step
from vggapps.stylize.color import match_colors
from vggapps.stylize.memory import TILE, Plan, plan_memory
from vggapps.stylize.score import Objective, whole
from vggapps.stylize.settings import StylizeSettings
from vggapps.stylize.tiling import Tiling, tiled
from vggapps.vgg.fast import accelerate, pick_device
from vggapps.vgg.network import VGG
from vggapps.weights.load import load_vgg

log = logging.getLogger(__name__)

Source = str | PathLike[str] | Picture | Tensor
Style = Source | tuple[Source, float]

SMALLEST = 64  # longer side of the coarsest scale, in pixels: four positions of relu5_1
HISTORY = 8  # 20 gives the same pictures (docs/stylize.md) for two and a half times the memory


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
    photo = _picture(content, settings.size)
    paintings = _weighted(styles)
    device = pick_device(settings.device) if vgg is None else vgg.conv1_1.weight.device
    height, width = photo.shape[2:]
    scales = rungs((height, width), split_steps(settings.steps, max(height, width)), SMALLEST)
    start = _start(settings, photo, scales[0].size)
    vgg = load_backbone(settings) if vgg is None else vgg
    vgg.check(settings.layers)
    memory = plan_memory((height, width), 2 * HISTORY, vgg.conv1_1.weight.dtype, device)
    log.info("%d x %d px %s", width, height, memory)
    if memory.bytes > memory.free:
        raise OutOfMemoryError(
            f"{width} x {height} px takes about {memory.bytes / 1e9:.1f} GB and {memory.free / 1e9:.1f} GB are free",
            f"try --size {largest_size(settings.size, memory)}",
        )
    return _run(vgg, photo.to(device), [(p.to(device), w) for p, w in paintings], start, scales, settings, memory)


def painted(step: Step, content: Picture) -> Picture:
    """A step's picture with what the photo brings along: its name and its transparency."""
    rgb = step.image()
    alpha = None if content.alpha is None else resize(content.alpha, (rgb.shape[2], rgb.shape[3]))
    return Picture(rgb, alpha, content.name)


def split_steps(steps: int, longer_side: int) -> list[int]:
    """How many steps at each scale, coarse to fine; they add up to ``steps``, and at least one is at full size.

    In proportion 6 : 4 : 2 up to 512 px; each doubling adds a scale with half the steps of the one before, which is
    still twice its time.

    >>> split_steps(120, 512), split_steps(120, 2048)
    ([60, 40, 20], [54, 36, 18, 9, 4])
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


def _picture(source: Source, longer_side: int | None = None) -> Tensor:
    if isinstance(source, Tensor):
        if source.ndim != 4 or source.shape[:2] != (1, 3) or not source.is_floating_point():
            raise SettingsError(
                f"a picture must be a 1 x 3 x H x W float tensor, this is {tuple(source.shape)} {source.dtype}",
                "RGB in [0, 1]; vggapps.image.open_picture makes one from a file",
            )
        image = source.float()
    else:
        picture = source if isinstance(source, Picture) else open_picture(source)
        for note in picture.notes:
            log.warning("%s: %s", picture.name, note)
        image = picture.rgb
    if longer_side is None:
        return image
    if longer_side > (longest := max(image.shape[2:])):
        log.warning(
            "the photo is only %d px: it is enlarged to %d px, strokes will be finer than its details",
            longest,
            longer_side,
        )
    return resize(image, scaled(image.shape[2], image.shape[3], longer_side))


def scaled(height: int, width: int, longer_side: int) -> tuple[int, int]:
    """The (height, width) of the same shape with that longer side, larger or smaller."""
    factor = longer_side / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def _weighted(styles: Style | Sequence[Style]) -> list[tuple[Tensor, float]]:
    several = styles if isinstance(styles, list) else [styles]
    pairs = [s if isinstance(s, tuple) else (s, 1.0) for s in several]
    total = sum(weight for _, weight in pairs)
    if not pairs or total <= 0 or any(weight < 0 for _, weight in pairs):
        raise SettingsError("the styles' weights must be positive", "style.jpg:0.7 other.jpg:0.3")
    return [(_picture(source), weight / total) for source, weight in pairs]


def _start(settings: StylizeSettings, photo: Tensor, size: tuple[int, int]) -> Tensor | None:
    """What to start from, at the coarsest size; None: the photo in the style's colours."""
    if settings.init == "content":
        return None
    if settings.init == "noise":
        generator = torch.Generator().manual_seed(settings.seed)
        return torch.rand(1, 3, *size, generator=generator)
    return resize(_picture(settings.init), size)


def _optimizer(settings: StylizeSettings) -> Optimizer:
    return LBFGS(HISTORY) if settings.optimizer == "lbfgs" else Adam()


def _run(
    vgg: VGG,
    photo: Tensor,
    paintings: list[tuple[Tensor, float]],
    start: Tensor | None,
    scales: list[Scale],
    settings: StylizeSettings,
    memory: Plan,
) -> Iterator[Step]:
    if settings.colors == "content":
        paintings = [(match_colors(p, photo).clamp(0, 1), weight) for p, weight in paintings]

    def styles_at(size: tuple[int, int]) -> list[tuple[Tensor, float]]:
        """The styles at the size at which they are seen: the same area as the picture, times ``style_size``."""
        scaled = []
        for painting, weight in paintings:
            height, width = painting.shape[2:]
            # A style is never enlarged: that would only teach the picture its blur.
            factor = min(1.0, settings.style_size * math.sqrt(size[0] * size[1] / (height * width)))
            small = (max(16, round(height * factor)), max(16, round(width * factor)))
            scaled.append((resize(painting, small), weight))
        return scaled

    layers, style_weight, content_weight = settings.style_layer_weights, *weigh(settings)

    def score(size: tuple[int, int]) -> Score:
        target: dict[str, Moments] = {}
        for painting, weight in styles_at(size):
            for name, m in Tiling(vgg, layers, TILE).moments(painting).items():
                target[name] = target[name] + m * weight if name in target else m * weight
        style = StyleLoss(target, settings.style_loss, layers)
        content = ContentLoss(Tiling(vgg, settings.content_layers, TILE).gather(resize(photo, size)))
        objective = Objective(style, content, style_weight, content_weight, TV * settings.tv_weight)
        return whole(vgg, objective) if memory.tile is None else tiled(vgg, objective, memory.tile)

    if start is None:
        small, styles = resize(photo, scales[0].size), styles_at(scales[0].size)
        matched = torch.stack([weight * match_colors(small, s) for s, weight in styles]).sum(0)
        # A weak style must not begin with all of its colours.
        start = torch.lerp(small, matched, min(1.0, 2 * settings.strength))
    yield from pyramid(start.to(photo), scales, score, _optimizer(settings), average=AVERAGE)


# What `1` of each weight means, found by eye and by the measure of docs/stylize.md.
CONTENT = 0.3
TV = 1.0
AVERAGE = 0.0


def weigh(settings: StylizeSettings) -> tuple[float, float]:
    """Weights of the style and content losses. ``strength`` moves weight from one to the other, 0.5 leaves both."""
    style = 2 * settings.strength * settings.style_weight
    content = 2 * (1 - settings.strength) * CONTENT * settings.content_weight
    return style, content
