"""Wasserstein distance of Gaussians: how far features must be carried to get the target's means and covariances."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.losses._moments import Moments
from vggapps.vgg._derivatives import transformed
from vggapps.vgg._exact import without_autocast

# Singular values under this are raised as fast as the iteration can; it stays safely away from turning large ones over.
_STEEP = 0.05
# Steps that take these to 1, in float64 (in float32 one fewer).
_LAST = 8
# A target that is nearly flat counts as having at least this part of the picture's own variance.
_FLOOR = 0.01


def wasserstein(x: Moments, y: Moments, *, epsilon: float = 1e-4, iterations: int = 22) -> Float[Tensor, " n"]:
    """Squared 2-Wasserstein distance of the Gaussians with these moments, over the number of channels.

    mean((μx - μy)²) + tr(Sx + Sy - 2 (Sx Sy)^½) / c, as in crowsonkb/style-transfer-pytorch, with S the covariance
    plus a ridge. Never negative; exact zero, with no gradient, for equal moments.

    The trace of the root is the nuclear norm of K = Axᵀ Ay for Cholesky factors A Aᵀ = S, and the whole is
    ‖Ax Q - Ay‖² for the orthogonal factor Q of K, a sum of squares, where nothing cancels near equality. Q comes from
    Newton-Schulz steps on K, whose condition is the root of the product's: what float32 can bear when there are fewer
    positions than channels.

    Takes 2 products of c × c matrices a step, and gradients flow to both.

    Args:
        x: moments of the picture being optimised.
        y: moments of the target.
        epsilon: the ridge, relative to the target's mean variance (no less than a hundredth of the picture's), a
            constant for the gradient. The published code adds an absolute 1e-4. It is at least the features' mean
            square times c times the dtype's epsilon, so that rounding can't make a covariance indefinite.
        iterations: Newton-Schulz steps; 22 are enough for a condition of K of 10⁷. What more there is falls short,
            which matters no more than the ridge.
    """
    with without_autocast(x.mean):
        means: Tensor = (x.mean - y.mean).square().mean(1)
        return means + _covariances(x, y, epsilon, iterations)


def _covariances(x: Moments, y: Moments, epsilon: float, iterations: int) -> Float[Tensor, " n"]:
    channels = x.mean.shape[1]
    dtype = torch.promote_types(x.mean.dtype, y.mean.dtype)
    a, b = x.covariance.to(dtype), y.covariance.to(dtype)
    own, wanted = (s.detach().diagonal(dim1=1, dim2=2).mean(1) for s in (a, b))
    powers = [m.second.detach().diagonal(dim1=1, dim2=2).mean(1) for m in (x, y)]
    finfo = torch.finfo(a.dtype)
    # All in units of the features' mean square. Second moments are rounded relative to it, in c × c places; with that
    # much added no eigenvalue of a covariance is negative.
    power = torch.maximum(*powers).clamp_min(finfo.tiny**0.5)
    ridge = (epsilon * torch.maximum(wanted, _FLOOR * own) / power).clamp_min(channels * finfo.eps)
    unit, ridge = power.view(-1, 1, 1), ridge.view(-1, 1, 1)
    added = ridge * torch.eye(channels, dtype=a.dtype, device=a.device)
    function = _by_steps if transformed(a, b) else _Distance.apply
    distance: Tensor = function(a / unit + added, b / unit + added, ridge, iterations)[0]  # type: ignore[operator]
    return distance * (power / channels)


def _by_steps(
    a: Float[Tensor, "n c c"], b: Float[Tensor, "n c c"], smallest: Float[Tensor, "n 1 1"], iterations: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """tr(A + B - 2 (A B)^½), and what it is made of: both Cholesky factors and the orthogonal one."""
    left, right = (torch.linalg.cholesky_ex(s).L for s in (a, b))  # the plain one waits for the GPU, to complain
    factor = _orthogonal(left.mT @ right, smallest, iterations)
    return (left @ factor - right).square().sum((1, 2)), left, right, factor


class _Distance(torch.autograd.Function):
    """tr(A + B - 2 (A B)^½) with its gradient I - B (A B)^-½ written out.

    Autograd would go back through all steps, at three times the cost and with all of them kept. For second derivatives
    it does: the root's own gradient is a Lyapunov equation, and through eigenvectors it is not a number where
    eigenvalues repeat.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, b: Tensor, smallest: Tensor, iterations: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        distance, left, right, factor = _by_steps(a, b, smallest, iterations)
        return distance * _differ(a, b), left, right, factor  # equal up to rounding squared anyway; equal without

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        a, b, smallest, ctx.iterations = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(a, b, smallest, *output[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        a, b, smallest, left, right, factor = ctx.saved_tensors
        differ = _differ(a, b).view(-1, 1, 1)
        one = torch.eye(left.shape[1], dtype=left.dtype, device=left.device)

        def to(own: Tensor, other: Tensor) -> Tensor:
            # B (A B)^-½ = Ay Qᵀ Ax⁻¹, symmetric but for rounding.
            ratio: Tensor = torch.linalg.solve_triangular(own, other, upper=False, left=False)
            return gradient.view(-1, 1, 1) * differ * (one - ratio)

        first, second = ctx.needs_input_grad[:2]
        with without_autocast(left):  # which may be on again by now
            if torch.is_grad_enabled():  # somebody wants the gradient's own derivative
                wanted = [t for t, needed in zip((a, b), ctx.needs_input_grad, strict=False) if needed]
                distance = _by_steps(a, b, smallest, ctx.iterations)[0]
                slopes = iter(torch.autograd.grad(distance, wanted, gradient, create_graph=True))
                found = [next(slopes) if needed else None for needed in ctx.needs_input_grad[:2]]
                # Of equal moments only rounding.
                return *(g if g is None else g - (g * (1 - differ)).detach() for g in found), None, None
            return (
                to(left, right @ factor.mT) if first else None,
                to(right, left @ factor) if second else None,
                None,
                None,
            )


def _differ(a: Tensor, b: Tensor) -> Float[Tensor, " n"]:
    return (a != b).flatten(1).any(1).to(a)


def _orthogonal(k: Float[Tensor, "n c c"], smallest: Float[Tensor, "n 1 1"], iterations: int) -> Float[Tensor, "n c c"]:
    """The nearest orthogonal matrix, U Vᵀ of K = U D Vᵀ, by scaled Newton-Schulz steps (Chen and Chow 2014).

    A step is ρ X (3 - ρ² XᵀX) / 2: with ρ² = 3 / (1 + l + l²) it takes singular values in [l, 1] as near to 1 as a
    cubic can. Unscaled (ρ = 1) it makes small ones half as large again, scaled two and a half times as large.

    Args:
        smallest: a lower bound of the singular values.
        iterations: how many steps.
    """
    # ‖KᵀK‖^½ (Frobenius) is no less than the largest singular value, and nearer to it than ‖K‖.
    norm = (k.mT @ k).square().sum((1, 2), keepdim=True) ** 0.25 * 1.001
    x, least = k / norm, smallest / norm
    for step in range(iterations):
        if step == iterations - _LAST:  # what is still smaller must not keep the others from arriving
            least = least.clamp_min(_STEEP)
        bound = least.clamp_min(_STEEP)
        squared = 3 / (1 + bound + bound.square())
        scale = squared.sqrt()
        x = 1.5 * scale * x - x @ (0.5 * scale * squared * (x.mT @ x))
        least = scale * least * (1.5 - 0.5 * squared * least.square())
    return x
