"""Second derivatives and ``torch.func``: of every loss, right or refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from tests.reference.narrow import D, network, perceptual, pictures
from tests.test_losses_safety import make, silent, two
from vggapps.errors import SettingsError
from vggapps.losses import DISTANCES, functional
from vggapps.losses._moments import Moments, moments
from vggapps.losses._wasserstein import wasserstein

# The large networks of the metrics are run where that is worth its time; AlexNet stands for LPIPS.
NAMES = [*DISTANCES, "lpips alex", "lpips squeeze", "dists"]
every = pytest.mark.parametrize("name", NAMES)
# Between kinks these are straight: what their gradients' penalty depends on is constant.
STRAIGHT = ("l1",)


def slope(loss: Callable[..., Tensor], x: Tensor, y: Any, *, again: bool = False) -> tuple[Tensor, Tensor]:
    x = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x, y).sum(), x, create_graph=again)
    return x, gradient


def penalty(loss: Callable[..., Tensor], x: Tensor, y: Any) -> Tensor:
    """The gradient of ‖∇‖²."""
    x, gradient = slope(loss, x, y, again=True)
    return torch.autograd.grad(gradient.square().sum(), x)[0] if gradient.requires_grad else torch.zeros_like(x)


def direction(x: Tensor) -> Tensor:
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=x.dtype)


@pytest.mark.parametrize(
    ("name", "checkpoint"),
    [*((n, False) for n in NAMES if n != "mmd"), ("l2", True), ("wasserstein", True), ("lpips alex", True)],
)
def test_a_gradient_penalty_has_the_gradient_that_differences_say(name: str, checkpoint: bool) -> None:
    """But of MMD, whose kernel's width is a constant for the gradient on purpose."""
    loss, (x, y) = make(name, checkpoint=checkpoint), two(name)
    target, step = loss.prepare(y), 1e-6 * direction(x)
    ahead, behind = (slope(loss, x + s, target)[1].square().sum() for s in (step, -step))
    found = (penalty(loss, x, target) * step).sum()
    assert float(found) == pytest.approx(float(ahead - behind) / 2, rel=1e-5, abs=0)


@every
def test_second_derivatives_are_numbers_for_equal_pictures_and_pictures_without_features(name: str) -> None:
    loss, (x, y) = make(name, silent), two(name)
    black = torch.zeros_like(x)
    for a, b in ((x, x), (black, black), (black, y), (x, black)):
        assert penalty(loss, a, b).isfinite().all()


@pytest.mark.parametrize("kind", ["isotropic", "l1", "squared"])
def test_second_derivatives_of_variation_are_numbers_for_a_flat_picture(kind: Any) -> None:
    assert (
        penalty(lambda x, _: functional.total_variation(x, kind), torch.full((1, 3, 4, 5), 0.5), None).isfinite().all()
    )


# the distance with a backward pass of its own


def gaussians(*flat: Tensor) -> Tensor:
    own, wanted = ((t + t.mT) / 2 for t in flat)
    return wasserstein(*(Moments(s.new_zeros(s.shape[:2]), s, 1) for s in (own, wanted)), epsilon=1e-8, iterations=40)


def covariance(seed: int) -> Tensor:
    root = torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=D)
    return root @ root.mT + 0.3 * torch.eye(4, dtype=D)


def test_wasserstein_is_twice_differentiable_towards_both() -> None:
    both = [covariance(seed).requires_grad_() for seed in (1, 2)]
    assert torch.autograd.gradcheck(gaussians, both)
    assert torch.autograd.gradgradcheck(gaussians, both, fast_mode=True)


