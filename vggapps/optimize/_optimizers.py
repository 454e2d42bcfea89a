"""Optimizers that take one step at a time and whose state can be resampled to another picture size.

Adam wraps that of torch. L-BFGS is written here because torch's keeps its history as flat vectors, which can't be
resampled, and because its first step is min(1, 1/‖g‖₁), which hardly changes a picture: here ``first_step`` is the
largest change of the first step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

Leaves = Sequence[Tensor]
Resample = Callable[[Tensor], Tensor]


class Optimizer(Protocol):
    """The interface of an optimizer."""

    def update(self, leaves: Leaves, gradients: Leaves) -> None:
        """Change the leaves in place."""

    def resample(self, resample: Resample, area: float) -> None:
        """Adapt the state to leaves of another size, with ``area`` times as many pixels."""


def _dot(a: Leaves, b: Leaves) -> Tensor:
    return torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()


class LBFGS:
    """Limited-memory BFGS with unit steps and one evaluation per step.

    J. Nocedal, S. Wright, Numerical Optimization, algorithms 7.4 and 7.5. Keeps 2 × ``history`` copies of the leaves.

    Args:
        history: number of previous steps to keep.
        first_step: largest change of any element by the first step, before curvature is known.
        precondition: a symmetric, positive definite operator, near the inverse Hessian up to a factor; the identity by
            default.
    """

    def __init__(
        self, history: int = 20, first_step: float = 0.02, precondition: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self.first_step, self.precondition = first_step, precondition
        self.pairs: deque[tuple[list[Tensor], list[Tensor], Tensor]] = deque(maxlen=history)  # s, y, 1 / s·y
        self.before: tuple[list[Tensor], list[Tensor]] | None = None  # leaves and gradients of the previous step

    @torch.no_grad()
    def update(self, leaves: Leaves, gradients: Leaves) -> None:
        """One step along the two-loop recursion's direction."""
        if self.before is not None:
            s = [now - then for now, then in zip(leaves, self.before[0], strict=True)]
            y = [now - then for now, then in zip(gradients, self.before[1], strict=True)]
            curvature = _dot(s, y)
            # Without a line search the curvature may be negative; such a pair could make the step an ascent.
            if curvature > 1e-10 * _dot(y, y):
                self.pairs.append((s, y, 1 / curvature))
        self.before = [x.clone() for x in leaves], [g.clone() for g in gradients]
        for leaf, change in zip(leaves, self._direction(gradients), strict=True):
            leaf += change

    def _direction(self, gradients: Leaves) -> list[Tensor]:
        direction = [-g for g in gradients]
        steps = []
        for s, y, rho in reversed(self.pairs):
            alpha = rho * _dot(s, direction)
            steps.append(alpha)
            for d, y_ in zip(direction, y, strict=True):
                d -= alpha * y_
        direction = self._preconditioned(direction)
        if self.pairs:
            _, y, rho = self.pairs[-1]
            scale = 1 / (rho * _dot(y, self._preconditioned(y)))
        else:
            largest = torch.stack([d.abs().max() for d in direction]).max()
            scale = self.first_step / largest.clamp_min(torch.finfo(largest.dtype).tiny)
        for d in direction:
            d *= scale
        for (s, y, rho), alpha in zip(self.pairs, reversed(steps), strict=True):
            beta = alpha - rho * _dot(y, direction)
            for d, s_ in zip(direction, s, strict=True):
                d += beta * s_
        return direction

    def _preconditioned(self, tensors: list[Tensor]) -> list[Tensor]:
        return tensors if self.precondition is None else [self.precondition(t) for t in tensors]

    def resample(self, resample: Resample, area: float) -> None:
        """Resample the curvature pairs.

        The losses are means over positions, so the gradient of one pixel is inversely proportional to their number:
        the gradient differences are divided by the ratio of areas, and s·y keeps its value.
        """
        self.before = None
        carried = []
        for s, y, _ in self.pairs:
            s, y = [resample(t) for t in s], [resample(t) / area for t in y]
            if (curvature := _dot(s, y)) > 0:
                carried.append((s, y, 1 / curvature))
        self.pairs = deque(carried, maxlen=self.pairs.maxlen)


class Adam:
    """Adam of torch with β₂ = 0.99, which suits short runs.

    Args:
        rate: learning rate, in units of the leaves.
        bounds: clamp the leaves to these bounds after each step; None for no bounds.
    """

    def __init__(self, rate: float = 0.03, bounds: tuple[float, float] | None = (0.0, 1.0)) -> None:
        self.rate = rate
        self.bounds = bounds
        self.adam: torch.optim.Adam | None = None
        self.carried: list[dict[str, Tensor]] = []

    def update(self, leaves: Leaves, gradients: Leaves) -> None:
        """One step."""
        if self.adam is None:
            self.adam = torch.optim.Adam(leaves, lr=self.rate, betas=(0.9, 0.99))
            self.adam.state.update(zip(leaves, self.carried, strict=False))
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient
        self.adam.step()
        if self.bounds is not None:
            with torch.no_grad():
                for leaf in leaves:
                    leaf.clamp_(*self.bounds)

    def resample(self, resample: Resample, area: float) -> None:
        """Resample both moments, divided as the gradients are."""
        if self.adam is not None:
            self.carried = [
                {
                    "step": state["step"],
                    "exp_avg": resample(state["exp_avg"]) / area,
                    "exp_avg_sq": resample(state["exp_avg_sq"]).clamp_min(0) / area**2,
                }
                for state in self.adam.state.values()
            ]
            self.adam = None
