"""Checks of pictures that are NumPy arrays and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from vggapps._ranges import UNIT, extent, kind_of
from vggapps.errors import SettingsError
from vggapps.image._strips import Rows

_ROUNDING = 1e-3  # tolerance outside [0, 1] for resampling and half precision; such values are clamped
_PEAKS = {torch.uint8: 255, torch.uint16: 65535}


def checked(image: Tensor) -> Float[Tensor, "1 3 h w"]:
    """Check a tensor of one picture, RGB: floats in [0, 1], or uint8 or uint16, which are scaled.

    Raises:
        SettingsError: another shape or type, or values outside [0, 1] by more than 0.001 or not finite.
    """
    known = image.is_floating_point() or image.dtype in _PEAKS
    if image.ndim != 4 or image.shape[:2] != (1, 3) or not known:
        raise SettingsError(
            f"a picture must be a 1 x 3 x H x W float or uint8 tensor, this is {tuple(image.shape)} {image.dtype}",
            "RGB in [0, 1]; vggapps.image.open_picture makes one from a file",
        )
    return checked_values(image).float()


def checked_values(image: Tensor) -> Float[Tensor, "n c h w"]:
    """Check pictures of any number and channels: floats in [0, 1] of any type, or uint8 or uint16, which are scaled.

    Raises:
        SettingsError: another type, or values outside [0, 1] by more than 0.001 or not finite.
    """
    if image.numel() == 0:
        raise SettingsError(f"a tensor of shape {tuple(image.shape)} is an empty picture", "each side needs pixels")
    if not image.is_floating_point():
        return from_levels(image)
    least, greatest = extent(image)
    _check_range(least, greatest)
    return image if least >= 0 and greatest <= 1 else image.clamp(0, 1)


def from_levels(image: Tensor) -> Float[Tensor, ...]:
    """Scale uint8 and uint16 by 1/255 and 1/65535; floats are returned unchanged.

    Raises:
        SettingsError: another integer type.
    """
    if image.is_floating_point():
        return image
    if image.dtype not in _PEAKS:
        raise SettingsError(f"the picture's values are {image.dtype}", "give uint8, uint16, or floats in [0, 1]")
    return image.float() / _PEAKS[image.dtype]


def array_rows(array: NDArray[Any]) -> Rows:
    """The rows of a picture given as an array, in [0, 1]; see `vggapps.image.open_picture`.

    Raises:
        SettingsError: another shape or type, or values outside [0, 1] by more than 0.001 or not finite.
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise SettingsError(
            f"an array of shape {array.shape} is not a picture",
            "give (height, width), (height, width, 3) or (height, width, 4), RGB",
        )
    if array.dtype not in (bool, np.uint8, np.uint16) and not np.issubdtype(array.dtype, np.floating):
        raise SettingsError(
            f"an array of {array.dtype} is not a picture", "give bool, uint8, uint16, or floats in [0, 1]"
        )
    peak = {"uint8": 255, "uint16": 65535}.get(array.dtype.name, 1)
    if np.issubdtype(array.dtype, np.floating) and array.size:
        _check_range(float(array.min()), float(array.max()))

    def rows(top: int, bottom: int) -> NDArray[np.float32]:
        part = array[top:bottom].reshape(bottom - top, array.shape[1], -1)
        return (part.astype(np.float32) / np.float32(peak)).clip(0, 1)

    return rows


def _check_range(least: float, greatest: float) -> None:
    if not (np.isfinite(least) and np.isfinite(greatest)):
        raise SettingsError(
            "the picture has values that are not finite (NaN or infinity)", "check where they come from"
        )
    if least < -_ROUNDING or greatest > 1 + _ROUNDING:
        kind = kind_of(least, greatest)
        seems = f": that looks like {kind.name}" if kind not in (None, UNIT) else ""
        raise SettingsError(
            f"the picture's values range from {least:.4g} to {greatest:.4g}, expected 0 to 1{seems}",
            kind.remedy if kind else "scale it to 0..1",
        )
