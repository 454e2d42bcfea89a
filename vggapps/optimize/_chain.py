"""Several runs, one after another, that are told as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.optimize._step import Step


@torch.inference_mode(False)  # off within each step, and again as it was whenever one has been handed out
def chained(runs: Iterable[Iterator[Step]], counts: Sequence[int], works: Sequence[float]) -> Iterator[Step]:
    """The steps of all runs, numbered through.

    Args:
        runs: one after another; the next one is asked for when the one before it has ended.
        counts: steps of each.
        works: how much work each is, in any unit.
    """
    total, whole = sum(counts), sum(works)
    index, evaluations, seconds, done = 0, 0, 0.0, 0.0
    for run, count, work in zip(runs, counts, works, strict=True):
        step = None
        for step in run:
            yield replace(
                step,
                index=index + step.index,
                total=total,
                fraction=(done + step.fraction * work) / whole,
                evaluations=evaluations + step.evaluations,
                seconds=seconds + step.seconds,
            )
        if step is not None:
            evaluations, seconds = evaluations + step.evaluations, seconds + step.seconds
        index, done = index + count, done + work


def side_by_side(
    runs: Iterable[Iterator[Step]], counts: Sequence[int], waiting: Sequence[int] | None = None
) -> Iterator[Step]:
    """Runs for different pictures as one: each step shows those that are done and those at hand.

    Args:
        runs: see :func:`chained`; each is as much work as the others.
        counts: steps of each.
        waiting: how many pictures come after each run, which are shown in grey; None leaves them out.
    """
    done: list[Tensor] = []
    later = waiting or [0] * len(counts)
    shown = (_beside(run, done, number) for run, number in zip(runs, later, strict=True))
    return chained(shown, counts, [1.0] * len(counts))


def _beside(run: Iterator[Step], done: list[Tensor], waiting: int) -> Iterator[Step]:
    step = None
    for step in run:
        yield replace(step, _image=partial(_together, tuple(done), step, waiting))
    if step is not None:
        done.append(step.image())


def _together(done: Sequence[Tensor], step: Step, waiting: int) -> Float[Tensor, "n 3 h w"]:
    now = step.image()
    return torch.cat([*done, now, now.new_full((waiting, *now.shape[1:]), 0.5)])
