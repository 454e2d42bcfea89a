"""Sizes: what fits, and how to get there once, antialiased."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from vggapps.errors import SettingsError


def scaled(height: int, width: int, longer_side: int) -> tuple[int, int]:
    """The (height, width) in pixels of the same shape with that longer side, larger or smaller, never less than 1."""
    longest = max(height, width)
    return max(1, round(height * longer_side / longest)), max(1, round(width * longer_side / longest))


def fit(height: int, width: int, longer_side: int) -> tuple[int, int]:
    """The (height, width) in pixels whose longer side is at most `longer_side`, of the same shape to a pixel.

    Never larger than the input, never less than 1.

    Raises:
        SettingsError: `longer_side` is not positive.

    >>> fit(3000, 4000, 512)
    (384, 512)
    >>> fit(30, 40, 512)
    (30, 40)
    """
    if longer_side < 1:
        raise SettingsError(f"a longer side of {longer_side} pixels is no size", "give a number of at least 1")
    return scaled(height, width, min(longer_side, max(height, width)))


def resize(
    image: Float[Tensor, "n c h w"], size: tuple[int, int], extent: tuple[float, float] | None = None
) -> Float[Tensor, "n c h2 w2"]:
    """Antialiased bicubic resampling to `size` = (height, width); enlarges if told to (use `fit` if not).

    The bicubic kernel's overshoot is cut at each channel's own least and greatest value, so that pictures in
    [0, 1] stay there, and flat ones stay flat. Differentiable. The same size returns the same tensor.

    Args:
        image: what is resampled.
        size: in pixels.
        extent: (height, width) of the part that the result shows, in pixels of `image`, from its upper left corner;
            all of it if not given. Of a picture that was scaled down before, the last row and column may be partial.

    Raises:
        SettingsError: a side is not positive.
    """
    if min(size) < 1:
        raise SettingsError(f"{size[1]}x{size[0]} pixels is no size", "both sides must be at least 1")
    if extent is None or extent == tuple(image.shape[2:]):
        if tuple(image.shape[2:]) == tuple(size):
            return image
        resized = interpolate(image, size=tuple(size), mode="bicubic", antialias=True, align_corners=False)
    else:
        # The product of scale and pixels is rounded down to the size, which a little more does not change.
        scale = [side / part * (1 + 1e-9) for side, part in zip(size, extent, strict=True)]
        resized = interpolate(image, scale_factor=scale, mode="bicubic", antialias=True, align_corners=False)
        resized = resized[..., : size[0], : size[1]]
    seen = image.detach()
    return resized.clamp(seen.amin((2, 3), keepdim=True), seen.amax((2, 3), keepdim=True))


def middle(height: int, width: int, side: int) -> tuple[int, int]:
    """(top, left) of the square in the middle, rounded as ``torchvision.transforms.CenterCrop`` does."""
    return round((height - side) / 2), round((width - side) / 2)


def center(image: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c side side"]:
    """The square in the middle, of so many pixels, see :func:`middle`."""
    top, left = middle(image.shape[2], image.shape[3], side)
    return image[:, :, top : top + side, left : left + side]


def square(image: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c side side"]:
    """The largest square in the middle, scaled to so many pixels: nothing is squeezed."""
    return resize(center(image, min(image.shape[2:])), (side, side))


def with_shorter_side(image: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c h2 w2"]:
    """Scaled, up or down, to a shorter side of so many pixels."""
    factor = side / min(image.shape[2:])
    return resize(image, (round(image.shape[2] * factor), round(image.shape[3] * factor)))
