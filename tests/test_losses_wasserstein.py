"""The Gaussians' distance: against SciPy's matrix root, closed forms, and in float32 where that is hard."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import distribution as twins
from vggapps.losses._moments import Moments, moments
from vggapps.losses._wasserstein import wasserstein

D = torch.float64


def maps(seed: int, positions: int, channels: int = 8, heavy: float = 0.0) -> Tensor:
    """Clouds, ``heavy`` the spread of the logarithm of the channels' deviations."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.exp(heavy * torch.linspace(-1, 1, channels, dtype=D)).view(1, -1, 1, 1)
    return torch.randn(1, channels, positions, 1, generator=generator, dtype=D).relu() * scale


def diagonal(deviations: list[float], mean: float = 0.0) -> Moments:
    mu = torch.full((1, len(deviations)), mean, dtype=D)
    return Moments(mu, torch.tensor([deviations], dtype=D).square().diag_embed() + mu.mT @ mu, 1)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("heavy", [0.0, 3.0])
@pytest.mark.parametrize("positions", [(100, 60), (4, 60), (60, 4), (4, 3)])
def test_it_is_the_formula_with_scipys_root(positions: tuple[int, int], heavy: float, scale: float) -> None:
    """Also for fewer positions than channels, whose covariances have eigenvalues of 1e4 times the ridge and of none."""
    x, y = (scale * maps(seed, count, heavy=heavy) for seed, count in enumerate(positions, 1))
    ours = wasserstein(moments(x), moments(y))
    assert float(ours) == pytest.approx(twins.wasserstein(x[0].numpy(), y[0].numpy()), rel=1e-6)


def test_of_independent_channels_it_compares_means_and_deviations() -> None:
    x, y = diagonal([1.0, 2.0, 3.0], mean=0.5), diagonal([2.0, 2.0, 0.5])
    expected = 0.5**2 + np.mean([(1 - 2) ** 2, 0, (3 - 0.5) ** 2])
    assert float(wasserstein(x, y, epsilon=1e-10)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("x", [[1.0, 1.0, 1.0], [3.0, 3.0, 1.0], [0.1, 0.1, 2.0]])
def test_gradients_are_right_both_ways_also_where_eigenvalues_repeat(x: list[float]) -> None:
    ours, theirs = diagonal(x), diagonal([2.0, 2.0, 2.0], mean=0.1)

    def loss(*flat: Tensor) -> Tensor:
        mean, second, mean2, second2 = flat
        both = (Moments(mean, (second + second.mT) / 2, 1), Moments(mean2, (second2 + second2.mT) / 2, 1))
        return wasserstein(*both, epsilon=1e-6)

    inputs = [t.clone().requires_grad_() for m in (ours, theirs) for t in (m.mean, m.second)]
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-8, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_equal_moments_cost_nothing_and_pull_nowhere(dtype: torch.dtype) -> None:
    x = maps(1, 5, channels=32, heavy=2.0).to(dtype).requires_grad_()
    loss = wasserstein(moments(x), moments(x.detach()))
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    assert float(loss.detach()) == 0
    assert not gradient.any()


@pytest.mark.parametrize("step", [1e-6, 1e-4, 1e-2])
def test_nearly_equal_pictures_cost_next_to_nothing_but_never_less(step: float) -> None:
    """Where tr(Sx + Sy - 2 (Sx Sy)^½) itself would lose all its digits."""
    y = maps(1, 16, channels=64)
    x = y * (1 + step * torch.randn(y.shape, generator=torch.Generator().manual_seed(3), dtype=D))
    exact, rounded = (float(wasserstein(moments(x.to(dtype)), moments(y.to(dtype)))) for dtype in (D, torch.float32))
    assert 0 < exact < step**2
    assert 0 <= rounded < max(step**2, 1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("positions", [(16, 16), (16, 400), (400, 16)])
def test_float32_agrees_with_float64_for_few_positions(positions: tuple[int, int], scale: float) -> None:
    found = []
    for dtype in (D, torch.float32):
        x, y = (scale * maps(seed, count, 128, 1.0).to(dtype) for seed, count in enumerate(positions, 1))
        loss = wasserstein(moments(x.requires_grad_()), moments(y))
        found.append((float(loss.detach()), torch.autograd.grad(loss.sum(), x)[0].double()))
    (exact, gradient), (rounded, rounded_gradient) = found
    assert rounded == pytest.approx(exact, rel=1e-3)
    assert (rounded_gradient - gradient).norm() < 0.02 * gradient.norm()


def test_features_twice_as_large_are_four_times_as_far() -> None:
    x, y = maps(1, 5), maps(2, 7)
    torch.testing.assert_close(wasserstein(moments(2 * x), moments(2 * y)), 4 * wasserstein(moments(x), moments(y)))


def test_too_few_steps_fall_short() -> None:
    x, y = moments(maps(1, 5)), moments(maps(2, 7))
    exact = float(wasserstein(x, y, iterations=40))
    assert float(wasserstein(x, y)) == pytest.approx(exact, rel=1e-9)
    assert float(wasserstein(x, y, iterations=4)) != pytest.approx(exact, rel=1e-3)


def test_autocast_does_not_reach_in() -> None:
    x, y = (moments(maps(seed, 20).float()) for seed in (1, 2))
    with torch.autocast("cpu", torch.bfloat16):
        found = wasserstein(x, y)
    torch.testing.assert_close(found, wasserstein(x, y))
