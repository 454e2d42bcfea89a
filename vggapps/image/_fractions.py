"""Decoding a picture at a fraction of its size.

A JPEG can be decoded at a half, a quarter or an eighth, JPEG 2000 at as many powers of two as its file has: fine and
coarse detail are stored apart. That costs a fraction of the memory and the time, and is the only way to read the
largest ones.
"""

from __future__ import annotations

from typing import BinaryIO, cast

from PIL import Image, ImageFile

_HEADER = 1 << 20  # bytes in which the header of JPEG 2000 is looked for, past profiles


def fractions_of(image: Image.Image, stream: BinaryIO) -> tuple[int, ...]:
    """1, 2, 4 ...: what a picture's sides may be divided by while it is decoded, as far as its file allows."""
    if image.format == "JPEG":
        return (1, 2, 4, 8)
    if image.format == "JPEG2000":
        return tuple(2**level for level in range(_levels(stream) + 1))
    return (1,)


def relief(image: Image.Image, stream: BinaryIO) -> int:
    """How many times more pixels a picture may have than are decoded at most."""
    # Of a progressive JPEG all coefficients are held in memory, at any size.
    greatest = 2 if image.info.get("progressive") else fractions_of(image, stream)[-1]
    return greatest**2


def _levels(stream: BinaryIO) -> int:
    """How often JPEG 2000 has halved the picture: ISO/IEC 15444-1, A.6.1, behind the SIZ segment of A.5.1."""
    stream.seek(0)
    head = stream.read(_HEADER)
    start = head.find(b"\xff\x4f\xff\x51")
    style = head.find(b"\xff\x52", start + 4 + int.from_bytes(head[start + 4 : start + 6], "big"))
    return min(head[style + 9], 5) if 0 <= start < style < len(head) - 9 else 0


def divide(image: Image.Image, fraction: int) -> None:
    """Have a picture decoded at one of its fractions, which is no larger than its shorter side."""
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
