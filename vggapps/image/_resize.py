"""Sizes, antialiased resizing and cropping."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from vggapps.errors import SettingsError


def scaled(height: int, width: int, longer_side: int) -> tuple[int, int]:
    """The (height, width) in pixels of the same aspect ratio with that longer side; each side is at least 1."""
    longest = max(height, width)
    return max(1, round(height * longer_side / longest)), max(1, round(width * longer_side / longest))


def fit(height: int, width: int, longer_side: int) -> tuple[int, int]:
    """The (height, width) in pixels of the same aspect ratio whose longer side is at most `longer_side`.

    Sides are never enlarged and at least 1.

    Raises:
        SettingsError: `longer_side` is not positive.

    >>> fit(3000, 4000, 512)
    (384, 512)
    >>> fit(30, 40, 512)
    (30, 40)
    """
    if longer_side < 1:
        raise SettingsError(f"a longer side of {longer_side} pixels is not a size", "give a number of at least 1")
    return scaled(height, width, min(longer_side, max(height, width)))


def resize(
    image: Float[Tensor, "n c h w"], size: tuple[int, int], extent: tuple[float, float] | None = None
) -> Float[Tensor, "n c h2 w2"]:
    """Antialiased bicubic resampling to `size` = (height, width), which may be larger.

    The overshoot of the bicubic kernel is clamped to each channel's minimum and maximum, so that pictures stay in
    [0, 1] and flat ones stay flat. Differentiable. Returns the same tensor if the size is the same.

    Args:
        image: the pictures.
        size: in pixels.
        extent: (height, width) of the part to resample, in pixels of `image` from its upper left corner; by default all
            of it. Fractions are for pictures scaled down before, whose last row and column may be partial.

    Raises:
        SettingsError: a side is not positive.
    """
    if min(size) < 1:
        raise SettingsError(f"{size[1]}x{size[0]} pixels is not a size", "both sides must be at least 1")
    if extent is None or extent == tuple(image.shape[2:]):
        if tuple(image.shape[2:]) == tuple(size):
            return image
        resized = interpolate(image, size=tuple(size), mode="bicubic", antialias=True, align_corners=False)
    else:
        # `interpolate` rounds scale * pixels down to the size; the small factor prevents one pixel less.
        scale = [side / part * (1 + 1e-9) for side, part in zip(size, extent, strict=True)]
        resized = interpolate(image, scale_factor=scale, mode="bicubic", antialias=True, align_corners=False)
        resized = resized[..., : size[0], : size[1]]
    seen = image.detach()
    return resized.clamp(seen.amin((2, 3), keepdim=True), seen.amax((2, 3), keepdim=True))


def center_offset(height: int, width: int, side: int) -> tuple[int, int]:
    """(top, left) of the central square, rounded as by ``torchvision.transforms.CenterCrop``."""
    return round((height - side) / 2), round((width - side) / 2)


def center_crop(image: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c side side"]:
    """The central square with that side in pixels."""
    top, left = center_offset(image.shape[2], image.shape[3], side)
    return image[:, :, top : top + side, left : left + side]


def square(image: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c side side"]:
    """The largest central square, scaled to that side in pixels; the aspect ratio is kept."""
    return resize(center_crop(image, min(image.shape[2:])), (side, side))


def with_shorter_side(image: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c h2 w2"]:
    """Scaled up or down to that shorter side in pixels."""
    factor = side / min(image.shape[2:])
    return resize(image, (round(image.shape[2] * factor), round(image.shape[3] * factor)))
