"""Wasserstein distance between Gaussians with the moments of two pictures' features."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.losses._moments import Moments
from vggapps.vgg._derivatives import is_transformed
from vggapps.vgg._exact import without_autocast

# Lower bound of the singular values that a step is scaled for: a smaller one would map large ones to 0 or below.
_STEEP = 0.05
# Steps from this bound to 1 in float64 (in float32 one fewer).
_LAST = 8
# The target's variance counts as at least this part of the picture's own, for nearly flat targets.
_FLOOR = 0.01


def wasserstein(x: Moments, y: Moments, *, epsilon: float = 1e-4, iterations: int = 22) -> Float[Tensor, " n"]:
    """Squared 2-Wasserstein distance of the Gaussians with these moments, over the number of channels.

    mean((μx - μy)²) + tr(Sx + Sy - 2 (Sx Sy)^½) / c, as in crowsonkb/style-transfer-pytorch, with S the covariance
    plus a ridge. Never negative; exactly zero, with zero gradient, for equal moments.

    The trace of the root is the nuclear norm of K = Axᵀ Ay for Cholesky factors A Aᵀ = S, and the trace term is
    ‖Ax Q - Ay‖² for the orthogonal factor Q of K, a sum of squares without cancellation near equality. Q is computed by
    Newton-Schulz steps on K, whose condition number is the root of that of Sx Sy and so low enough for float32, also
    with fewer positions than channels.

    A step takes 2 products of c × c matrices. Gradients flow to both.

    Args:
        x: moments of the picture being optimised.
        y: moments of the target.
        epsilon: the ridge, relative to the target's mean variance (at least a hundredth of the picture's), constant for
            the gradient. The published code adds an absolute 1e-4. It is at least the features' mean square times c
            times the dtype's epsilon, so that rounding can't make a covariance indefinite.
        iterations: Newton-Schulz steps; 22 are enough for a condition number of K of 10⁷. Smaller singular values do
            not converge, which matters no more than the ridge.
    """
    with without_autocast(x.mean):
        means: Tensor = (x.mean - y.mean).square().mean(1)
        return means + _covariances(x, y, epsilon, iterations)


def _covariances(x: Moments, y: Moments, epsilon: float, iterations: int) -> Float[Tensor, " n"]:
    channels = x.mean.shape[1]
    dtype = torch.promote_types(x.mean.dtype, y.mean.dtype)
    a, b = x.covariance.to(dtype), y.covariance.to(dtype)
    variance, target_variance = (s.detach().diagonal(dim1=1, dim2=2).mean(1) for s in (a, b))
    powers = [m.second.detach().diagonal(dim1=1, dim2=2).mean(1) for m in (x, y)]
    finfo = torch.finfo(a.dtype)
    # In units of the features' mean square. The c × c second moments have rounding errors relative to it; a ridge of
    # that size keeps all eigenvalues of a covariance positive.
    power = torch.maximum(*powers).clamp_min(finfo.tiny**0.5)
    ridge = (epsilon * torch.maximum(target_variance, _FLOOR * variance) / power).clamp_min(channels * finfo.eps)
    unit, ridge = power.view(-1, 1, 1), ridge.view(-1, 1, 1)
    added = ridge * torch.eye(channels, dtype=a.dtype, device=a.device)
    function = _by_steps if is_transformed(a, b) else _Distance.apply
    distance: Tensor = function(a / unit + added, b / unit + added, ridge, iterations)[0]  # type: ignore[operator]
    return distance * (power / channels)


def _by_steps(
    a: Float[Tensor, "n c c"], b: Float[Tensor, "n c c"], smallest: Float[Tensor, "n 1 1"], iterations: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """tr(A + B - 2 (A B)^½), both Cholesky factors and the orthogonal factor."""
    left, right = (torch.linalg.cholesky_ex(s).L for s in (a, b))  # cholesky would synchronise with the GPU
    factor = _orthogonal(left.mT @ right, smallest, iterations)
    return (left @ factor - right).square().sum((1, 2)), left, right, factor


class _Distance(torch.autograd.Function):
    """tr(A + B - 2 (A B)^½) with an explicit gradient I - B (A B)^-½.

    Autograd would go back through all steps, at three times the cost, and keep them in memory. It is used for second
    derivatives only: there the gradient of the root needs a Lyapunov equation, or eigenvectors, which give NaN for
    repeated eigenvalues.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, b: Tensor, smallest: Tensor, iterations: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        distance, left, right, factor = _by_steps(a, b, smallest, iterations)
        return distance * _differ(a, b), left, right, factor  # exactly 0 for equal matrices

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

        def grad(factor: Tensor, other: Tensor) -> Tensor:
            # B (A B)^-½ = Ay Qᵀ Ax⁻¹, symmetric up to rounding.
            ratio: Tensor = torch.linalg.solve_triangular(factor, other, upper=False, left=False)
            return gradient.view(-1, 1, 1) * differ * (one - ratio)

        needs_a, needs_b = needed = ctx.needs_input_grad[:2]
        with without_autocast(left):  # it may be enabled again in the backward pass
            if torch.is_grad_enabled():  # for second derivatives
                inputs = [t for t, need in zip((a, b), needed, strict=True) if need]
                distance = _by_steps(a, b, smallest, ctx.iterations)[0]
                gradients = iter(torch.autograd.grad(distance, inputs, gradient, create_graph=True))
                found = [next(gradients) if need else None for need in needed]
                # For equal moments the values are only rounding errors.
                return *(g if g is None else g - (g * (1 - differ)).detach() for g in found), None, None
            to_a = grad(left, right @ factor.mT) if needs_a else None
            to_b = grad(right, left @ factor) if needs_b else None
            return to_a, to_b, None, None


def _differ(a: Tensor, b: Tensor) -> Float[Tensor, " n"]:
    return (a != b).flatten(1).any(1).to(a)


def _orthogonal(k: Float[Tensor, "n c c"], smallest: Float[Tensor, "n 1 1"], iterations: int) -> Float[Tensor, "n c c"]:
    """The nearest orthogonal matrix, U Vᵀ of K = U D Vᵀ, by scaled Newton-Schulz steps (Chen and Chow 2014).

    A step is ρ X (3 - ρ² XᵀX) / 2: with ρ² = 3 / (1 + l + l²) it is the cubic that maps singular values in [l, 1]
    closest to 1. Unscaled (ρ = 1) it multiplies small ones by 1.5, scaled by 2.5. ``smallest`` is a lower bound
    of the singular values.
    """
    # ‖KᵀK‖^½ (Frobenius) is an upper bound of the largest singular value, and tighter than ‖K‖.
    norm = (k.mT @ k).square().sum((1, 2), keepdim=True) ** 0.25 * 1.001
    x, least = k / norm, smallest / norm
    for step in range(iterations):
        if step == iterations - _LAST:  # even smaller ones must not keep the others from converging
            least = least.clamp_min(_STEEP)
        bound = least.clamp_min(_STEEP)
        squared = 3 / (1 + bound + bound.square())
        scale = squared.sqrt()
        x = 1.5 * scale * x - x @ (0.5 * scale * squared * (x.mT @ x))
        least = scale * least * (1.5 - 0.5 * squared * least.square())
    return x
