"""The size that is needed of a picture, and decoding no more than that.

A JPEG can be decoded at a half, a quarter or an eighth of its size, JPEG 2000 at as many powers of two as its file
has: they store fine and coarse detail separately. This takes a fraction of the memory and the time, and is the only way
to read the largest files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import BinaryIO, cast

from PIL import Image, ImageFile

from vggapps.errors import SettingsError
from vggapps.image._jpeg import completed, opened_jpeg
from vggapps.image._resize import fit

# Sides are divided by integers down to this many times the target size; antialiased resampling does the rest. The
# result looks the same as resampling alone: see reducing_gap in Pillow's documentation of `Image.thumbnail`.
_GAP = 2
_HEADER = 1 << 20  # bytes searched for the header of JPEG 2000, which may follow profiles


@dataclass(frozen=True)
class TargetSize:
    """The size to open a picture at; `vggapps.image.open_picture` describes the three ways to give it.

    Raises:
        SettingsError: a number is not positive.
    """

    longer_side: int | None = None
    at_least: int | None = None
    pixels: int | None = None

    def __post_init__(self) -> None:
        words = {"longer side": self.longer_side, "shorter side": self.at_least, "picture": self.pixels}
        for word, number in words.items():
            if number is not None and number < 1:
                raise SettingsError(f"a {word} of {number} pixels is not a size", "give a number of at least 1")

    def size(self, width: int, height: int) -> tuple[int, int] | None:
        """The (width, height) to scale a picture of this size down to; None to keep it."""
        longest = max(height, width)
        if self.pixels is not None and self.pixels < height * width:
            longest = max(1, math.floor(longest * math.sqrt(self.pixels / (height * width))))
        size = fit(width, height, min(longest, self.longer_side or longest))
        return None if size == (width, height) else size

    def divisor(self, width: int, height: int) -> int:
        """The greatest integer that both sides can be divided by before resampling, without loss of quality."""
        divisors = []
        if (size := self.size(width, height)) is not None:
            divisors.append(max(height, width) // (_GAP * max(size)))
        if self.at_least is not None:
            divisors.append(min(height, width) // self.at_least)
        return max(1, min(divisors, default=1))


def decoded(image: Image.Image, stream: BinaryIO, allowed: int, needed: int) -> tuple[Image.Image, int, str]:
    """Decode a picture, at a fraction of its size where its format allows that.

    Args:
        image: opened and not yet decoded; may be consumed.
        stream: its file.
        allowed: divisor that its sides may be divided by.
        needed: divisor that its sides must be divided by.

    Returns:
        The picture, the divisor of its sides, and a note (may be empty).
    """
    # The smaller versions in JPEG 2000 are shifted by nearly half a pixel; further division makes that negligible.
    most = max(needed, allowed // 4 if image.format == "JPEG2000" else allowed)
    fraction = max(each for each in _fractions(image, stream) if each <= min(most, *image.size))
    _set_fraction(image, fraction)
    try:
        image.load()
    except OSError as error:
        if image.format != "JPEG" or "truncated" not in str(error):
            raise
        image, _ = opened_jpeg(completed(stream))
        _set_fraction(image, fraction)
        image.load()
        return image, fraction, "its last bytes are missing, with no visible effect"
    return image, fraction, ""


def largest_reduction(image: Image.Image, stream: BinaryIO) -> int:
    """The factor by which decoding at a fraction of the size can reduce the number of pixels in memory."""
    # A progressive JPEG keeps all coefficients in memory, at any size.
    return (2 if image.info.get("progressive") else _fractions(image, stream)[-1]) ** 2


def _fractions(image: Image.Image, stream: BinaryIO) -> tuple[int, ...]:
    """The divisors 1, 2, 4 ... that the file can be decoded at."""
    if image.format == "JPEG":
        return (1, 2, 4, 8)
    return tuple(2**level for level in range(_levels(stream) + 1)) if image.format == "JPEG2000" else (1,)


def _levels(stream: BinaryIO) -> int:
    """The number of times JPEG 2000 has halved the picture: ISO/IEC 15444-1, A.6.1, after the SIZ segment of A.5.1."""
    stream.seek(0)
    head = stream.read(_HEADER)
    start = head.find(b"\xff\x4f\xff\x51")
    style = head.find(b"\xff\x52", start + 4 + int.from_bytes(head[start + 4 : start + 6], "big"))
    return min(head[style + 9], 5) if 0 <= start < style < len(head) - 9 else 0


def _set_fraction(image: Image.Image, fraction: int) -> None:
    if fraction == 1:
        return
    width, height = image.size
    if image.format == "JPEG":
        image.draft(None, (width // fraction, height // fraction))
        return
    width, height = -(-width // fraction), -(-height // fraction)
    # Pillow's own `reduce` rounds where OpenJPEG rounds up, and then fails.
    image = cast(ImageFile.ImageFile, image)
    (tile,) = image.tile
    codec, _, *others = cast(tuple[object, ...], tile.args)
    image._size = (width, height)
    image.tile = [tile._replace(extents=(0, 0, width, height), args=(codec, fraction.bit_length() - 1, *others))]
