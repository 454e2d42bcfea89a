"""Losses and measures of pixels: total variation, focal frequency, SSIM, MS-SSIM, PSNR."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from tests.reference.published import ENTRIES, close, pair, value
from vggapps.errors import SettingsError
from vggapps.losses._quality import focal_frequency, ms_ssim, psnr, ssim
from vggapps.losses._variation import Variation, total_variation

KINDS = get_args(Variation)
ROUGH = {kind: lambda x, y, kind=kind: total_variation(x, kind) for kind in KINDS}
PAIRS = {"focal_frequency": focal_frequency, "ssim": ssim, "ms_ssim": ms_ssim, "psnr": psnr}
MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = ROUGH | PAIRS
LOSSES = [name for name in MEASURES if name != "psnr"]  # a metric, with a pole at equality


def two(name: str, n: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pictures that a measure takes, and their like with a ghost; float64, not square, the large ones gray."""
    side, channels = (176, 1) if name == "ms_ssim" else (12, 3)
    x = torch.rand(n, channels, side, side + 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x, (x + 0.2 * x.flip(3)) / 1.2


def gradient(name: str, x: Tensor, y: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(MEASURES[name](x, y).sum(), x)
    return found


# total variation


def slow_variation(picture: np.ndarray, kind: str) -> float:
    channels, height, width = picture.shape
    down, across, lengths = [], [], []
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                d = picture[c, i + 1, j] - picture[c, i, j] if i + 1 < height else None
                a = picture[c, i, j + 1] - picture[c, i, j] if j + 1 < width else None
                down += [d] if d is not None else []
                across += [a] if a is not None else []
                lengths.append(((d or 0) ** 2 + (a or 0) ** 2) ** 0.5)
    if kind == "isotropic":
        return float(np.mean(lengths))
    power = {"squared": 2, "l1": 1}[kind]
    return float(np.mean(np.abs(down) ** power) + np.mean(np.abs(across) ** power))


@pytest.mark.parametrize("kind", KINDS)
def test_total_variation_is_its_formula_for_each_picture(kind: Variation) -> None:
    x, _ = two(kind)
    assert total_variation(x, kind).tolist() == pytest.approx([slow_variation(one.numpy(), kind) for one in x])


def test_kornias_mean_is_the_l1_variation_and_its_sum_a_known_multiple() -> None:
    x, _ = pair("kornia.tv_sum")
    _, c, h, w = x.shape
    assert h == w
    assert float(total_variation(x, "l1")) == close("kornia.tv_mean")
    assert float(total_variation(x, "l1")) * c * h * (h - 1) == close("kornia.tv_sum")
    assert float(gradient("l1", x, x).norm()) * c * h * (h - 1) == pytest.approx(
        ENTRIES["kornia.tv_sum"]["grad_norm"], rel=1e-5
    )


def test_only_the_isotropic_variation_of_a_step_is_the_same_in_all_directions() -> None:
    """A disc's outline has the length 2πr; counted along the axes it has that of the square around, 8r."""
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    disc = (40 - ((x - 64) ** 2 + (y - 64) ** 2).sqrt()).clamp(-4, 4).div(8).add(0.5).view(1, 1, 128, 128)
    isotropic = float(total_variation(disc, "isotropic")) * 128 * 128
    l1 = float(total_variation(disc, "l1")) * 128 * 127
    assert isotropic == pytest.approx(2 * np.pi * 40, rel=0.01)
    assert l1 == pytest.approx(8 * 40, rel=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_pixels_has_no_neighbours_below(kind: Variation) -> None:
    row = torch.tensor([0.0, 0.5, 0.5]).view(1, 1, 1, 3)
    expected = {"squared": 0.25 / 2, "l1": 0.5 / 2, "isotropic": 0.5 / 3}[kind]
    assert float(total_variation(row, kind)) == pytest.approx(expected)
    assert float(total_variation(row.mT, kind)) == pytest.approx(expected)
    assert float(total_variation(row[..., :1], kind)) == 0


def test_a_wrong_variation_is_told_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'isotropic'"):
        total_variation(torch.zeros(1, 3, 4, 4), "isotrope")  # type: ignore[arg-type]


# focal frequency


def slow_focal_frequency(x: np.ndarray, y: np.ndarray, alpha: float) -> float:
    channels = []
    for one, other in zip(x, y, strict=True):
        height, width = one.shape
        rows, columns = (np.exp(-2j * np.pi * np.outer(range(k), range(k)) / k) / np.sqrt(k) for k in one.shape)
        distance = np.abs(rows @ one @ columns - rows @ other @ columns)
        weight = distance**alpha / (distance**alpha).max()
        channels.append((weight * distance**2).sum() / (height * width))
    return float(np.mean(channels))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0])
def test_focal_frequency_is_its_formula_for_each_picture(alpha: float) -> None:
    x, y = two("focal_frequency")
    slow = [slow_focal_frequency(a.numpy(), b.numpy(), alpha) for a, b in zip(x, y, strict=True)]
    assert focal_frequency(x, y, alpha=alpha).tolist() == pytest.approx(slow)


def test_focal_frequency_has_the_published_codes_value_and_gradient() -> None:
    x, y = pair("f.ffl")
    assert float(focal_frequency(x, y)) == close("f.ffl")
    found = gradient("focal_frequency", x, y)
    assert float(found.norm()) == pytest.approx(ENTRIES["f.ffl"]["grad_norm"], rel=1e-5)
    probes = [found[0, 0, 0, 0], found[0, 1, 32, 32], found[0, 2, 63, 62]]
    assert [float(p) for p in probes] == pytest.approx(ENTRIES["f.ffl"]["grad_probe"], rel=1e-5)


def test_with_alpha_0_frequencies_weigh_alike_and_the_loss_is_the_mean_squared_error() -> None:
    """Parseval's theorem."""
    x, y = two("focal_frequency")
    torch.testing.assert_close(focal_frequency(x, y, alpha=0), (x - y).square().mean((1, 2, 3)))


def test_a_negative_alpha_is_refused() -> None:
    with pytest.raises(SettingsError, match="alpha is -1"):
        focal_frequency(*two("focal_frequency"), alpha=-1)


# SSIM, MS-SSIM, PSNR


def test_ssim_is_kornias_and_pytorch_msssims_and_piqs() -> None:
    x, y = pair("kornia.ssim_valid")
    ours = float(ssim(x, y))
    assert ours == close("kornia.ssim_valid")
    assert ours == close("piq.ssim")
    assert ours == pytest.approx(value("msssim.ssim"), rel=2e-6)  # its window is float32
    assert abs(ours - value("torchmetrics.ssim")) > 0.01  # the border
    assert float(gradient("ssim", x, y).norm()) == pytest.approx(ENTRIES["kornia.ssim_valid"]["grad_norm"], rel=1e-5)


def test_ssim_is_scikit_images_away_from_the_border() -> None:
    x, y = pair("kornia.ssim_valid")
    theirs = structural_similarity(
        x[0].numpy(), y[0].numpy(), channel_axis=0, data_range=1.0, gaussian_weights=True, use_sample_covariance=False
    )  # crops what its window does not wholly cover
    assert float(ssim(x, y)) == pytest.approx(theirs, rel=1e-7)


def test_ms_ssim_is_torchmetrics_and_pytorch_msssims_but_for_the_border() -> None:
    x, y = pair("torchmetrics.ms_ssim")
    ours = float(ms_ssim(x, y))
    assert ours == close("torchmetrics.ms_ssim")
    assert ours == pytest.approx(value("msssim.ms_ssim"), rel=2e-5)
    assert ours != pytest.approx(value("msssim.ms_ssim"), rel=1e-5)
    assert float(gradient("ms_ssim", x, y).norm()) == pytest.approx(
        ENTRIES["torchmetrics.ms_ssim"]["grad_norm"], rel=1e-5
    )


def test_psnr_is_kornias_and_piqs() -> None:
    x, y = pair("kornia.psnr")
    assert float(psnr(x, y)) == close("kornia.psnr")
    assert float(psnr(x, y)) == pytest.approx(value("piq.psnr"), rel=1e-6)  # which adds 1e-8 to the error


def test_psnr_of_an_error_of_a_tenth_is_20_decibels_and_of_none_infinite() -> None:
    x = torch.full((2, 3, 4, 4), 0.5)
    assert psnr(x, x + torch.tensor([0.1, 0.0]).view(2, 1, 1, 1)).tolist() == [pytest.approx(20, rel=1e-5), np.inf]


def test_equal_pictures_are_as_alike_as_can_be() -> None:
    for make in (torch.zeros_like, torch.ones_like, lambda x: x):
        x = make(two("ms_ssim")[0])
        assert ssim(x, x).tolist() == pytest.approx([1, 1], abs=1e-12)
        assert ms_ssim(x, x).tolist() == pytest.approx([1, 1], abs=1e-12)
        assert focal_frequency(x, x).tolist() == [0, 0]


def test_pictures_without_any_likeness_have_an_ms_ssim_of_0_and_still_a_gradient() -> None:
    x, _ = two("ms_ssim")
    assert ms_ssim(x, 1 - x).tolist() == [0, 0]
    assert torch.isfinite(gradient("ms_ssim", x, 1 - x)).all()


@pytest.mark.parametrize(("name", "side"), [("ssim", 11), ("ms_ssim", 176)])
def test_pictures_smaller_than_the_windows_are_refused(name: str, side: int) -> None:
    enough, low = torch.rand(1, 3, side, side), torch.rand(1, 3, side - 1, side + 1)
    assert torch.isfinite(MEASURES[name](enough, enough)).all()
    with pytest.raises(SettingsError, match=f"needs {side} pixels a side.* are {side + 1}x{side - 1}"):
        MEASURES[name](low, low)


def test_without_torchmetrics_ms_ssim_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    with pytest.raises(SettingsError, match=r"pip install 'vggapps\[metrics\]'"):
        ms_ssim(*two("ms_ssim"))


# all of them


@pytest.mark.parametrize("name", PAIRS)
def test_one_picture_is_not_compared_with_many(name: str) -> None:
    x, y = two(name)
    with pytest.raises(SettingsError, match="can't be compared"):
        PAIRS[name](x, y[:1])


@pytest.mark.parametrize("name", MEASURES)
def test_a_batch_has_the_numbers_of_its_pictures(name: str) -> None:
    x, y = two(name, n=3)
    singles = torch.cat([MEASURES[name](x[i : i + 1], y[i : i + 1]) for i in range(3)])
    assert singles.shape == (3,)
    assert len(set(singles.tolist())) == 3
    torch.testing.assert_close(MEASURES[name](x, y), singles)


@pytest.mark.parametrize("name", [*KINDS, "ssim", "ms_ssim", "psnr"])
def test_gradients_are_right(name: str) -> None:
    """Focal frequency is not among them: its weight moves with the picture, and to the gradient is a constant."""
    x, y = two(name, n=1)
    assert torch.autograd.gradcheck(lambda t: MEASURES[name](t, y), x.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0, None])
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_no_nan_for_equal_or_flat_pictures(name: str, level: float | None) -> None:
    x = two(name)[0].float()
    flat = x if level is None else torch.full_like(x, level)
    with torch.autograd.detect_anomaly(check_nan=True):
        for y in (flat, torch.full_like(x, 0.7)):
            assert torch.isfinite(MEASURES[name](flat, y)).all()
            assert torch.isfinite(gradient(name, flat, y)).all()


