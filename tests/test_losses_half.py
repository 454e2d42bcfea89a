"""Gradients in half precision, beside those in float64."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.reference.published import pictures as published
from tests.test_losses_safety import make, with_gradient
from vggapps.losses import DISTANCES, functional
from vggapps.vgg._exact import Radial, ResponseNorm
from vggapps.vgg._plan import Pooled
from vggapps.vgg._pooling import POOLINGS, Pool, Summarize

D = torch.float64
halves = pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
ways = pytest.mark.parametrize("way", ["autocast", "half"])
# What the rounding of features leaves of a gradient: bfloat16 has 8 bits of them, and may choose another nearest one.
LEAST = {torch.float16: 0.98, torch.bfloat16: 0.9}


def scaled_gradient(function: Any, x: Tensor, half: torch.dtype | None) -> Tensor:
    """As a ``GradScaler`` has it: of the largest power of two, from 2^16 down, that does not overflow."""
    x = x.detach().requires_grad_()
    with nullcontext() if half is None else torch.autocast("cpu", half):
        found = function(x)
    for power in range(16, -1, -1):
        (gradient,) = torch.autograd.grad(found.sum() * 2.0**power, x, retain_graph=True)
        if gradient.isfinite().all():
            return gradient.double() / 2.0**power
    return gradient


def near(found: Tensor, expected: Tensor, half: torch.dtype) -> None:
    assert found.isfinite().all()
    assert torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > LEAST[half]
    assert float(found.norm()) == pytest.approx(float(expected.norm()), rel=0.1)


@pytest.mark.parametrize("name", [*DISTANCES, "lpips alex", "lpips squeeze", "dists"])
@ways
@halves
def test_gradients_are_near_those_of_float64(name: str, way: str, half: torch.dtype) -> None:
    x, y = (published()[picture][:, :, :32, :32] for picture in ("noise1", "blur1"))
    expected = with_gradient(make(name), x, y)[1]
    loss = make(name).to(half) if way == "half" else make(name).float()
    x, y = (t.to(half) if way == "half" else t.float() for t in (x, y))
    near(scaled_gradient(lambda t: loss(t, y), x, half if way == "autocast" else None), expected, half)


PIXELS: dict[str, Any] = {
    "ssim": functional.ssim,
    "ms_ssim": functional.ms_ssim,
    "psnr": functional.psnr,
    "focal_frequency": functional.focal_frequency,
    "total_variation": lambda x, _: functional.total_variation(x),
}


@pytest.mark.parametrize("name", PIXELS)
@ways
@halves
def test_gradients_of_measures_of_pixels_are_near_those_of_float64(name: str, way: str, half: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    x, noise = (torch.rand(2, 3, 176, 176, generator=generator, dtype=D) for _ in range(2))
    y = (x + 0.1 * noise) / 1.1
    expected = scaled_gradient(lambda t: PIXELS[name](t, y), x, None)
    x, y = (t.to(half) if way == "half" else t.float() for t in (x, y))
    near(scaled_gradient(lambda t: PIXELS[name](t, y), x, half if way == "autocast" else None), expected, half)


@pytest.mark.parametrize("summary", ["avg", "max", "avg+max"])
@ways
@halves
def test_gradients_of_summaries_are_near_those_of_float64(summary: str, way: str, half: torch.dtype) -> None:
    layer = Summarize(Pooled(summary, root=True))  # type: ignore[arg-type]
    x = torch.rand(2, 8, 7, 7, generator=torch.Generator().manual_seed(3), dtype=D) + 0.1
    expected = scaled_gradient(layer, x, None)
    x = x.to(half) if way == "half" else x.float()
    near(scaled_gradient(layer, x, half if way == "autocast" else None), expected, half)


@halves
def test_dists_of_similar_pictures_pulls_the_same_way_under_autocast(half: torch.dtype) -> None:
    y = published()["wave"]
    x = y + 0.02 * torch.randn(y.shape, generator=torch.Generator().manual_seed(5), dtype=D)
    expected, loss = with_gradient(make("dists"), x, y)[1], make("dists").float()
    found = scaled_gradient(lambda t: loss(t, y.float()), x.float(), half)
    assert torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > 0.999


@pytest.mark.parametrize("layer", [*map(Pool, POOLINGS), ResponseNorm(5, 5e-4, 0.75, 2.0)], ids=str)
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
@ways
@halves
def test_layers_between_hold_large_and_small_numbers(
    layer: nn.Module, size: float, way: str, half: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(1)
    x = (size * torch.randn(1, 8, 8, 8, generator=generator)).relu().to(half)
    weights = torch.randn(layer(x).shape, generator=generator)
    expected = scaled_gradient(lambda t: (layer(t) * weights).sum(), x.double(), None)
    near(scaled_gradient(lambda t: (layer(t) * weights).sum(), x, half if way == "autocast" else None), expected, half)


@halves
def test_radial_functions_are_left_alone_by_autocast(half: torch.dtype) -> None:
    layer = Radial(16, 5)
    nn.init.normal_(layer.weight, std=20.0)
    x = layer.weight.detach() + 0.05
    with torch.autocast("cpu", half):
        found = layer(x)
    torch.testing.assert_close(found, layer(x))
    assert found.dtype == torch.float32


@pytest.mark.parametrize("name", ["l2", "charbonnier", "frobenius", "squared_error", "huber"])
@halves
def test_criteria_of_half_maps_hold_their_squares(name: str, half: torch.dtype) -> None:
    x, y = (300 * torch.rand(1, 4, 6, 6, generator=torch.Generator().manual_seed(s)).to(half) for s in (1, 2))
    criterion = getattr(functional, name)
    expected = scaled_gradient(lambda t: criterion(t, y.double()), x.double(), None)
    near(scaled_gradient(lambda t: criterion(t, y), x, None), expected, half)


@pytest.mark.parametrize("name", [*DISTANCES, "lpips alex", "dists"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, D], ids=str)
def test_a_target_may_have_any_dtype(name: str, dtype: torch.dtype) -> None:
    loss = make(name).float()
    x, y = (published()[picture][:, :, :32, :32].float() for picture in ("noise1", "blur1"))
    target = loss.prepare(y)
    assert float(loss(x, target.to(dtype))) == pytest.approx(float(loss(x, target)), rel=0.02)
