"""Picture files to tensors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from os import PathLike

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.image.color import changes_nothing, to_srgb
from vggapps.image.depth import deep_samples, stored, upright
from vggapps.image.opening import MAX_PIXELS, Source, check_size, opened, quiet, stream_of, telling
from vggapps.image.picture import Picture
from vggapps.image.resize import fit, resize

log = logging.getLogger(__name__)


def open_picture(
    source: Source,
    *,
    longer_side: int | None = None,
    at_least: int | None = None,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> Picture:
    """Read a picture: upright, sRGB, in [0, 1], transparency split off (see `Picture`), the first frame.

    Depth is kept where it can be (see ``vggapps.image.depth``). ICC profiles are applied at 8 bits.

    Args:
        source: a path, the file's bytes, or a binary stream.
        longer_side: scale down, once and antialiased, until the longer side has this many pixels. A smaller
            picture stays as it is, and a note says so.
        at_least: where the picture will be scaled down anyway, to a shorter side of no more than this: a large JPEG
            is then decoded at a half, a quarter or an eighth of its size, which takes a fraction of the time.
        max_pixels: refuse pictures of more pixels, before decoding. Pillow's own limit holds beside it.
        name: what to call the picture; by default its file name.

    Raises:
        PictureError: the file is missing, unreadable, damaged, too large, too small, or no picture.
        SettingsError: `longer_side` is not positive.
    """
    with stream_of(source, name) as (stream, known_as), opened(stream, known_as, max_pixels) as image:

        def again() -> Image.Image:
            return Image.open(stream, formats=[str(image.format)])

        with telling(known_as):
            if at_least is not None:
                short, long = min(image.size), max(image.size)
                wanted = (at_least, at_least * long // short)
                image.draft(None, wanted if image.size[0] == short else wanted[::-1])  # other formats ignore it
            return _picture(image, known_as, longer_side, again)


def from_pil(image: Image.Image, *, longer_side: int | None = None, name: str = "picture") -> Picture:
    """A picture from Pillow's, of any mode, read as `open_picture` reads a file. 16-bit grey keeps its depth.

    Raises:
        PictureError: it is too small, damaged, or has values that can't be pictured.
        SettingsError: `longer_side` is not positive.
    """
    check_size(image, name, MAX_PIXELS)
    with quiet(), telling(name):
        return _picture(image, name, longer_side, None)


def _picture(
    image: Image.Image, name: str, longer_side: int | None, again: Callable[[], Image.Image] | None
) -> Picture:
    notes = [_frames(image)]
    how = stored(image)
    image.load()
    image = upright(image)
    icc = image.info.get("icc_profile")
    samples = deep_samples(image, how, again)
    colour: Image.Image | NDArray[np.float32]
    opacity: Image.Image | NDArray[np.float32] | None
    if samples is None:
        notes.append("its 16 bits a channel are read as 8" if how.bits > 8 else "")
        colour, opacity = _split(image)
    else:
        colour, opacity = samples, None
        if samples.shape[-1] in (2, 4):
            colour, opacity = samples[..., :-1], samples[..., -1:]
        if not changes_nothing(icc, "RGB" if colour.shape[-1] == 3 else "L"):
            notes.append("its 16 bits a channel are read as 8, to apply its colour profile")
            eight = np.rint(colour * 255).astype(np.uint8)
            colour = Image.fromarray(eight if eight.shape[-1] == 3 else eight[..., 0])
    if isinstance(colour, Image.Image):
        colour, note = to_srgb(colour, icc)
        notes.append(note)
    rgb = _tensor(colour).expand(-1, 3, -1, -1)
    alpha = None if opacity is None else _tensor(opacity)
    if alpha is not None:
        rgb, alpha = (rgb, None) if alpha.amin() == 1 else (_over_mean(rgb, alpha), alpha)
    if longer_side is not None:
        height, width = rgb.shape[-2:]
        size = fit(height, width, longer_side)
        if max(size) < longer_side:
            notes.append(f"its {width}x{height} pixels are kept, as {longer_side} would only enlarge them")
        rgb, alpha = resize(rgb, size), None if alpha is None else resize(alpha, size)
    return Picture(rgb.contiguous(), alpha, name, tuple(note for note in notes if note))


def _frames(image: Image.Image) -> str:
    count = getattr(image, "n_frames", 1)
    if count == 1 or image.format == "MPO":  # a phone's JPEG with a second view or a depth map behind it
        return ""
    kind = "several pages" if image.format == "TIFF" else "animated"
    return f"{kind}: the first of {count} is used"


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    if image.mode in ("La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if not image.has_transparency_data:
        keep = ("L", "RGB", "CMYK", "LAB")
        return (image if image.mode in keep else image.convert("L" if image.mode == "1" else "RGB")), None
    opacity = image.convert("RGBA").getchannel("A")
    grey = image.mode in ("L", "LA")  # stays grey, for a profile of grey
    return (image.convert("LA").getchannel("L") if grey else image.convert("RGBA").convert("RGB")), opacity


def _tensor(samples: Image.Image | NDArray[np.float32]) -> Float[Tensor, "1 c h w"]:
    array = np.array(samples)  # a copy: Pillow's memory is read-only, which torch warns of
    tensor = torch.from_numpy(array if array.ndim == 3 else array[..., None])
    tensor = tensor.permute(2, 0, 1)[None].contiguous()  # before it is four times as large
    return tensor.float().div_(255) if tensor.dtype == torch.uint8 else tensor


def _over_mean(rgb: Float[Tensor, "1 3 h w"], alpha: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "1 3 h w"]:
    # What hides under transparent pixels is anything; the mean of what is visible makes the faintest edge.
    # Where nothing is visible at all, it is black.
    total = (rgb * alpha).sum((2, 3), keepdim=True, dtype=torch.float64)
    mean = total / alpha.sum(dtype=torch.float64).clamp(min=1e-6)
    return rgb * alpha + mean.float() * (1 - alpha)


def rgb_of(source: str | PathLike[str] | Picture | Tensor) -> Float[Tensor, "1 3 h w"]:
    """RGB in [0, 1] of a file, a picture or a tensor; what a user should know of the file is logged.

    Raises:
        PictureError: the file can't be read.
        SettingsError: a tensor that is no picture.
    """
    if isinstance(source, Tensor):
        if source.ndim != 4 or source.shape[:2] != (1, 3) or not source.is_floating_point():
            raise SettingsError(
                f"a picture must be a 1 x 3 x H x W float tensor, this is {tuple(source.shape)} {source.dtype}",
                "RGB in [0, 1]; vggapps.image.open_picture makes one from a file",
            )
        return source.float()
    picture = source if isinstance(source, Picture) else open_picture(source)
    for note in picture.notes:
        log.warning("%s: %s", picture.name, note)
    return picture.rgb
