"""PSNR and SSIM of luma and without a border, as papers on super-resolution report them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vggapps.errors import SettingsError
from vggapps.losses._quality import luma, psnr, ssim

MEASURES = {"psnr": psnr, "ssim": ssim}


def two(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 30, 26, generator=g, dtype=torch.float64)
    return x.to(dtype), (x + 0.1 * torch.randn(x.shape, generator=g, dtype=torch.float64)).clamp(0, 1).to(dtype)


def colours(picture: torch.Tensor) -> np.ndarray:
    return picture.permute(1, 2, 0).numpy()


def test_luma_is_scikit_images_and_of_known_colours() -> None:
    x, _ = two()
    theirs = np.stack([rgb2ycbcr(colours(one))[..., 0] for one in x]) / 255
    torch.testing.assert_close(luma(x)[:, 0], torch.from_numpy(theirs), rtol=1e-6, atol=1e-7)
    # MATLAB's documentation of rgb2ycbcr: Y is in [16/255, 235/255]; red, green, blue as BT.601 weighs them.
    known = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    levels = 255 * luma(known.view(5, 3, 1, 1)).flatten()
    assert levels.tolist() == pytest.approx([16, 235, 16 + 65.481, 16 + 128.553, 16 + 24.966], rel=1e-6)


def test_psnr_of_luma_within_a_border_is_scikit_images() -> None:
    x, y = two()
    found = psnr(x, y, y_channel=True, crop_border=4)
    for ours, one, other in zip(found, x, y, strict=True):
        a, b = (rgb2ycbcr(colours(picture)[4:-4, 4:-4])[..., 0] for picture in (one, other))
        assert float(ours) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), rel=1e-6)


def test_ssim_of_luma_within_a_border_is_scikit_images_where_its_whole_window_lies() -> None:
    x, y = two()
    found = ssim(x, y, y_channel=True, crop_border=4)
    for ours, one, other in zip(found, x, y, strict=True):
        a, b = (rgb2ycbcr(colours(picture)[4:-4, 4:-4])[..., 0] for picture in (one, other))
        theirs = structural_similarity(a, b, data_range=255, gaussian_weights=True, use_sample_covariance=False)
        assert float(ours) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("name", MEASURES)
def test_what_lies_in_the_border_does_not_count(name: str) -> None:
    x, y = two()
    inside = MEASURES[name](x[..., 3:-3, 3:-3], y[..., 3:-3, 3:-3])
    y[..., :3] = y[..., -3:] = 0
    y[..., :3, :] = y[..., -3:, :] = 1
    torch.testing.assert_close(MEASURES[name](x, y, crop_border=3), inside)
    assert (MEASURES[name](x, y) < inside).all()


def test_grey_in_three_channels_is_squeezed_and_one_channel_is_luma_already() -> None:
    x, y = (picture[:, :1] for picture in two())
    torch.testing.assert_close(psnr(x, y, y_channel=True), psnr(x, y))
    squeezed = psnr(x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1), y_channel=True)
    torch.testing.assert_close(squeezed - psnr(x, y), torch.full((2,), 20 * math.log10(255 / 219), dtype=x.dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", MEASURES)
def test_half_precision_is_counted_in_float32(name: str, dtype: torch.dtype) -> None:
    x, y = two(dtype)
    found = MEASURES[name](x, y, y_channel=True, crop_border=2)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, MEASURES[name](x.float(), y.float(), y_channel=True, crop_border=2))


@pytest.mark.parametrize("name", MEASURES)
def test_gradients_are_right(name: str) -> None:
    x, y = (picture[:1, :, :16, :15] for picture in two())
    assert torch.autograd.gradcheck(
        lambda t: MEASURES[name](t, y, y_channel=True, crop_border=1), x.clone().requires_grad_(), fast_mode=True
    )


@pytest.mark.parametrize(("name", "border", "left"), [("psnr", 13, "0x4"), ("psnr", 99, "0x0"), ("ssim", 8, "10x14")])
def test_a_border_that_leaves_too_little_is_refused(name: str, border: int, left: str) -> None:
    with pytest.raises(SettingsError, match=f"pixels a side, and the pictures are {left} within a border of {border}"):
        MEASURES[name](*two(), crop_border=border)


@pytest.mark.parametrize("name", MEASURES)
def test_a_border_below_0_and_luma_of_two_channels_are_refused(name: str) -> None:
    x, y = two()
    with pytest.raises(SettingsError, match="crop_border is -1"):
        MEASURES[name](x, y, crop_border=-1)
    with pytest.raises(SettingsError, match="luma of 2 channels"):
        MEASURES[name](x[:, :2], y[:, :2], y_channel=True)
    with pytest.raises(SettingsError, match="can't be compared"):
        MEASURES[name](x, y[..., 1:], y_channel=True, crop_border=2)
