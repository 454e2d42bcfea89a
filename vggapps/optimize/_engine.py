"""The optimization loop, a generator of steps.

It is independent of networks and losses and prints nothing. Closing the generator between steps cancels the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from vggapps.errors import DivergedError, argument
from vggapps.optimize._optimizers import Optimizer
from vggapps.optimize._step import Step

Render = Callable[[Sequence[Tensor]], Tensor]
Score = Callable[[Tensor], tuple[Tensor, Mapping[str, Tensor]]]


@torch.inference_mode(False)  # off during each step, restored between steps
def optimize(
    leaves: Sequence[Tensor],
    render: Render,
    score: Score,
    optimizer: Optimizer,
    steps: int,
    *,
    average: float = 0.0,
) -> Iterator[Step]:
    """Minimise ``score(render(leaves))`` with one evaluation per step.

    The leaves are changed in place; at the end they hold the averaged iterate that the last step shows.

    Args:
        leaves: the tensors to change, float32.
        render: from leaves to pictures, N × 3 × H × W.
        score: from pictures to a scalar and its named terms, which add up to it.
        optimizer: ``LBFGS`` or ``Adam``.
        steps: number of steps.
        average: weight of the earlier iterates in the running average that is shown: 0 shows the iterates themselves,
            0.8 the average of about the last five, which reduces jitter.

    Yields:
        A :class:`Step` after each update. The caller's gradient mode is in effect between steps.

    Raises:
        DivergedError: the loss is infinite or NaN; the leaves are restored to the last good values.
    """
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    shown = _RunningAverage(leaves, render, average)
    seconds = 0.0
    for index in range(1, steps + 1):
        start = time.perf_counter()
        with torch.enable_grad(), _cudnn_benchmark():
            picture = render(leaves)
            loss, terms = score(picture)
            gradients = torch.autograd.grad(loss, leaves)
        loss = loss.detach()
        if not bool(torch.isfinite(loss)):
            shown.restore(leaves)
            bad = [name for name, term in terms.items() if not bool(torch.isfinite(term))]
            raise DivergedError(
                f"the loss became {float(loss)} at step {index} of {steps} ({', '.join(bad) or 'the sum'})",
                f"use {argument('dtype', 'float32')}, or a smaller weight of that term",
            )
        value, parts = float(loss), {name: float(term.detach()) for name, term in terms.items()}
        optimizer.update(leaves, gradients)
        shown.add(leaves)  # the last change of tensors, so that an interrupted step has no effect
        seconds += time.perf_counter() - start
        size = picture.shape[-2], picture.shape[-1]
        yield Step(
            index=index,
            total=steps,
            fraction=index / steps,
            size=size,
            full_size=size,
            loss=value,
            terms=parts,
            evaluations=index,
            seconds=seconds,
            _image=partial(shown.picture, index),
        )
    shown.restore(leaves)


@contextmanager
def _cudnn_benchmark() -> Iterator[None]:
    """Let cuDNN benchmark its algorithms, as the same shapes repeat at each step."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


class _RunningAverage:
    """The running average of the iterates, which the steps show."""

    def __init__(self, leaves: Sequence[Tensor], render: Render, average: float) -> None:
        self.values = [leaf.detach().clone() for leaf in leaves]
        self.render, self.average, self.count = render, average, 0

    @torch.no_grad()
    def add(self, leaves: Sequence[Tensor]) -> None:
        # Weights 1, 1/2, 1/3 ... down to 1 - average, so that the start does not stay in the average.
        weight = max(1 - self.average, 1 / (self.count + 1))
        # Not in place: an interruption keeps the previous average.
        values = [value.lerp(leaf, weight) for value, leaf in zip(self.values, leaves, strict=True)]
        self.values, self.count = values, self.count + 1

    @torch.no_grad()
    def restore(self, leaves: Sequence[Tensor]) -> None:
        for leaf, value in zip(leaves, self.values, strict=True):
            leaf.copy_(value)

    @torch.no_grad()
    def picture(self, index: int) -> Tensor:
        if index != self.count:
            raise RuntimeError("the picture of this step is no longer available: call image() before the next step")
        return self.render(self.values).float().clamp(0, 1).cpu()
