"""Several runs in a row, reported as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.optimize._step import Step


@torch.inference_mode(False)  # off during each step, restored between steps
def chained(runs: Iterable[Iterator[Step]], counts: Sequence[int], works: Sequence[float]) -> Iterator[Step]:
    """The steps of all runs, numbered consecutively.

    Args:
        runs: each is requested when the previous one has ended.
        counts: number of steps of each run.
        works: amount of work of each run, in any unit.
    """
    total, total_work = sum(counts), sum(works)
    index, evaluations, seconds, done = 0, 0, 0.0, 0.0
    for run, count, work in zip(runs, counts, works, strict=True):
        step = None
        for step in run:
            yield replace(
                step,
                index=index + step.index,
                total=total,
                fraction=(done + step.fraction * work) / total_work,
                evaluations=evaluations + step.evaluations,
                seconds=seconds + step.seconds,
            )
        if step is not None:
            evaluations, seconds = evaluations + step.evaluations, seconds + step.seconds
        index, done = index + count, done + work


def side_by_side(
    runs: Iterable[Iterator[Step]], counts: Sequence[int], waiting: Sequence[int] | None = None
) -> Iterator[Step]:
    """Runs of equal work for different pictures as one: each step shows the finished pictures and the current ones.

    Args:
        runs: see :func:`chained`.
        counts: number of steps of each run.
        waiting: for each run the number of later pictures, shown in grey; None leaves them out.
    """
    done: list[Tensor] = []

    def with_others(run: Iterator[Step], later: int) -> Iterator[Step]:
        step = None
        for step in run:
            yield replace(step, _image=partial(_joined, tuple(done), step, later))
        if step is not None:
            done.append(step.image())

    joined = (with_others(run, later) for run, later in zip(runs, waiting or [0] * len(counts), strict=True))
    return chained(joined, counts, [1.0] * len(counts))


def _joined(done: Sequence[Tensor], step: Step, later: int) -> Float[Tensor, "n 3 h w"]:
    current = step.image()
    return torch.cat([*done, current, current.new_full((later, *current.shape[1:]), 0.5)])
