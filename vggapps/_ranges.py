"""Detection of tensors whose values are in a wrong range."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.func import debug_unwrap

from vggapps.errors import SettingsError, warn

Range = Literal["0..1", "-1..1", "0..255"]


@dataclass(frozen=True)
class Kind:
    """A convention for pixel values.

    Attributes:
        name: one of ``Range``, or a description that completes "that looks like".
        remedy: how to convert it to 0..1.
    """

    name: str
    remedy: str


UNIT = Kind("0..1", "clamp it: picture.clamp(0, 1)")
SIGNED = Kind("-1..1", "convert it to 0..1: (picture + 1) / 2")
BYTES = Kind("0..255", "divide it by 255")
TWELVE = Kind("12-bit values", "divide it by 4095, or by 65535 if it is a dark 16-bit picture")
SIXTEEN = Kind("16-bit values", "divide it by 65535")
IMAGENET = Kind(
    "a picture normalized by ImageNet's mean and std",
    "undo it: picture * std + mean, std (0.229, 0.224, 0.225) and mean (0.485, 0.456, 0.406)",
)
CAFFE = Kind("0..255 minus the mean, as Caffe's networks expect it", "undo it: add the mean, and divide by 255")

# Resized pictures and outputs of networks exceed their range slightly, pictures in another range by far.
_BELOW, _ABOVE = -0.5, 2.0
# (0 - mean) / std is -2.1, -2.0 and -1.8 of ImageNet's channels, (1 - mean) / std 2.2, 2.4 and 2.6.
_SIGNED, _NORMALIZED = 1.75, 3.0
# 0 - mean of Oxford's channels is -104 to -124, 255 - mean 131 to 151; the undershoot of resampling is smaller.
_DARK, _CAFFE = -40.0, 160.0


def kind_of(low: float, high: float) -> Kind | None:
    """The convention that fits a picture's minimum and maximum, or None.

    >>> kind_of(-2.1, 2.6).name, kind_of(0, 255).name, kind_of(0, 60000).name
    ("a picture normalized by ImageNet's mean and std", '0..255', '16-bit values')
    """
    if low >= _BELOW:
        limits = {_ABOVE: UNIT, 2 * 255.0: BYTES, 4095.0: TWELVE, 65535.0: SIXTEEN}
        return next((kind for limit, kind in limits.items() if high <= limit), None)
    if max(-low, high) <= _NORMALIZED:
        return SIGNED if max(-low, high) <= _SIGNED else IMAGENET
    if -_CAFFE <= low < _DARK and high <= _CAFFE:
        return CAFFE
    return BYTES if low >= _DARK and 20 < high <= 2 * 255 else None


def mistaken(image: Tensor, low: float, high: float, range: str) -> tuple[Kind | None, str] | None:
    """Compare a picture with its declared range.

    Args:
        image: the picture.
        low: its minimum.
        high: its maximum.
        range: the declared range.

    Returns:
        The convention that it seems to have (or None) and an error message; None if the picture fits the range.
    """
    kind = kind_of(low, high)
    if range == "0..255" and not 1 < high <= 255 and low >= 0 and bool((image % 1 == 0).all()):
        # Integers may be a dark picture of a larger range.
        kind = BYTES if high <= 255 else TWELVE if kind is BYTES else kind
    dark = kind is UNIT and {"0..255": high > 1 or high <= 0, "-1..1": low < 0 or high <= 0}.get(range, False)
    if dark or (kind is not None and kind.name == range):
        return None
    seems = f"that looks like {kind.name}, not {range}" if kind else f"that is not {range}"
    return kind, f"the picture's values run from {low:.4g} to {high:.4g}: {seems}"


def can_look(image: Tensor) -> bool:
    """Whether values can be read: not in compiled code, in transforms of ``torch.func``, or on ``meta``."""
    if torch.compiler.is_compiling() or image.is_meta:
        return False
    return debug_unwrap(image) is image  # type: ignore[no-untyped-call,no-any-return]


@dataclass
class Watch:
    """Decides when to check values and to warn: always on a CPU; on a GPU, where reading synchronizes, at the first
    picture of each shape. Replicas on several devices may share an instance.

    Attributes:
        seen: keys of the pictures that were checked.
        warned: whether the warning was issued, which happens only once.
    """

    seen: set[tuple[object, ...]] = field(default_factory=set)
    warned: bool = False

    def wants(self, image: Tensor, *more: object) -> bool:
        """Whether to check this picture."""
        if not can_look(image):
            return False
        key = (*image.shape, *more)
        known = key in self.seen
        self.seen.add(key)
        return image.device.type == "cpu" or not known

    def warn(self, message: str) -> None:
        """Warn at the caller's line, the first time only."""
        if not self.warned:
            warn(message)
        self.warned = True


def extent(image: Tensor) -> tuple[float, float]:
    """The minimum and the maximum."""
    low, high = torch.aminmax(image.detach())
    return float(low), float(high)


def check_shape(image: object) -> None:
    """Check that this is a batch of pictures, N × 3 × H × W, or N × 1 × H × W for grey.

    Raises:
        SettingsError: it is not.
    """
    if not isinstance(image, Tensor):
        raise SettingsError(f"the picture is of type {type(image).__name__}", "give a tensor, N × 3 × H × W")
    if image.dim() == 5:
        raise SettingsError(f"the picture is {_shape(image)}", "flatten the frames of a film: film.flatten(0, 1)")
    if image.dim() != 4:
        raise SettingsError(f"the picture is {_shape(image)}, not N × 3 × H × W", "for one picture use image[None]")
    if image.shape[1] == 4:
        raise SettingsError("the picture has 4 channels", "composite RGBA on a background, or drop alpha: image[:, :3]")
    if image.shape[1] not in (1, 3):
        is_last = image.shape[3] in (1, 3)
        hint = "it seems to be N × H × W × C: image.permute(0, 3, 1, 2)" if is_last else "give it as RGB or grey"
        raise SettingsError(f"the picture is {_shape(image)}: {image.shape[1]} channels", hint)


def check_side(image: Tensor, side: int, remedy: str) -> None:
    """Check that both sides of a picture have the minimum that its layers need.

    Raises:
        SettingsError: a side is shorter.
    """
    if min(image.shape[2:]) < side:
        raise SettingsError(
            f"the picture is {image.shape[3]}×{image.shape[2]}: these layers need at least {side}×{side} pixels", remedy
        )


def _shape(image: Tensor) -> str:
    return " × ".join(map(str, image.shape))
