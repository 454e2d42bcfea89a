"""Metrics and losses of pixels: SSIM, MS-SSIM and PSNR (higher is better), and focal frequency loss.

All take pictures in [0, 1] and return one value per picture, in at least float32. To train on SSIM or MS-SSIM, minimise
one minus the value.

Papers on super-resolution report PSNR and SSIM on luma only and without a border of a few pixels: ``y_channel`` and
``crop_border`` are ``test_y_channel`` and ``crop_border`` of BasicSR (``basicsr/metrics/psnr_ssim.py``), where the
border is as wide as the scale factor, 4 for x4.
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

# Wang 2004, section III-C: a window of 11 pixels. MS-SSIM has five scales, each half the size of the previous one, and
# torchmetrics requires a whole window at the coarsest: 11 · 2⁴.
SSIM_SIDE = 11
MS_SSIM_SIDE = 176


def ssim(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], *, y_channel: bool = False, crop_border: int = 0
) -> Float[Tensor, " n"]:
    """Structural similarity, 1 for equal pictures and less for others: Wang et al. 2004, eq. 13, mean over channels.

    A Gaussian window of 11 pixels with sigma 1.5, K₁ = 0.01, K₂ = 0.03, evaluated only where the whole window lies in
    the picture, as in Wang's ssim_index.m, BasicSR, pytorch-msssim and piq (which downsamples large pictures first).
    The padding matters: with reflection, the default of torchmetrics and kornia, one pair of 64 x 64 has 0.614 instead
    of 0.626; MATLAB's ``ssim`` replicates the border.

    Args:
        x: pictures in [0, 1].
        y: pictures to compare with.
        y_channel: compare `luma` only.
        crop_border: pixels to leave out at each border.

    Raises:
        SettingsError: the shapes differ, or a side is below 11 pixels.
    """
    x, y = _prepared(x, y, y_channel, crop_border)
    _check_side("SSIM", x, SSIM_SIDE, "psnr", crop_border)
    with without_autocast(x):  # differences of squares
        # eps is kornia's addition to a denominator that K₁ and K₂ already keep above 0
        similarity: Tensor = ssim_map(x, y, SSIM_SIDE, max_val=1.0, eps=0.0, padding="valid")
    return similarity.mean((1, 2, 3))


def ms_ssim(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Multi-scale structural similarity, 0 to 1, 1 for equal pictures: Wang et al. 2003, eq. 7.

    Five scales with the paper's exponents 0.0448, 0.2856, 0.3001, 0.2363 and 0.1333, by torchmetrics. A negative
    similarity of a scale counts as 0, as its power is undefined. The border is reflected at the coarsest scale, unlike
    in pytorch-msssim, which is 1.2e-5 lower on one pair. kornia's ``MS_SSIMLoss`` is another measure, mixed with L1.

    Raises:
        SettingsError: the shapes differ, a side is below 176 pixels, or torchmetrics is not installed.
    """
    try:
        from torchmetrics.functional.image import multiscale_structural_similarity_index_measure
    except ImportError:
        raise SettingsError("MS-SSIM needs an extra package", run="pip install 'vggapps[metrics]'") from None
    x, y = checked_pair(x, y)
    _check_side("MS-SSIM", x, MS_SSIM_SIDE, "ssim")
    with without_autocast(x):
        return multiscale_structural_similarity_index_measure(x, y, data_range=1.0, reduction="none")


def psnr(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], *, y_channel: bool = False, crop_border: int = 0
) -> Float[Tensor, " n"]:
    """Peak signal-to-noise ratio in dB: 10 log₁₀(1 / mean squared error).

    A metric, not a loss: for equal pictures it is infinite and has no gradient. (kornia's takes the mean squared error
    of the whole batch.) The peak is 1, also for luma, which ends at 235 of 255, as in BasicSR.

    Args:
        x: pictures in [0, 1].
        y: pictures to compare with.
        y_channel: compare `luma` only.
        crop_border: pixels to leave out at each border.

    Raises:
        SettingsError: the shapes differ, or nothing is left inside the border.
    """
    x, y = _prepared(x, y, y_channel, crop_border)
    _check_side("PSNR", x, 1, "a narrower border", crop_border)
    return -10 * torch.log10((x - y).square().mean((1, 2, 3)))


