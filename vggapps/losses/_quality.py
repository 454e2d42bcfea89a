"""The classic measures of how alike two pictures are: SSIM, MS-SSIM and PSNR. More is better.

All take pictures in [0, 1] and give one number a picture, in float32 at least. To train on the first two, minimise
one minus the value.

Papers on super-resolution report PSNR and SSIM on luma alone and without a border of a few pixels: ``y_channel`` and
``crop_border`` are what BasicSR (``basicsr/metrics/psnr_ssim.py``) calls ``test_y_channel`` and ``crop_border``. There
the border is as wide as the scale factor, 4 for x4.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from kornia.color import rgb_to_grayscale
from kornia.metrics import ssim as ssim_map
from torch import Tensor

from vggapps._ranges import can_look, extent, mistaken
from vggapps.errors import SettingsError
from vggapps.vgg._exact import without_autocast

# Wang 2004, section III-C: a window of 11 pixels. Over MS-SSIM's five scales, each half the one before, torchmetrics
# wants a whole window at the coarsest: 11 · 2⁴.
SSIM_SIDE = 11
MS_SSIM_SIDE = 176


def ssim(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], *, y_channel: bool = False, crop_border: int = 0
) -> Float[Tensor, " n"]:
    """Structural similarity, at most 1, which equal pictures have: Wang et al. 2004, eq. 13, mean over channels.

    A Gaussian window of 11 pixels with sigma 1.5, K₁ = 0.01, K₂ = 0.03, only where the whole window lies on the
    picture, as Wang's ssim_index.m, BasicSR, pytorch-msssim and (which shrinks large pictures first) piq do. The border
    is not a detail: reflected, as in torchmetrics and kornia's default, one pair of 64 x 64 has 0.614 instead of 0.626;
    MATLAB's own ``ssim`` repeats the outermost pixels.

    Args:
        x: pictures in [0, 1].
        y: what they are compared with.
        y_channel: compare `luma` alone.
        crop_border: leave out so many pixels at each of the four borders.

    Raises:
        SettingsError: the shapes differ, or a side is below 11 pixels.
    """
    x, y = _seen(x, y, y_channel, crop_border)
    _check_side("SSIM", x, SSIM_SIDE, "psnr", crop_border)
    with without_autocast(x):  # differences of squares
        # eps is kornia's own addition to a denominator that K₁ and K₂ keep above 0 already
        by_place: Tensor = ssim_map(x, y, SSIM_SIDE, max_val=1.0, eps=0.0, padding="valid")
    return by_place.mean((1, 2, 3))


def ms_ssim(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Multi-scale structural similarity, from 0 to 1, which equal pictures have: Wang et al. 2003, eq. 7.

    Five scales with that paper's exponents 0.0448, 0.2856, 0.3001, 0.2363 and 0.1333, by torchmetrics. A scale without
    any likeness counts 0, since a negative number has no such power. The coarsest scale reflects the border;
    pytorch-msssim does not, and has 1.2e-5 less on one pair. kornia's ``MS_SSIMLoss`` is something else, mixed with L1.

    Raises:
        SettingsError: the shapes differ, a side is below 176 pixels, or torchmetrics is not installed.
    """
    try:
        from torchmetrics.functional.image import multiscale_structural_similarity_index_measure
    except ImportError:
        raise SettingsError("MS-SSIM needs another package", run="pip install 'vggapps[metrics]'") from None
    x, y = comparable(x, y)
    _check_side("MS-SSIM", x, MS_SSIM_SIDE, "ssim")
    with without_autocast(x):
        return multiscale_structural_similarity_index_measure(x, y, data_range=1.0, reduction="none")


def psnr(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], *, y_channel: bool = False, crop_border: int = 0
) -> Float[Tensor, " n"]:
    """Peak signal-to-noise ratio in dB: 10 log₁₀(1 / mean squared error).

    A metric, not a loss: equal pictures have infinity, and no gradient. (kornia's pools a batch's errors, which is not
    the mean of its pictures' values.) The peak is 1, for luma too, which ends at 235 of 255: as in BasicSR.

    Args:
        x: pictures in [0, 1].
        y: what they are compared with.
        y_channel: compare `luma` alone.
        crop_border: leave out so many pixels at each of the four borders.

    Raises:
        SettingsError: the shapes differ, or nothing is left within the border.
    """
    x, y = _seen(x, y, y_channel, crop_border)
    _check_side("PSNR", x, 1, "a narrower border", crop_border)
    return -10 * torch.log10((x - y).square().mean((1, 2, 3)))


def luma(image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
    """Y of YCbCr in studio range, 16 to 235 of 255: (16 + 219 (0.299 R + 0.587 G + 0.114 B)) / 255.

    ITU-R BT.601-7, section 2.5. It is MATLAB's ``rgb2ycbcr`` of floating-point pictures, and BasicSR's
    ``to_y_channel``. Of uint8 pictures MATLAB's rounds Y to whole levels, which is not done here.

    Args:
        image: RGB in [0, 1]; or one channel, which is taken for luma and returned. A grey picture in three equal
            channels, as `vggapps.image.open_picture` and BasicSR read it, goes from 16 to 235 as well: its PSNR is
            20 log₁₀(255 / 219) = 1.32 dB higher than that of its grey levels.

    Raises:
        SettingsError: the channels are neither one nor three.
    """
    if image.shape[1] == 1:
        return image
    if image.shape[1] != 3:
        raise SettingsError(f"luma of {image.shape[1]} channels is not defined", "give RGB, N x 3 x H x W")
    grey: Tensor = rgb_to_grayscale(image)
    return (16 + 219 * grey) / 255


def _seen(x: Tensor, y: Tensor, y_channel: bool, crop_border: int) -> tuple[Tensor, Tensor]:
    """What is compared of two pictures."""
    if crop_border < 0:
        raise SettingsError(f"crop_border is {crop_border}", "give the pixels to leave out at each border, 0 or more")
    x, y = comparable(x, y)
    height, width = x.shape[-2:]
    rows, columns = (slice(crop_border, max(crop_border, side - crop_border)) for side in (height, width))
    x, y = x[..., rows, columns], y[..., rows, columns]
    return (luma(x), luma(y)) if y_channel else (x, y)


def comparable(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]
) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
    """Both pictures in one dtype, float32 at least. On a GPU, which would have to wait, the range is not looked at.

    Raises:
        SettingsError: the shapes differ (one picture is not silently compared with many), or the second picture is of
            another range; the first may be anything while it is trained.
    """
    if x.shape != y.shape:
        shapes = " and ".join(" x ".join(map(str, t.shape)) for t in (x, y))
        raise SettingsError(f"pictures of {shapes} can't be compared", "give both in the same shape, N x C x H x W")
    for image in (x, y):
        if not image.is_floating_point():
            raise SettingsError(f"the pictures' numbers are {image.dtype}", "divide them to floats in [0, 1]")
    if y.numel() and y.device.type == "cpu" and can_look(y) and (found := mistaken(y, *extent(y), "0..1")):
        kind, words = found
        raise SettingsError(words, kind.remedy if kind else "bring it into 0..1")
    dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    return x.to(dtype), y.to(dtype)


def _check_side(name: str, x: Tensor, side: int, instead: str, border: int = 0) -> None:
    height, width = x.shape[-2:]
    if min(height, width) < side:
        found = f"the pictures have {width}x{height}" + (f" within a border of {border}" if border else "")
        raise SettingsError(f"{name} needs {side} pixels a side, and {found}", f"enlarge both alike, or use {instead}")
