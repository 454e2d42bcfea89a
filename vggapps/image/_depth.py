"""More than 8 bits per channel, which Pillow reads only in part.

Pillow has modes for grey of 16 bits, 32 bits and floats. Of 16-bit colour (and grey with alpha) it keeps only the high
byte of each sample. Its unpackers for the two byte orders differ only in the byte that they keep, so decoding again in
the wrong byte order yields the low bytes. This works for PNG and TIFF files, compressed, interlaced or tiled. TIFF
files with each channel in a separate plane are read by tifffile. 16-bit CMYK and premultiplied alpha are read at 8
bits, with a note.

All other TIFF files are read by Pillow: for LZW, the usual compression, tifffile needs imagecodecs (30 MB).
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

_BITS, _COLOURS, _PLANES = 258, 262, 284  # TIFF tags: BitsPerSample, PhotometricInterpretation, PlanarConfiguration

# "L" is little-endian, "B" big-endian, "N" native.
_OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}


@dataclass(frozen=True)
class Layout:
    """The layout of samples in a file.

    Attributes:
        raw: Pillow's raw mode, such as "RGB;16B"; empty if unknown.
        bits: bits per channel, as far as known.
        planes: each channel is stored in a separate plane (TIFF).
        white_is_zero: grey levels are inverted (TIFF).
    """

    raw: str
    bits: int
    planes: bool
    white_is_zero: bool


def layout_of(image: Image.Image) -> Layout:
    """The layout of a picture that was just opened; after loading, Pillow no longer knows it."""
    tiles = getattr(image, "tile", ())
    arguments: object = tiles[0].args if tiles else None
    word = arguments[0] if isinstance(arguments, tuple) else arguments
    raw = word if isinstance(word, str) else ""
    tags = getattr(image, "tag_v2", {})
    wide = image.format == "PPM" and isinstance(arguments, tuple) and arguments[-1] > 255  # its maximum level
    bits = tags.get(_BITS, (16 if wide or ";16" in raw or image.mode.startswith("I;16") else 8,))[0]
    return Layout(raw, bits, tags.get(_PLANES) == 2, tags.get(_COLOURS) == 0)


def deep_rows(image: Image.Image, layout: Layout, again: Callable[[], ImageFile.ImageFile] | None) -> Rows | None:
    """The samples of a loaded picture at more than 8 bits; None if it has no more or they are not available.

    `again` opens the same file once more.

    Raises:
        PictureError: tifffile can't decompress its planes. The rows raise it for values outside the expected range.
    """
    if layout.planes and layout.bits > 8 and again is not None:  # Pillow reads these wrongly, without an error
        planes, white = _planes(again()), np.float32(2**layout.bits - 1)
        return lambda top, bottom: np.stack([_cut(plane, top, bottom) / white for plane in planes], -1)
    if image.mode.startswith("I;16"):
        return lambda top, bottom: _grey(_cut(image, top, bottom), layout, image)
    if image.mode in ("I", "F"):
        peak = 65535 if image.mode == "I" else 1
        return lambda top, bottom: _within(_cut(image, top, bottom), peak, image)[..., None]
    kind, _, depth = layout.raw.partition(";")
    if again is None or not depth.startswith("16") or len(depth) != 3:
        return None
    if kind == "LA" and image.mode == "RGBA":  # four bytes per pixel, and the plain unpacker keeps all of them
        four = _reloaded(again(), "RGBA")
        return lambda top, bottom: _unit(*np.moveaxis(_cut(four, top, bottom).reshape(bottom - top, -1, 2, 2), -1, 0))
    if kind in ("RGB", "RGBX", "RGBA") and depth[2] in _OTHER_ORDER:
        low = _reloaded(again(), f"{kind};16{_OTHER_ORDER[depth[2]]}")
        return lambda top, bottom: _with_key(_unit(_cut(image, top, bottom), _cut(low, top, bottom)), image, 65535)
    return None


def _cut(image: Image.Image, top: int, bottom: int) -> NDArray[Any]:
    return np.asarray(image.crop((0, top, image.width, bottom)))


def _planes(file: ImageFile.ImageFile) -> list[Image.Image]:
    """The channels of the first page, turned upright as Pillow does."""
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
    """16-bit samples in [0, 1] from their bytes."""
    return (high.astype(np.float32) * 256 + low) / np.float32(65535)


def _grey(levels: NDArray[np.uint16], layout: Layout, image: Image.Image) -> NDArray[np.float32]:
    peak = 2**layout.bits - 1  # 4095 for 12-bit TIFF
    grey = levels.astype(np.float32) / peak
    return _with_key((1 - grey if layout.white_is_zero else grey)[..., None], image, peak)


def _with_key(samples: NDArray[np.float32], image: Image.Image, peak: int) -> NDArray[np.float32]:
    # PNG may declare one colour as transparent instead of having an alpha channel.
    key = image.info.get("transparency")
    if key is None or samples.shape[-1] not in (1, 3):
        return samples
    visible = np.any(np.rint(samples * peak) != np.array(key), axis=-1, keepdims=True)
    return np.concatenate([samples, visible.astype(np.float32)], axis=-1)


def _within(values: NDArray[Any], peak: int, image: Image.Image) -> NDArray[np.float32]:
    if not (values.min() >= 0 and values.max() <= peak):  # also true of NaN
        everything = np.asarray(image)
        raise PictureError(
            f"its values range from {everything.min():g} to {everything.max():g}, expected 0 to {peak}",
            f"scale them to 0 (black) to {peak} (white)",
        )
    return (values / np.float64(peak)).astype(np.float32)