@pytest.mark.parametrize("a", [2.0, 0.5])
def test_wasserstein_has_the_curvature_of_the_closed_form(a: float) -> None:
    """(√a - √b)² along the diagonal has a second derivative of ½ √b a^-3/2, also for equal moments."""
    b = 2.0 * torch.eye(4, dtype=D)[None]
    scale = torch.tensor(a / 2, dtype=D, requires_grad=True)
    (first,) = torch.autograd.grad(gaussians(scale * b, b).sum(), scale, create_graph=True)
    second = torch.autograd.grad(first, scale)[0].detach()
    assert float(first.detach()) == pytest.approx(2 * (1 - (2 / a) ** 0.5), abs=1e-6)
    assert float(second) == pytest.approx(2**2 * 0.5 * 2**0.5 * a**-1.5, rel=1e-5)


# torch.func


def near(found: Tensor, expected: Tensor) -> None:
    found, expected = found.detach(), expected.detach()
    assert float((found - expected).norm()) <= 1e-8 * float(expected.norm())


@every
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own, in forward mode
def test_torch_func_gives_what_autograd_gives(name: str) -> None:
    loss, (x, y) = make(name), two(name)
    v, func = direction(x), torch.func

    def total(t: Tensor, wanted: Any = y) -> Tensor:
        return loss(t, wanted).sum()

    at, gradient = slope(loss, x, y, again=True)
    near(func.grad(total)(x), gradient)
    near(func.jvp(total, (x,), (v,))[1], (gradient * v).sum())
    with forward_ad.dual_level():
        near(forward_ad.unpack_dual(total(forward_ad.make_dual(x, v))).tangent, (gradient * v).sum())
    if gradient.requires_grad:
        (product,) = torch.autograd.grad((gradient * v).sum(), at)
        near(func.jvp(func.grad(total), (x,), (v,))[1], product)
    singles = torch.cat([func.grad(total)(a[None], b[None]) for a, b in zip(x, y, strict=True)])
    near(func.vmap(func.grad(lambda a, b: total(a[None], b[None])))(x, y), singles)
    target = loss.prepare(y[:1])
    near(func.vmap(lambda a: total(a[None], target))(x), torch.stack([total(a[None], target) for a in x]))


def test_what_does_not_follow_the_transform_may_be_measured_inside_it() -> None:
    vgg, y = network(), pictures(2, 1, 16, 16)
    expected = moments(vgg.features(y, ["relu2_1"])["relu2_1"]).second

    def scaled(factor: Tensor) -> Tensor:
        inner = moments(vgg.features(y, ["relu2_1"])["relu2_1"])
        return factor * inner.second + wasserstein(inner, inner)

    torch.testing.assert_close(torch.func.vmap(scaled)(torch.ones(2, dtype=D)), torch.stack([expected, expected]))


def test_strips_of_a_large_matrix_are_no_hindrance(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, (x, y) = make("mmd"), two("mmd")
    expected = slope(loss, x, y)[1]
    monkeypatch.setattr("vggapps.losses._distribution.ENTRIES_AT_ONCE", 16)
    near(torch.func.grad(lambda t: loss(t, y))(x), expected)


def test_ranges_and_masks_are_looked_at_inside_vmap() -> None:
    loss, x, y = perceptual("relu2_1"), pictures(1, 2, 16, 16), pictures(2, 2, 16, 16)
    each = torch.func.vmap(lambda a, b, m: loss(a[None], b[None], mask=m[None]))
    mask = torch.rand(2, 1, 16, 16, dtype=D)
    near(each(x, y, mask), torch.stack([loss(x[i : i + 1], y[i : i + 1], mask=mask[i : i + 1]) for i in (0, 1)]))
    with pytest.raises(SettingsError, match=r"looks like 0\.\.255"):
        each(x, 255 * y, mask)
    with pytest.raises(SettingsError, match="negative"):
        each(x, y, -mask)


def test_recomputing_is_refused_inside_torch_func() -> None:
    x, y = pictures(1, 2, 16, 16), pictures(2, 2, 16, 16)
    with pytest.raises(SettingsError, match="checkpoint=False"):
        torch.func.grad(perceptual("relu2_1", checkpoint=True))(x, y)