@pytest.mark.parametrize("name", KINDS)
def test_a_flat_picture_has_no_variation_and_no_slope(name: str) -> None:
    flat = torch.full((1, 3, 5, 4), 0.3)
    assert float(total_variation(flat, name)) == 0
    assert not gradient(name, flat, flat).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", MEASURES)
def test_half_precision_pictures_are_counted_in_float32(name: str, dtype: torch.dtype) -> None:
    x, y = (t.to(dtype) for t in two(name))
    found = MEASURES[name](x, y)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, MEASURES[name](x.float(), y.float()))
    assert gradient(name, x, y).dtype == dtype


@pytest.mark.parametrize("name", MEASURES)
def test_autocast_does_not_make_them_coarse(name: str) -> None:
    x, y = (t.float() for t in two(name))
    with torch.autocast("cpu", torch.bfloat16):
        inside = MEASURES[name](x, y)
    torch.testing.assert_close(inside, MEASURES[name](x, y))


@pytest.mark.parametrize("name", MEASURES)
def test_they_compile_as_one_graph(name: str) -> None:
    torch.compiler.reset()
    x, y = (t.float() for t in two(name))
    compiled = torch.compile(MEASURES[name], fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, y), MEASURES[name](x, y))
    x.requires_grad_()
    (found,) = torch.autograd.grad(compiled(x, y).sum(), x)
    torch.testing.assert_close(found, gradient(name, x.detach(), y))
