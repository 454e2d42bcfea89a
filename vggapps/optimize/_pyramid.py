"""Coarse to fine: large strokes are settled where a step is cheap, texture is left for the full size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps.optimize._chain import chained
from vggapps.optimize._engine import Render, Score, optimize
from vggapps.optimize._optimizers import Optimizer
from vggapps.optimize._step import Step


@dataclass(frozen=True)
class Scale:
    """One rung: the picture's (height, width) and how many steps are taken there."""

    size: tuple[int, int]
    steps: int


def rungs(size: tuple[int, int], steps: Sequence[int], smallest: int, narrowest: int = 1) -> list[Scale]:
    """Halve the size once for each earlier entry of ``steps``.

    >>> rungs((384, 512), (60, 40, 20), smallest=64)
    [Scale(size=(96, 128), steps=60), Scale(size=(192, 256), steps=40), Scale(size=(384, 512), steps=20)]

    The steps of rungs that would be smaller than ``smallest`` on the longer or ``narrowest`` on the shorter side are
    taken on the next one.
    """
    scales: list[Scale] = []
    waiting = 0
    for halvings, count in zip(reversed(range(len(steps))), steps, strict=True):
        height, width = (max(1, round(side / 2**halvings)) for side in size)
        waiting += count
        large_enough = max(height, width) >= smallest and min(height, width) >= narrowest
        if waiting and (large_enough or not halvings):
            scales.append(Scale((height, width), waiting))
            waiting = 0
    return scales


def upsample(image: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c h2 w2"]:
    """To a larger picture, bicubic."""
    return F.interpolate(image, size, mode="bicubic", align_corners=False)


def mirrored(image: Float[Tensor, "n c h w"], margin: int) -> Float[Tensor, "n c h2 w2"]:
    """The picture with a margin of its mirror image, in pixels; a side that is too short for it gets a narrower one."""
    rows, columns = (_margin(side, margin) for side in image.shape[2:])
    return F.pad(image, (columns, columns, rows, rows), mode="reflect")


def cropped(image: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c h2 w2"]:
    """The middle of a picture, without its margin."""
    top, left = ((whole - side) // 2 for whole, side in zip(image.shape[2:], size, strict=True))
    return image[:, :, top : top + size[0], left : left + size[1]]


def pyramid(
    start: Callable[[tuple[int, int]], Float[Tensor, "1 c h w"]],
    scales: Sequence[Scale],
    score: Callable[[tuple[int, int]], Score],
    optimizer: Optimizer,
    *,
    average: float = 0.0,
    margin: int = 0,
    render: Render | None = None,
) -> Iterator[Step]:
    """Run :func:`~vggapps.optimize.optimize` on each scale, starting from the scale before.

    Args:
        start: the picture to begin with, by size. What it shows at a finer scale and not yet at the coarser one is
            added when the scale changes, so that no detail is lost to the coarse beginning.
        scales: from coarse to fine.
        score: gives the score for a (height, width); called when its scale begins, so only one is held at a time.
        optimizer: its memory is resampled with the picture.
        average: see ``optimize``.
        margin: pixels that are painted beyond each border, scored like the rest, and not shown: a convolutional network
            sees the border of a picture differently from its inside. A scale starts with the picture's mirror image
            there.
        render: what is scored and shown of the picture that is optimised; the picture itself by default.
    """
    render = render or _itself
    full_size = scales[-1].size

    def refined(picture: Tensor, base: Tensor, size: tuple[int, int]) -> Tensor:
        """Enlarged, with what the start shows at that size and not yet at ``base``'s."""
        return upsample(picture, size) + start(size) - upsample(base, size)

    def enlarged(base: Tensor, picture: Tensor) -> Tensor:
        own = picture[:, : base.shape[1]].to(base.device)
        return render([refined(own, base, full_size)]).clamp(0, 1).cpu()

    def runs() -> Iterator[Iterator[Step]]:
        before = scales[0].size
        image = base = start(before)
        for scale in scales:
            if scale.size != before:
                image = refined(image, base, scale.size)
                resample = partial(_resampled, before=before, size=scale.size, margin=margin)
                optimizer.resample(resample, _area(scale.size, margin) / _area(before, margin))
                base, before = start(scale.size), scale.size
            leaf = mirrored(image, margin).clone()  # the engine changes it in place
            steps = optimize([leaf], render, score(scale.size), optimizer, scale.steps, average=average)
            yield map(
                partial(_without_margin, size=scale.size, full_size=full_size, enlarge=partial(enlarged, base)), steps
            )
            image = cropped(leaf, scale.size)

    works = [scale.steps * _area(scale.size, margin) for scale in scales]
    return chained(runs(), [scale.steps for scale in scales], works)


def _resampled(image: Tensor, before: tuple[int, int], size: tuple[int, int], margin: int) -> Float[Tensor, "n c h w"]:
    return mirrored(upsample(cropped(image, before), size), margin)


def _area(size: tuple[int, int], margin: int) -> int:
    return math.prod(side + 2 * _margin(side, margin) for side in size)


def _margin(side: int, wanted: int) -> int:
    return min(wanted, side - 1)  # a mirror image has no more


def _without_margin(
    step: Step, size: tuple[int, int], full_size: tuple[int, int], enlarge: Callable[[Tensor], Tensor]
) -> Step:
    def image() -> Tensor:
        return cropped(step.image(), size)

    return replace(step, size=size, full_size=full_size, _image=image, _enlarge=enlarge)


def _itself(leaves: Sequence[Tensor]) -> Tensor:
    return leaves[0]
