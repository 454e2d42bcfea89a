"""The one loop: leaves in, steps out.

It knows neither VGG nor style, prints nothing, and is a generator: the command drains it behind a progress bar, the
page streams it, a test takes its last step. Closing it between steps is cancelling.
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


@torch.inference_mode(False)  # off within each step, and again as it was whenever one has been handed out
def optimize(
    leaves: Sequence[Tensor],
    render: Render,
    score: Score,
    optimizer: Optimizer,
    steps: int,
    *,
    average: float = 0.0,
) -> Iterator[Step]:
    """Minimise ``score(render(leaves))``, one evaluation a step.

    The leaves are changed in place and end as the averaged iterate that the last step shows.

    Args:
        leaves: the tensors to change, float32.
        render: leaves to picture, N × 3 × H × W.
        score: picture to a scalar and its named terms, which add up to it.
        optimizer: ``LBFGS`` or ``Adam``.
        steps: how many.
        average: the part of the earlier iterates in the running average that is shown: 0 shows the iterates
            themselves, 0.8 about the last five. Jitter of single iterates averages out.

    Yields:
        A :class:`Step` after each update. No gradient mode is held open between steps.

    Raises:
        DivergedError: the loss is infinite or not a number; the leaves are then the last good ones.
    """
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    shown = _Shown(leaves, render, average)
    seconds = 0.0
    for index in range(1, steps + 1):
        start = time.perf_counter()
        with torch.enable_grad(), _tuned():
            picture = render(leaves)
            loss, terms = score(picture)
            gradients = torch.autograd.grad(loss, leaves)
        loss = loss.detach()
        if not bool(torch.isfinite(loss)):
            shown.put_back(leaves)
            bad = [name for name, term in terms.items() if not bool(torch.isfinite(term))]
            raise DivergedError(
                f"the loss became {float(loss)} at step {index} of {steps} ({', '.join(bad) or 'the sum'})",
                f"use {argument('dtype', 'float32')}, or a smaller weight for that term",
            )
        value, parts = float(loss), {name: float(term.detach()) for name, term in terms.items()}
        optimizer.update(leaves, gradients)
        shown.add(leaves)  # the last that is done with tensors: a step is whole, or not at all
        seconds += time.perf_counter() - start
        yield Step(
            index=index,
            total=steps,
            fraction=index / steps,
            size=(picture.shape[-2], picture.shape[-1]),
            full_size=(picture.shape[-2], picture.shape[-1]),
            loss=value,
            terms=parts,
            evaluations=index,
            seconds=seconds,
            _image=partial(shown.picture, index),
        )
    shown.put_back(leaves)


@contextmanager
def _tuned() -> Iterator[None]:
    """cuDNN tries which algorithm is fastest for each shape, which pays where the same shape comes again and again."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


class _Shown:
    """The running average of the iterates: what people see."""

    def __init__(self, leaves: Sequence[Tensor], render: Render, average: float) -> None:
        self.values = [leaf.detach().clone() for leaf in leaves]
        self.render, self.average, self.count = render, average, 0

    @torch.no_grad()
    def add(self, leaves: Sequence[Tensor]) -> None:
        # Weights 1, 1/2, 1/3 ... until they reach 1 - average: the start does not linger in the average.
        weight = max(1 - self.average, 1 / (self.count + 1))
        # Whoever interrupts this still has the picture before it.
        values = [value.lerp(leaf, weight) for value, leaf in zip(self.values, leaves, strict=True)]
        self.values, self.count = values, self.count + 1

    @torch.no_grad()
    def put_back(self, leaves: Sequence[Tensor]) -> None:
        for leaf, value in zip(leaves, self.values, strict=True):
            leaf.copy_(value)

    @torch.no_grad()
    def picture(self, index: int) -> Tensor:
        if index != self.count:
            raise RuntimeError("the picture of this step is gone: call image() before the next step")
        return self.render(self.values).float().clamp(0, 1).cpu()
