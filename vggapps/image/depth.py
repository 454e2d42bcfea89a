"""More than 8 bits a channel, which Pillow opens but does not hand over.

Grey of 16 bits, 32 bits and floats are modes of Pillow's. Colour of 16 bits (and grey with alpha) is not: it
keeps the high byte of each sample. Its unpackers for the two byte orders differ in nothing but which of a
sample's two bytes they keep, so decoding once more in the wrong byte order yields the low bytes. That works
for PNG and TIFF files, compressed or interlaced or tiled. CMYK and colour with premultiplied alpha of 16 bits
are read at 8, with a note; TIFF with a plane a channel is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from vggapps.errors import PictureError

_BITS, _COLOURS, _PLANES = 258, 262, 284  # TIFF: bits a sample, photometric, planar configuration

# "L" is little-endian, "B" big-endian, "N" the machine's own.
_OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}


@dataclass(frozen=True)
class Stored:
    """How samples lie in a file.

    Attributes:
        raw: in Pillow's words ("RGB;16B"); empty if unknown.
        bits: a channel, as far as can be told.
        planes: each channel is a picture of its own (TIFF).
        white_is_zero: grey is the wrong way round (TIFF).
    """

    raw: str
    bits: int
    planes: bool
    white_is_zero: bool


def stored(image: Image.Image) -> Stored:
    """Looks at a picture just opened; once it is loaded or turned, Pillow has forgotten."""
    tiles = getattr(image, "tile", ())
    arguments: object = tiles[0].args if tiles else None
    word = arguments[0] if isinstance(arguments, tuple) else arguments
    raw = word if isinstance(word, str) else ""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, (16 if ";16" in raw or image.mode.startswith("I;16") else 8,))[0]
    return Stored(raw, bits, tags.get(_PLANES) == 2, tags.get(_COLOURS) == 0)


def deep_samples(
    image: Image.Image, how: Stored, again: Callable[[], Image.Image] | None
) -> NDArray[np.float32] | None:
    """A picture's samples in [0, 1], of shape (h, w, 1 grey | 2 grey, alpha | 3 | 4), if it has over 8 bits.

    None for a picture of 8 bits, or one whose further bits can't be had.

    Args:
        image: the picture, loaded and upright.
        how: what `stored` said of it.
        again: opens the same file once more.
    """
    if how.planes and how.bits > 8:  # Pillow mixes these up, without an error
        raise PictureError("16 bits a channel in separate planes can't be read", "save it interleaved")
    if image.mode.startswith("I;16"):
        peak = 2**how.bits - 1  # 4095 in TIFF of 12 bits
        grey = np.asarray(image).astype(np.float32) / peak
        return _with_key((1 - grey if how.white_is_zero else grey)[..., None], image, peak)
    if image.mode == "I":
        return _within(np.asarray(image), 65535)[..., None]
    if image.mode == "F":
        return _within(np.asarray(image), 1)[..., None]
    kind, _, depth = how.raw.partition(";")
    if again is None or not depth.startswith("16") or len(depth) != 3:
        return None
    if kind == "LA" and image.mode == "RGBA":  # four bytes a pixel, which the plain unpacker keeps all
        four = np.asarray(_reloaded(again(), "RGBA")).astype(np.uint16)
        return _unit(four[..., 0::2] * 256 + four[..., 1::2])
    if kind in ("RGB", "RGBX", "RGBA") and depth[2] in _OTHER_ORDER:
        high = np.asarray(image).astype(np.uint16)
        low = np.asarray(_reloaded(again(), f"{kind};16{_OTHER_ORDER[depth[2]]}"))
        return _with_key(_unit(high * 256 + low), image, 65535)
    return None


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says; as it is if that can't be read."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF raises anything, and must not cost the pixels
        return image


def _reloaded(image: Image.Image, raw: str) -> Image.Image:
    assert isinstance(image, ImageFile.ImageFile)
    image.tile = [
        tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw) for tile in image.tile
    ]
    image.load()
    return upright(image)


def _unit(samples: NDArray[np.uint16]) -> NDArray[np.float32]:
    return samples.astype(np.float32) / np.float32(65535)


def _with_key(samples: NDArray[np.float32], image: Image.Image, peak: int) -> NDArray[np.float32]:
    # PNG may name one colour as transparent instead of having an alpha channel.
    key = image.info.get("transparency")
    if key is None or samples.shape[-1] not in (1, 3):
        return samples
    visible = np.any(np.rint(samples * peak) != np.array(key), axis=-1, keepdims=True)
    return np.concatenate([samples, visible.astype(np.float32)], axis=-1)


def _within(values: NDArray[np.generic], peak: int) -> NDArray[np.float32]:
    numbers = values.astype(np.float64)
    least, greatest = numbers.min(), numbers.max()
    if not (least >= 0 and greatest <= peak):  # also true of NaN
        raise PictureError(
            f"its values run from {least:g} to {greatest:g}, and 0 to {peak} was expected",
            f"scale them to 0 (black) to {peak} (white)",
        )
    return (numbers / peak).astype(np.float32)
