"""Style, content and variation: formulas, scale, and what must not happen at zero."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from tests.reference.style import TWINS, covariance, mean, second
from vggapps.errors import SettingsError
from vggapps.losses._distance import DISTANCES
from vggapps.losses._moments import Moments, moments
from vggapps.losses._variation import total_variation
from vggapps.style._score import content_term, style_term
from vggapps.style._settings import StyleLossName

NAMES = ["mean-covariance", "gram", "mean-std"]  # relative to their target


def features(seed: int, height: int = 7, width: int = 5, channels: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, channels, height, width, generator=generator, dtype=torch.float64) ** 2


def test_moments_are_the_slow_ones() -> None:
    f = features(0)
    m = moments(f)
    for ours, twin in ((m.mean, mean), (m.second, second), (m.covariance, covariance)):
        torch.testing.assert_close(ours[0], torch.from_numpy(twin(f[0].numpy())))


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_the_moments_gradient_is_that_of_the_formula_twice_over(memory: torch.memory_format) -> None:
    x = features(1, 3, 4, 3).to(memory_format=memory).requires_grad_()

    def both(f: Tensor) -> tuple[Tensor, Tensor]:
        m = moments(f)
        return m.mean, m.second

    assert torch.autograd.gradcheck(both, x)
    assert torch.autograd.gradgradcheck(both, x)


def test_the_gradient_of_bfloat16_features_is_the_float32_one_rounded() -> None:
    x = features(1, 32, 32, 16).bfloat16()
    gradients = []
    for f in (x.clone(), x.float()):
        m = moments(f.requires_grad_())
        (g,) = torch.autograd.grad((m.second * torch.arange(16.0)).sum() + m.mean.sum(), f)
        gradients.append(g.float())
    assert (gradients[0] - gradients[1]).norm() < 0.01 * gradients[1].norm()


def test_moments_of_tiles_weighted_by_area_are_those_of_the_whole() -> None:
    f = features(0, height=8)
    parts = moments(f[:, :, :3]) * (3 / 8) + moments(f[:, :, 3:]) * (5 / 8)
    torch.testing.assert_close(parts.second, moments(f).second)
    torch.testing.assert_close(parts.covariance, moments(f).covariance)


def test_moments_of_half_precision_features_are_float32() -> None:
    """Sums of squares of features of 300 over 4096 positions overflow float16, and bfloat16 would lose them."""
    f = torch.full((1, 2, 64, 64), 300.0).half()
    m = moments(f)
    assert m.second.dtype == torch.float32
    torch.testing.assert_close(m.second, torch.full((1, 2, 2), 90000.0))


@pytest.mark.parametrize("name", NAMES)
def test_every_style_distance_is_its_formula(name: str) -> None:
    x, target = features(1), features(2, height=9, width=4)  # sizes may differ
    ours = DISTANCES[name](moments(x), moments(target))
    assert float(ours) == pytest.approx(TWINS[name](x[0].numpy(), target[0].numpy()), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_style_distances_have_right_gradients(name: str) -> None:
    target = moments(features(2))
    x = features(1, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: DISTANCES[name](moments(t), target), x)


@pytest.mark.parametrize("name", NAMES)
def test_style_distances_do_not_depend_on_the_features_scale(name: str) -> None:
    x, target = features(1), features(2)
    small, large = (DISTANCES[name](moments(s * x), moments(s * target)) for s in (1.0, 100.0))
    assert float(small) == pytest.approx(float(large), rel=2e-3)  # AdaIN's 1e-5 under the root has a scale


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["itself", "nothing"])
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_no_nan_at_equality_or_without_features(name: str, target: str) -> None:
    x = features(1).float().requires_grad_()
    other = moments(x.detach() if target == "itself" else torch.zeros_like(x))
    with torch.autograd.detect_anomaly(check_nan=True):
        loss = DISTANCES[name](moments(x), other).sum()
        (gradient,) = torch.autograd.grad(loss, x)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()
    if target == "itself":
        assert float(loss.detach()) < 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_a_flat_style_does_not_blow_a_layer_up(name: str) -> None:
    """A target without any spread counts at most tenfold."""
    flat = torch.ones(1, 6, 7, 5, dtype=torch.float64) * 1e-6
    assert float(DISTANCES[name](moments(features(1)), moments(flat))) < 10.01


def test_a_style_loss_is_the_weighted_mean_of_its_layers() -> None:
    target = {"a": moments(features(1)), "b": moments(features(2))}
    found = {"a": moments(features(3)), "b": moments(features(4))}
    one = [float(style_term({k: target[k]}, "gram")(found)) for k in target]
    assert float(style_term(target, "gram")(found)) == pytest.approx(sum(one) / 2)
    weighted = style_term(target, "gram", {"a": 6.0, "b": 2.0})(found)
    assert float(weighted) == pytest.approx(0.75 * one[0] + 0.25 * one[1])


def test_a_wrong_style_loss_is_told_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'gram'"):
        style_term({}, "grams")


def test_stylizing_takes_its_style_losses_from_the_table() -> None:
    assert {name for name, one in DISTANCES.items() if one.of == "moments"} == set(get_args(StyleLossName))


def test_content_is_squared_error_over_the_targets_mean_square() -> None:
    x, target = features(1), features(2)
    expected = ((x - target) ** 2).mean() / (target**2).mean()
    assert float(content_term({"l": target})({"l": x})) == pytest.approx(float(expected), rel=1e-5)
    assert float(content_term({"l": target})({"l": target})) == 0
    assert float(content_term({"l": target})({"l": torch.zeros_like(x)})) == pytest.approx(1)


def test_content_of_tiles_adds_up_by_area() -> None:
    x, target = features(1, 8, 6), features(2, 8, 6)
    loss = content_term({"l": target})
    rows = (slice(0, 2), slice(2, 8))
    top, bottom = (loss.part({"l": (r, slice(0, 6))}) for r in rows)
    parts = top({"l": x[:, :, rows[0]]}, {"l": 2 / 8}) + bottom({"l": x[:, :, rows[1]]}, {"l": 6 / 8})
    assert float(parts) == pytest.approx(float(loss({"l": x})), rel=1e-6)


def test_total_variation_of_a_ramp_is_its_slope_squared() -> None:
    ramp = torch.linspace(0, 1, 11).expand(1, 3, 4, 11)
    assert float(total_variation(ramp)) == pytest.approx(0.01)
    assert float(total_variation(ramp.mT)) == pytest.approx(0.01)


def test_moments_mix_linearly() -> None:
    a, b = moments(features(1)), moments(features(2))
    both = a * 0.25 + b * 0.75
    assert isinstance(both, Moments)
    torch.testing.assert_close(both.mean, 0.25 * a.mean + 0.75 * b.mean)