def luma(image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
    """Y of YCbCr in studio range, 16 to 235 of 255: (16 + 219 (0.299 R + 0.587 G + 0.114 B)) / 255.

    ITU-R BT.601-7, section 2.5. It equals MATLAB's ``rgb2ycbcr`` of floating-point pictures and BasicSR's
    ``to_y_channel``. For uint8 pictures MATLAB rounds Y to whole levels, which is not done here.

    Args:
        image: RGB in [0, 1]; a single channel is taken as luma and returned unchanged. A grey picture in three equal
            channels, as `vggapps.image.open_picture` and BasicSR read it, is also mapped to 16..235: its PSNR is
            20 log₁₀(255 / 219) = 1.32 dB higher than that of its grey levels.

    Raises:
        SettingsError: the channels are neither one nor three.
    """
    if image.shape[1] == 1:
        return image
    if image.shape[1] != 3:
        raise SettingsError(f"luma of {image.shape[1]} channels is not defined", "pass RGB, N x 3 x H x W")
    grey: Tensor = rgb_to_grayscale(image)
    return (16 + 219 * grey) / 255


def focal_frequency(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], *, alpha: float = 1.0
) -> Float[Tensor, " n"]:
    """Focal frequency loss: mean(w · D²) with D the distance of both spectra and w = (D / max D)^α.

    Jiang et al. 2021 (2012.12821), sections 3.2 and 3.3, on whole pictures: an orthonormal Fourier transform of each
    channel, the maximum over the frequencies of each channel, and a weight that is constant for the gradient.

    Args:
        x: pictures in [0, 1].
        y: target pictures.
        alpha: emphasis on the worst frequencies; 0 weights all equally and gives the mean squared error.

    Raises:
        SettingsError: the shapes differ, or alpha is negative.
    """
    if alpha < 0:
        raise SettingsError(f"alpha is {alpha:g}", "use 0, which weights all frequencies equally, or more")
    x, y = checked_pair(x, y)
    distance = torch.view_as_real(torch.fft.fft2(x - y, norm="ortho")).square().sum(-1)  # D²
    weight = distance.detach()
    largest = weight.amax((2, 3), keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)  # not 0 for equal pictures
    return ((weight / largest) ** (alpha / 2) * distance).mean((1, 2, 3))


def _prepared(x: Tensor, y: Tensor, y_channel: bool, crop_border: int) -> tuple[Tensor, Tensor]:
    """Both pictures checked, without their border, and as luma if asked for."""
    if crop_border < 0:
        raise SettingsError(f"crop_border is {crop_border}", "use the pixels to leave out at each border, 0 or more")
    x, y = checked_pair(x, y)
    height, width = x.shape[-2:]
    rows, columns = (slice(crop_border, max(crop_border, side - crop_border)) for side in (height, width))
    x, y = x[..., rows, columns], y[..., rows, columns]
    return (luma(x), luma(y)) if y_channel else (x, y)


def checked_pair(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]
) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
    """Both pictures in one dtype, at least float32; different shapes are refused.

    The range is checked for the second picture only, as the first may leave it in training, and not on a GPU, where
    the check would synchronise.
    """
    if x.shape != y.shape:
        shapes = " and ".join(" x ".join(map(str, t.shape)) for t in (x, y))
        raise SettingsError(f"pictures of {shapes} can't be compared", "pass both in the same shape, N x C x H x W")
    for image in (x, y):
        if not image.is_floating_point():
            raise SettingsError(f"the pictures' dtype is {image.dtype}", "convert them to floats in [0, 1]")
    if y.numel() and y.device.type == "cpu" and can_look(y) and (found := mistaken(y, *extent(y), "0..1")):
        kind, words = found
        raise SettingsError(words, kind.remedy if kind else "bring it into 0..1")
    dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    return x.to(dtype), y.to(dtype)


def _check_side(name: str, x: Tensor, side: int, instead: str, border: int = 0) -> None:
    height, width = x.shape[-2:]
    if min(height, width) < side:
        found = f"the pictures are {width}x{height}" + (f" within a border of {border}" if border else "")
        raise SettingsError(f"{name} needs {side} pixels a side, and {found}", f"enlarge both, or use {instead}")
