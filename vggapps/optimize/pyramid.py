"""Coarse to fine: large strokes are settled where a step is cheap, texture is left for the full size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps.optimize.engine import Score, optimize
from vggapps.optimize.optimizers import Optimizer
from vggapps.optimize.step import Step


@dataclass(frozen=True)
class Scale:
    """One rung: the picture's (height, width) and how many steps are taken there."""

    size: tuple[int, int]
    steps: int

    @property
    def work(self) -> int:
        """Steps times pixels."""
        return self.steps * self.size[0] * self.size[1]


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


def pyramid(
    start: Callable[[tuple[int, int]], Float[Tensor, "1 3 h w"]],
    scales: Sequence[Scale],
    score: Callable[[tuple[int, int]], Score],
    optimizer: Optimizer,
    *,
    average: float = 0.0,
) -> Iterator[Step]:
    """Run :func:`~vggapps.optimize.engine.optimize` on each scale, starting from the scale before.

    Args:
        start: the picture to begin with, by size. What it shows at a finer scale and not yet at the coarser one is
            added when the scale changes, so that no detail is lost to the coarse beginning.
        scales: from coarse to fine.
        score: gives the score for a (height, width); called when its scale begins, so only one is held at a time.
        optimizer: its memory is resampled with the picture.
        average: see ``optimize``.
    """
    before = scales[0].size
    base = start(before)
    image = base.clone()  # the engine changes it in place
    total, work = sum(s.steps for s in scales), sum(s.work for s in scales)
    steps, evaluations, seconds, done = 0, 0, 0.0, 0
    for scale in scales:
        if scale.size != before:
            area = scale.size[0] * scale.size[1] / (before[0] * before[1])
            optimizer.resample(partial(upsample, size=scale.size), area)
            finer = start(scale.size)
            image = upsample(image, scale.size) + finer - upsample(base, scale.size)
            base, before = finer, scale.size
        step = None
        for step in optimize([image], _itself, score(scale.size), optimizer, scale.steps, average=average):
            yield replace(
                step,
                index=steps + step.index,
                total=total,
                fraction=(done + step.fraction * scale.work) / work,
                evaluations=evaluations + step.evaluations,
                seconds=seconds + step.seconds,
            )
        if step is not None:
            evaluations, seconds = evaluations + step.evaluations, seconds + step.seconds
        steps, done = steps + scale.steps, done + scale.work


def _itself(leaves: Sequence[Tensor]) -> Tensor:
    return leaves[0]
