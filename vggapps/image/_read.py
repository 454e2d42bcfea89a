"""Whatever holds a picture, to tensors."""

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
from vggapps.image._depth import stored
from vggapps.image._metadata import metadata_of
from vggapps.image._opening import (
    MAX_PIXELS,
    Opened,
    Source,
    check_size,
    limit,
    opened,
    orientation,
    quiet,
    stream_of,
    telling,
)
from vggapps.image._picture import Picture
from vggapps.image._resize import resize
from vggapps.image._samples import srgb_rows
from vggapps.image._smaller import Wanted, decoded
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
    """Read a picture: upright, sRGB, in [0, 1], transparency split off (see `Picture`), the first frame.

    Depth is kept where it can be. ICC profiles are applied at 8 bits; cICP, gAMA and cHRM of PNG files in floating
    point.

    Say how much of it will be seen, and no more is decoded (where the format allows that) or becomes a tensor, which
    takes twelve bytes a pixel: a scan of 100 megapixels then takes what Pillow needs to decode it, a JPEG far less.

    Args:
        source: a path, the file's bytes, a binary stream; a Pillow picture; a NumPy array of shape (h, w), (h, w, 3)
            or (h, w, 4), of bool, uint8, uint16, or floats in [0, 1], whose colours are in the order RGB (OpenCV's
            are BGR: ``array[..., ::-1]``); a `Picture`; or a tensor, see `rgb_of`.
        longer_side: scale down, once and antialiased, until the longer side has this many pixels. A smaller
            picture stays as it is, and a note says so.
        pixels: scale down until about so many pixels remain, height times width.
        at_least: where the caller will scale the picture down, to a shorter side of no more than this: it may have any
            size whose shorter side is not less.
        max_pixels: refuse pictures of more pixels, before decoding. By default 178 million, beyond which a JPEG or
            JPEG 2000 file is read at a half, a quarter or an eighth of its size; a note says so. Pillow's own
            limit holds beside it.
        name: what to call the picture; by default its file name.

    Raises:
        PictureError: the file is missing, unreadable, damaged, too large, too small, or no picture.
        SettingsError: what is given holds no picture, or a size is not positive.
        OutOfMemoryError: there is not enough memory to read it.
    """
    wanted = Wanted(longer_side, at_least, pixels)
    if isinstance(source, Tensor):
        return _scaled(Picture(checked(source), name=name or "picture"), wanted)
    if isinstance(source, Picture):
        return _scaled(replace(source, rgb=checked(source.rgb)), wanted)
    if isinstance(source, np.ndarray):
        return _from_array(source, wanted, max_pixels or MAX_PIXELS, name or "picture")
    if isinstance(source, Image.Image):
        return _from_pillow(source, wanted, max_pixels or MAX_PIXELS, name or "picture")
    with (
        stream_of(source, name) as (stream, known_as),
        opened(stream, known_as, max_pixels) as file,
        telling(known_as),
    ):
        return _from_file(file, wanted, max_pixels or limit(), known_as)


def from_pil(image: Image.Image, *, longer_side: int | None = None, name: str = "picture") -> Picture:
    """A picture from Pillow's, of any mode, read as `open_picture` reads a file. 16-bit grey keeps its depth.

    Raises:
        PictureError: it is too small, damaged, or has values that can't be pictured.
        SettingsError: `longer_side` is not positive.
    """
    return open_picture(image, longer_side=longer_side, name=name)


def rgb_of(source: Source) -> Float[Tensor, "1 3 h w"]:
    """RGB in [0, 1] of whatever holds a picture; what a user should know of a file is logged.

    A tensor is 1 x 3 x H x W: floats in [0, 1], on any device, with its gradient (values beyond by less than 0.001 are
    clamped), or uint8 or uint16, which are divided by 255 and 65535.

    Raises:
        PictureError: the file can't be read.
        SettingsError: what holds no picture, has values beyond [0, 1], or such as are not finite.
    """
    if isinstance(source, Tensor):
        return checked(source)
    picture = open_picture(source)
    for note in picture.notes:
        log.warning("%s: %s", picture.name, note)
    return picture.rgb


def _from_array(array: NDArray[Any], wanted: Wanted, max_pixels: int, name: str) -> Picture:
    rows = array_rows(array)
    height, width = array.shape[:2]
    check_size((width, height), name, max_pixels)
    divisor = wanted.spare(width, height)
    rgb, alpha = _split(gathered(lambda top, bottom: divided(rows(top, bottom), divisor), height, width, divisor))
    return _scaled(Picture(rgb, alpha, name), wanted, (width, height), divisor)


def _from_pillow(image: Image.Image, wanted: Wanted, max_pixels: int, name: str) -> Picture:
    check_size(image.size, name, max_pixels)
    with quiet(), telling(name):
        how, frames = stored(image), _frames(image)
        image.load()
        divisor = wanted.spare(*image.size)
        rows, notes = srgb_rows(image, how, divisor, None)
        return _picture(_Found(image, rows, divisor, divisor, image.size), wanted, name, [frames, *notes])


