"""Reading pictures into tensors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vggapps.image._arrays import array_rows, checked
from vggapps.image._depth import layout_of
from vggapps.image._metadata import metadata_of
from vggapps.image._opening import (
    MAX_PIXELS,
    Opened,
    Source,
    check_size,
    limit,
    opened,
    orientation,
    picture_errors,
    stream_of,
    warnings_suppressed,
)
from vggapps.image._picture import Picture
from vggapps.image._resize import resize
from vggapps.image._samples import srgb_rows
from vggapps.image._smaller import TargetSize, decoded
from vggapps.image._strips import Rows, divided, gathered

log = logging.getLogger(__name__)


def open_picture(
    source: Source,
    *,
    longer_side: int | None = None,
    pixels: int | None = None,
    at_least: int | None = None,
    max_pixels: int | None = None,
    name: str | None = None,
) -> Picture:
    """Read a picture: upright, sRGB, in [0, 1], with its transparency separated (see `Picture`); the first frame.

    More than 8 bits per channel are kept where possible. ICC profiles are applied at 8 bits; cICP, gAMA and cHRM of
    PNG files in floating point.

    A tensor takes twelve bytes per pixel. With a target size, no more is decoded (where the format allows that) or
    converted than needed: a scan of 100 megapixels then takes the memory that Pillow needs to decode it, a JPEG far
    less.

    Args:
        source: a path, the bytes of a file, or a binary stream; a Pillow image of any mode; a NumPy array of shape
            (h, w), (h, w, 3) or (h, w, 4), of bool, uint8, uint16, or floats in [0, 1], in RGB order (OpenCV uses BGR:
            ``array[..., ::-1]``); a `Picture`; or a tensor, see `rgb_of`.
        longer_side: scale down, antialiased, to this longer side in pixels. A smaller picture is kept as it is, with
            a note.
        pixels: scale down to about this many pixels, height times width.
        at_least: a lower bound of the shorter side, for callers that scale the picture down further: any size with at
            least this shorter side may be returned.
        max_pixels: reject pictures with more pixels, before decoding. By default 178 million, beyond which a JPEG or
            JPEG 2000 file is read at a half, a quarter or an eighth of its size, with a note. Pillow's own limit
            applies as well.
        name: the name of the picture; by default its file name.

    Raises:
        PictureError: the file is missing, unreadable, damaged, too large, too small, or not a picture.
        SettingsError: the source is not a picture, or a size is not positive.
        OutOfMemoryError: there is not enough memory to read it.
    """
    target = TargetSize(longer_side, at_least, pixels)
    if isinstance(source, Tensor):
        return _scaled(Picture(checked(source), name=name or "picture"), target)
    if isinstance(source, Picture):
        return _scaled(replace(source, rgb=checked(source.rgb)), target)
    if isinstance(source, np.ndarray):
        return _from_array(source, target, max_pixels or MAX_PIXELS, name or "picture")
    if isinstance(source, Image.Image):
        return _from_pillow(source, target, max_pixels or MAX_PIXELS, name or "picture")
    with (
        stream_of(source, name) as (stream, known_as),
        opened(stream, known_as, max_pixels) as file,
        picture_errors(known_as),
    ):
        return _from_file(file, target, max_pixels or limit(), known_as)


def rgb_of(source: Source) -> Float[Tensor, "1 3 h w"]:
    """RGB in [0, 1] of any source of a picture; notes about a file are logged as warnings.

    A tensor must be 1 x 3 x H x W: floats in [0, 1] on any device, whose gradient is kept (values that exceed the range
    by less than 0.001 are clamped), or uint8 or uint16, which are divided by 255 and 65535.

    Raises:
        PictureError: the file can't be read.
        SettingsError: the source is not a picture, or has values outside [0, 1] or not finite.
    """
    if isinstance(source, Tensor):
        return checked(source)
    picture = open_picture(source)
    for note in picture.notes:
        log.warning("%s: %s", picture.name, note)
    return picture.rgb


def _from_array(array: NDArray[Any], target: TargetSize, max_pixels: int, name: str) -> Picture:
    rows = array_rows(array)
    height, width = array.shape[:2]
    check_size((width, height), name, max_pixels)
    divisor = target.divisor(width, height)
    rgb, alpha = _split(gathered(lambda top, bottom: divided(rows(top, bottom), divisor), height, width, divisor))
    return _scaled(Picture(rgb, alpha, name), target, (width, height), divisor)


def _from_pillow(image: Image.Image, target: TargetSize, max_pixels: int, name: str) -> Picture:
    check_size(image.size, name, max_pixels)
    with warnings_suppressed(), picture_errors(name):
        layout, frames = layout_of(image), _frames(image)
        image.load()
        divisor = target.divisor(*image.size)
        rows, notes = srgb_rows(image, layout, divisor, None)
        return _picture(_Decoded(image, rows, divisor, divisor, image.size), target, name, [frames, *notes])


def _from_file(file: Opened, target: TargetSize, max_pixels: int, name: str) -> Picture:
    layout, frames, size = layout_of(file.image), _frames(file.image), file.image.size
    allowed, needed = target.divisor(*size), _needed_divisor(size, max_pixels)
    image, fraction, note = decoded(file.image, file.stream, allowed, needed)
    large = f"its {size[0]}x{size[1]} pixels are too many: it is read at 1/{fraction} of its size"
    if fraction == 1:
        size = image.size  # Pillow has turned it upright by now if it is a TIFF
    divisor = max(1, allowed // fraction)
    rows, row_notes = srgb_rows(image, layout, divisor, file.again)
    notes = [frames, *file.notes, note, large if needed > allowed else "", *row_notes]
    return _picture(_Decoded(image, rows, divisor, divisor * fraction, size), target, name, notes)


@dataclass(frozen=True)
class _Decoded:
    """A decoded picture.

    Attributes:
        image: Pillow's image.
        rows: its rows in sRGB, with the sides divided by `divisor`.
        divisor: see `rows`.
        total: the divisor of the sides relative to the file.
        size: (width, height) in the file.
    """

    image: Image.Image
    rows: Rows
    divisor: int
    total: int
    size: tuple[int, int]


def _picture(found: _Decoded, target: TargetSize, name: str, notes: list[str]) -> Picture:
    image = found.image
    rgb, alpha = _split(gathered(found.rows, image.height, image.width, found.divisor))
    picture = Picture(rgb, alpha, name, tuple(note for note in notes if note), metadata_of(image))
    picture = _scaled(picture, target, found.size, found.total)  # before turning: partial blocks are at the end
    if (turn := _TURNS.get(orientation(image))) is not None:
        alpha = None if picture.alpha is None else turn(picture.alpha).contiguous()
        picture = replace(picture, rgb=turn(picture.rgb).contiguous(), alpha=alpha)
    full = found.size if orientation(image) >= 5 else found.size[::-1]  # these swap the sides
    return picture if picture.size == full else replace(picture, full=full)


def _split(samples: Float[Tensor, "1 c h w"]) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"] | None]:
    """Colours and opacity of samples, which are modified in place."""
    if samples.shape[1] in (1, 3):
        return samples.expand(-1, 3, -1, -1).contiguous(), None
    rgb, alpha = samples[:, :-1], samples[:, -1:]
    if alpha.amin() == 1:
        return rgb.expand(-1, 3, -1, -1).contiguous(), None
    # Transparent pixels may have any colour; the mean of the visible ones gives the faintest edges (black if nothing is
    # visible). One channel at a time takes less memory.
    weight = alpha.sum(dtype=torch.float64).clamp(min=1e-6)
    for channel in rgb.unbind(1):
        mean = (channel * alpha[:, 0]).sum(dtype=torch.float64) / weight
        channel.sub_(mean.float()).mul_(alpha[:, 0]).add_(mean.float())
    return rgb.expand(-1, 3, -1, -1).contiguous(), alpha.contiguous()


def _scaled(picture: Picture, target: TargetSize, size: tuple[int, int] | None = None, divisor: int = 1) -> Picture:
    """The picture at the target size; `size` is its (width, height) before its sides were divided by `divisor`."""
    width, height = size or picture.size[::-1]
    final = target.size(width, height)
    notes = picture.notes
    if target.longer_side is not None and max(width, height) < target.longer_side:
        notes += (f"its {width}x{height} pixels are kept, as {target.longer_side} would only enlarge them",)
    if final is None:
        return replace(picture, notes=notes)
    extent = height / divisor, width / divisor
    rgb, alpha = resize(picture.rgb, final[::-1], extent), picture.alpha
    return replace(picture, rgb=rgb, alpha=None if alpha is None else resize(alpha, final[::-1], extent), notes=notes)


def _needed_divisor(size: tuple[int, int], max_pixels: int) -> int:
    """The power of two that both sides must be divided by for at most that many pixels."""
    divisor = 1
    while -(-size[0] // divisor) * -(-size[1] // divisor) > max_pixels:
        divisor *= 2
    return divisor


def _frames(image: Image.Image) -> str:
    count = getattr(image, "n_frames", 1)
    if count == 1 or image.format == "MPO":  # a phone's JPEG, followed by a second view or a depth map
        return ""
    kind = "several pages" if image.format == "TIFF" else "animated"
    return f"{kind}: the first of {count} is used"


# The transforms that EXIF orientations ask for.
_TURNS: dict[int, Callable[[Tensor], Tensor]] = {
    2: lambda tensor: tensor.flip(-1),
    3: lambda tensor: tensor.flip(-1, -2),
    4: lambda tensor: tensor.flip(-2),
    5: lambda tensor: tensor.transpose(-1, -2),
    6: lambda tensor: tensor.rot90(-1, (-2, -1)),
    7: lambda tensor: tensor.flip(-1, -2).transpose(-1, -2),
    8: lambda tensor: tensor.rot90(1, (-2, -1)),
}
