"""What a picture's numbers are in, told from the numbers: one diagnosis for whatever takes a tensor."""

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
    """A way to store a picture.

    Attributes:
        name: completes "that looks like"; of the ranges that a loss can be made with, these.
        remedy: what brings it to 0..1.
    """

    name: str
    remedy: str


UNIT = Kind("0..1", "clamp it: picture.clamp(0, 1)")
SIGNED = Kind("-1..1", "bring it into 0..1: (picture + 1) / 2")
BYTES = Kind("0..255", "divide it by 255")
TWELVE = Kind("numbers of 12 bits", "divide it by 4095, or by 65535 if they are a dark picture of 16 bits")
SIXTEEN = Kind("numbers of 16 bits", "divide it by 65535")
IMAGENET = Kind(
    "a picture normalised by ImageNet's statistics",
    "undo it: picture * std + mean, std (0.229, 0.224, 0.225) and mean (0.485, 0.456, 0.406)",
)
CAFFE = Kind("0..255 less a mean, as Caffe's networks take it", "undo it: add the mean, and divide by 255")

# A picture that was resized, or that a network has made, runs over its range a little; one of another range, far.
_BELOW, _ABOVE = -0.5, 2.0
# (0 - mean) / std is -2.1, -2.0 and -1.8 of ImageNet's channels, (1 - mean) / std 2.2, 2.4 and 2.6.
_SIGNED, _NORMALIZED = 1.75, 3.0
# 0 - mean of Oxford's channels is -104 to -124, 255 - mean 131 to 151; resampling's undershoot is less than this.
_DARK, _CAFFE = -40.0, 160.0


def kind_of(low: float, high: float) -> Kind | None:
    """The kind of picture whose least and greatest numbers these are; None where no kind has such.

    >>> kind_of(-2.1, 2.6).name, kind_of(0, 255).name, kind_of(0, 60000).name
    ("a picture normalised by ImageNet's statistics", '0..255', 'numbers of 16 bits')
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
    """What is wrong with a picture whose range was declared.

    Args:
        image: the picture.
        low: its least number.
        high: its greatest.
        range: what was declared.

    Returns:
        The kind that it looks like (None: no kind) and the words for it; nothing where it may be of the range.
    """
    kind = kind_of(low, high)
    if range == "0..255" and not 1 < high <= 255 and low >= 0 and bool((image % 1 == 0).all()):
        # Levels may be of a picture in the dark; and they do not run over, as what was resampled does.
        kind = BYTES if high <= 255 else TWELVE if kind is BYTES else kind
    dark = kind is UNIT and {"0..255": high > 1 or high <= 0, "-1..1": low < 0 or high <= 0}.get(range, False)
    if dark or (kind is not None and kind.name == range):
        return None
    seems = f"that looks like {kind.name}, not {range}" if kind else f"that is not {range}"
    return kind, f"the picture's numbers run from {low:.4g} to {high:.4g}: {seems}"


def can_look(image: Tensor) -> bool:
    """Whether its numbers can be looked at: not in compiled code, in ``torch.func``'s transforms, or on ``meta``."""
    if torch.compiler.is_compiling() or image.is_meta:
        return False
    return debug_unwrap(image) is image  # type: ignore[no-untyped-call,no-any-return]


@dataclass
class Watch:
    """When to look at numbers, and to warn: every time where looking is free; on a GPU, which would have to wait, at
    the first picture of each shape. Copies for several devices that share it look and warn as one.

    Attributes:
        seen: shapes, and what else tells a picture from others.
        warned: that something seems wrong; it is said once, and not at each step of a training.
    """

    seen: set[tuple[object, ...]] = field(default_factory=set)
    warned: bool = False

    def wants(self, image: Tensor, *more: object) -> bool:
        """Whether to look at this picture."""
        if not can_look(image):
            return False
        key = (*image.shape, *more)
        known = key in self.seen
        self.seen.add(key)
        return image.device.type == "cpu" or not known

    def warn(self, words: str) -> None:
        """Say it at the caller's line, the first time."""
        if not self.warned:
            warn(words)
        self.warned = True


def extent(image: Tensor) -> tuple[float, float]:
    """The least and the greatest number."""
    low, high = torch.aminmax(image.detach())
    return float(low), float(high)


def check_shape(image: object) -> None:
    """Whether this is a batch of pictures, N × 3 × H × W, or N × 1 × H × W for grey.

    Raises:
        SettingsError: it is not; says how to make it one.
    """
    if not isinstance(image, Tensor):
        raise SettingsError(f"a picture is given as {type(image).__name__}", "give a tensor, N × 3 × H × W")
    if image.dim() == 5:
        raise SettingsError(f"the picture is {_shape(image)}", "join the frames of a film: film.flatten(0, 1)")
    if image.dim() != 4:
        raise SettingsError(f"the picture is {_shape(image)}, not N × 3 × H × W", "one picture is image[None]")
    if image.shape[1] == 4:
        raise SettingsError(
            "the picture has 4 channels", "lay RGBA over a background first, or drop its alpha: image[:, :3]"
        )
    if image.shape[1] not in (1, 3):
        seems = "it seems to be N × H × W × C: image.permute(0, 3, 1, 2)" if image.shape[3] in (1, 3) else ""
        raise SettingsError(
            f"the picture is {_shape(image)}: {image.shape[1]} channels", seems or "give it as RGB or grey"
        )


def check_side(image: Tensor, side: int, remedy: str) -> None:
    """Whether a picture leaves something at the deepest layer that is looked at.

    Raises:
        SettingsError: a side is shorter than so many pixels.
    """
    if min(image.shape[2:]) < side:
        raise SettingsError(
            f"the picture is {image.shape[3]}×{image.shape[2]}: these layers need {side} pixels a side", remedy
        )


def _shape(image: Tensor) -> str:
    return " × ".join(map(str, image.shape))