def _from_file(file: Opened, wanted: Wanted, most: int, name: str) -> Picture:
    how, frames, size = stored(file.image), _frames(file.image), file.image.size
    spare, needed = wanted.spare(*size), _needed(size, most)
    image, fraction, note = decoded(file, spare, needed)
    large = f"its {size[0]}x{size[1]} pixels are too many: it is read at 1/{fraction} of its size"
    if fraction == 1:
        size = image.size  # which Pillow has turned by now, if it is a TIFF
    divisor = max(1, spare // fraction)
    rows, told = srgb_rows(image, how, divisor, file.again)
    notes = [frames, *file.notes, note, large if needed > spare else "", *told]
    return _picture(_Found(image, rows, divisor, divisor * fraction, size), wanted, name, notes)


@dataclass(frozen=True)
class _Found:
    """A picture of Pillow's in memory.

    Attributes:
        image: as it was decoded.
        rows: of the same, in sRGB, the sides divided.
        divisor: by which `rows` divides the sides.
        total: by which they have been divided since the file.
        size: (width, height) in the file.
    """

    image: Image.Image
    rows: Rows
    divisor: int
    total: int
    size: tuple[int, int]


def _picture(found: _Found, wanted: Wanted, name: str, notes: list[str]) -> Picture:
    image = found.image
    rgb, alpha = _split(gathered(found.rows, image.height, image.width, found.divisor))
    picture = Picture(rgb, alpha, name, tuple(note for note in notes if note), metadata_of(image))
    picture = _scaled(picture, wanted, found.size, found.total)  # while its partial row and column are the last ones
    if (turn := _TURNS.get(orientation(image))) is not None:
        alpha = None if picture.alpha is None else turn(picture.alpha).contiguous()
        picture = replace(picture, rgb=turn(picture.rgb).contiguous(), alpha=alpha)
    full = found.size if orientation(image) >= 5 else found.size[::-1]  # these four exchange the sides
    return picture if picture.size == full else replace(picture, full=full)


def _split(samples: Float[Tensor, "1 c h w"]) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"] | None]:
    """Colours and opacity of samples, which may be used up."""
    if samples.shape[1] in (1, 3):
        return samples.expand(-1, 3, -1, -1).contiguous(), None
    rgb, alpha = samples[:, :-1], samples[:, -1:]
    if alpha.amin() == 1:
        return rgb.expand(-1, 3, -1, -1).contiguous(), None
    # What hides under transparent pixels is anything; the mean of what is visible makes the faintest edge.
    # Where nothing is visible at all, it is black. A channel at a time takes less memory.
    weight = alpha.sum(dtype=torch.float64).clamp(min=1e-6)
    for channel in rgb.unbind(1):
        mean = (channel * alpha[:, 0]).sum(dtype=torch.float64) / weight
        channel.sub_(mean.float()).mul_(alpha[:, 0]).add_(mean.float())
    return rgb.expand(-1, 3, -1, -1).contiguous(), alpha.contiguous()


def _scaled(picture: Picture, wanted: Wanted, size: tuple[int, int] | None = None, divisor: int = 1) -> Picture:
    """The picture at the wanted size. `size` is (width, height) of what it was before its sides were divided."""
    width, height = size or picture.size[::-1]
    final = wanted.size(width, height)
    notes = picture.notes
    if wanted.longer_side is not None and max(width, height) < wanted.longer_side:
        notes += (f"its {width}x{height} pixels are kept, as {wanted.longer_side} would only enlarge them",)
    if final is None:
        return replace(picture, notes=notes)
    extent = height / divisor, width / divisor
    rgb, alpha = resize(picture.rgb, final[::-1], extent), picture.alpha
    return replace(picture, rgb=rgb, alpha=None if alpha is None else resize(alpha, final[::-1], extent), notes=notes)


def _needed(size: tuple[int, int], most: int) -> int:
    """The power of two by which both sides must be divided for at most so many pixels."""
    divisor = 1
    while -(-size[0] // divisor) * -(-size[1] // divisor) > most:
        divisor *= 2
    return divisor


def _frames(image: Image.Image) -> str:
    count = getattr(image, "n_frames", 1)
    if count == 1 or image.format == "MPO":  # a phone's JPEG with a second view or a depth map behind it
        return ""
    kind = "several pages" if image.format == "TIFF" else "animated"
    return f"{kind}: the first of {count} is used"


# What EXIF's orientations want done to a stored picture.
_TURNS: dict[int, Callable[[Tensor], Tensor]] = {
    2: lambda tensor: tensor.flip(-1),
    3: lambda tensor: tensor.flip(-1, -2),
    4: lambda tensor: tensor.flip(-2),
    5: lambda tensor: tensor.transpose(-1, -2),
    6: lambda tensor: tensor.rot90(-1, (-2, -1)),
    7: lambda tensor: tensor.flip(-1, -2).transpose(-1, -2),
    8: lambda tensor: tensor.rot90(1, (-2, -1)),
}
