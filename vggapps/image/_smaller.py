"""How much of a picture is needed, and decoding no more than that."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image

from vggapps.errors import SettingsError
from vggapps.image._fractions import divide, fractions_of
from vggapps.image._jpeg import completed, opened_jpeg
from vggapps.image._opening import Opened
from vggapps.image._resize import fit

# Sides are divided by whole numbers until they are this many times what is wanted, at least; the last step resamples
# antialiased. That looks as if it had been the only one: Pillow's documentation of `Image.thumbnail`, reducing_gap.
_GAP = 2


@dataclass(frozen=True)
class Wanted:
    """What will be seen of a picture; see `vggapps.image.open_picture` for the three ways to say it.

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
                raise SettingsError(f"a {word} of {number} pixels is no size", "give a number of at least 1")

    def size(self, width: int, height: int) -> tuple[int, int] | None:
        """(width, height) that a picture of so many pixels is to be scaled down to; None: it stays as it is."""
        longest = max(height, width)
        if self.pixels is not None and self.pixels < height * width:
            longest = max(1, math.floor(longest * math.sqrt(self.pixels / (height * width))))
        size = fit(width, height, min(longest, self.longer_side or longest))
        return None if size == (width, height) else size

    def spare(self, width: int, height: int) -> int:
        """The greatest whole number by which both sides can be divided beforehand without harm."""
        divisors = []
        if (size := self.size(width, height)) is not None:
            divisors.append(max(height, width) // (_GAP * max(size)))
        if self.at_least is not None:
            divisors.append(min(height, width) // self.at_least)
        return max(1, min(divisors, default=1))


def decoded(found: Opened, spare: int, needed: int) -> tuple[Image.Image, int, str]:
    """The picture in memory.

    Args:
        found: of which the image may be used up.
        spare: by which its sides may be divided.
        needed: by which they must be divided.

    Returns:
        The picture, by how much its sides are divided already, and a note (empty if there is nothing to say).
    """
    image = found.image
    # The smaller pictures in JPEG 2000 lie nearly half a pixel aside; further division makes that little.
    most = max(needed, spare // 4 if image.format == "JPEG2000" else spare)
    fraction = max(each for each in fractions_of(image, found.stream) if each <= min(most, *image.size))
    divide(image, fraction)
    try:
        image.load()
    except OSError as error:
        if image.format != "JPEG" or "truncated" not in str(error):
            raise
        image, _ = opened_jpeg(completed(found.stream))
        divide(image, fraction)
        image.load()
        return image, fraction, "its last bytes are missing, which can't be seen"
    return image, fraction, ""
