"""Optimization from coarse to fine: large structures form at small sizes, where a step is cheap."""

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
    """The picture's (height, width) and the number of steps at that size."""

    size: tuple[int, int]
    steps: int


def plan_scales(size: tuple[int, int], steps: Sequence[int], smallest: int, narrowest: int = 1) -> list[Scale]:
    """Halve the size once for each earlier entry of ``steps``.

    >>> plan_scales((384, 512), (60, 40, 20), smallest=64)
    [Scale(size=(96, 128), steps=60), Scale(size=(192, 256), steps=40), Scale(size=(384, 512), steps=20)]

    The steps of scales smaller than ``smallest`` on the longer or ``narrowest`` on the shorter side move to the next.
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
    """Enlarge a picture, bicubic."""
    return F.interpolate(image, size, mode="bicubic", align_corners=False)


def mirrored(image: Float[Tensor, "n c h w"], margin: int) -> Float[Tensor, "n c h2 w2"]:
    """Pad a picture by reflection, with ``margin`` pixels or as many as a short side allows."""
    rows, columns = (_margin(side, margin) for side in image.shape[2:])
    return F.pad(image, (columns, columns, rows, rows), mode="reflect")


def cropped(image: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c h2 w2"]:
    """The centre of a picture, without its margin."""
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
    """Run :func:`~vggapps.optimize.optimize` on each scale, starting from the result of the previous one.

    Args:
        start: the initial picture, by size. When the scale changes, its finer details are added, so that they are not
            lost to the coarse start.
        scales: from coarse to fine.
        score: gives the score for a (height, width); called when its scale begins, so only one is held at a time.
        optimizer: its state is resampled with the picture.
        average: see ``optimize``.
        margin: pixels beyond each border that are optimized but not shown: padding changes the features near the border
            of a picture. At each scale they start as the picture's mirror image.
        render: from the optimized picture to the one that is scored and shown; the identity by default.
    """
    render = render or _first
    full_size = scales[-1].size

    def refined(picture: Tensor, base: Tensor, size: tuple[int, int]) -> Tensor:
        """Enlarged, with the details that the start has at this size and not at that of ``base``."""
        return upsample(picture, size) + start(size) - upsample(base, size)

    def enlarged(base: Tensor, picture: Tensor) -> Tensor:
        channels = picture[:, : base.shape[1]].to(base.device)
        return render([refined(channels, base, full_size)]).clamp(0, 1).cpu()

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


def _margin(side: int, margin: int) -> int:
    return min(margin, side - 1)  # the limit of reflection


def _without_margin(
    step: Step, size: tuple[int, int], full_size: tuple[int, int], enlarge: Callable[[Tensor], Tensor]
) -> Step:
    def image() -> Tensor:
        return cropped(step.image(), size)

    return replace(step, size=size, full_size=full_size, _image=image, _enlarge=enlarge)


def _first(leaves: Sequence[Tensor]) -> Tensor:
    return leaves[0]
