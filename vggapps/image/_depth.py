"""More than 8 bits a channel, which Pillow opens but does not hand over.

Grey of 16 bits, 32 bits and floats are modes of Pillow's. Colour of 16 bits (and grey with alpha) is not: it
keeps the high byte of each sample. Its unpackers for the two byte orders differ in nothing but which of a
sample's two bytes they keep, so decoding once more in the wrong byte order yields the low bytes. That works
for PNG and TIFF files, compressed or interlaced or tiled. TIFF files that store each channel in a plane of its own
are read by tifffile. CMYK and colour with premultiplied alpha of 16 bits are read at 8, with a note.

All other TIFF files stay with Pillow: tifffile reads LZW, the usual compression, only with imagecodecs, of 30 MB.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps

from vggapps.errors import PictureError
from vggapps.image._strips import Rows

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
    wide = image.format == "PPM" and isinstance(arguments, tuple) and arguments[-1] > 255  # its greatest level
    bits = tags.get(_BITS, (16 if wide or ";16" in raw or image.mode.startswith("I;16") else 8,))[0]
    return Stored(raw, bits, tags.get(_PLANES) == 2, tags.get(_COLOURS) == 0)


def deep_rows(image: Image.Image, how: Stored, again: Callable[[], ImageFile.ImageFile] | None) -> Rows | None:
    """A picture's samples, if it has over 8 bits and they can be had.

    Args:
        image: the picture, loaded.
        how: what `stored` said of it.
        again: opens the same file once more.

    Raises:
        PictureError: tifffile can't decompress its planes. The rows raise it for values beyond the expected range.
    """
    if how.planes and how.bits > 8 and again is not None:  # Pillow mixes these up, without an error
        planes, white = _planes(again()), np.float32(2**how.bits - 1)
        return lambda top, bottom: np.stack([_cut(plane, top, bottom) / white for plane in planes], -1)
    if image.mode.startswith("I;16"):
        return lambda top, bottom: _grey(_cut(image, top, bottom), how, image)
    if image.mode in ("I", "F"):
        peak = 65535 if image.mode == "I" else 1
        return lambda top, bottom: _within(_cut(image, top, bottom), peak, image)[..., None]
    kind, _, depth = how.raw.partition(";")
    if again is None or not depth.startswith("16") or len(depth) != 3:
        return None
    if kind == "LA" and image.mode == "RGBA":  # four bytes a pixel, which the plain unpacker keeps all
        four = _reloaded(again(), "RGBA")
        return lambda top, bottom: _unit(*np.moveaxis(_cut(four, top, bottom).reshape(bottom - top, -1, 2, 2), -1, 0))
    if kind in ("RGB", "RGBX", "RGBA") and depth[2] in _OTHER_ORDER:
        low = _reloaded(again(), f"{kind};16{_OTHER_ORDER[depth[2]]}")
        return lambda top, bottom: _with_key(_unit(_cut(image, top, bottom), _cut(low, top, bottom)), image, 65535)
    return None


def _cut(image: Image.Image, top: int, bottom: int) -> NDArray[Any]:
    return np.asarray(image.crop((0, top, image.width, bottom)))


def _planes(file: ImageFile.ImageFile) -> list[Image.Image]:
    """Each channel of the first page, upright as Pillow turns it."""
    import tifffile

    orientation = file.getexif().get(ExifTags.Base.Orientation, 1)
    file.fp.seek(0)  # type: ignore[union-attr]
    try:
        planes = [Image.fromarray(plane) for plane in tifffile.imread(file.fp, key=0)]
    except KeyError:
        raise PictureError(
            "its 16-bit channels are compressed in separate planes, which needs imagecodecs",
            "pip install imagecodecs, or save it interleaved",
        ) from None
    for plane in planes:
        plane.getexif()[ExifTags.Base.Orientation] = orientation
        ImageOps.exif_transpose(plane, in_place=True)
    return planes


def _reloaded(image: ImageFile.ImageFile, raw: str) -> Image.Image:
    image.tile = [
        tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw) for tile in image.tile
    ]
    image.load()
    return image


def _unit(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bytes of 16-bit samples, in [0, 1]."""
    return (high.astype(np.float32) * 256 + low) / np.float32(65535)


def _grey(levels: NDArray[np.uint16], how: Stored, image: Image.Image) -> NDArray[np.float32]:
    peak = 2**how.bits - 1  # 4095 in TIFF of 12 bits
    grey = levels.astype(np.float32) / peak
    return _with_key((1 - grey if how.white_is_zero else grey)[..., None], image, peak)


def _with_key(samples: NDArray[np.float32], image: Image.Image, peak: int) -> NDArray[np.float32]:
    # PNG may name one colour as transparent instead of having an alpha channel.
    key = image.info.get("transparency")
    if key is None or samples.shape[-1] not in (1, 3):
        return samples
    visible = np.any(np.rint(samples * peak) != np.array(key), axis=-1, keepdims=True)
    return np.concatenate([samples, visible.astype(np.float32)], axis=-1)


def _within(values: NDArray[Any], peak: int, image: Image.Image) -> NDArray[np.float32]:
    if not (values.min() >= 0 and values.max() <= peak):  # also true of NaN
        everything = np.asarray(image)
        raise PictureError(
            f"its values run from {everything.min():g} to {everything.max():g}, and 0 to {peak} was expected",
            f"scale them to 0 (black) to {peak} (white)",
        )
    return (values / np.float64(peak)).astype(np.float32)
