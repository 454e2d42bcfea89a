"""Tensors to picture files."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin
from torch import Tensor

from vggapps.errors import PictureError, SettingsError
from vggapps.files import check_writable, write_file
from vggapps.image.color import srgb_profile
from vggapps.image.picture import Picture
from vggapps.image.settings import KEY, exif_bytes, software, to_json

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
_LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383}
_OPTIONS: dict[str, dict[str, object]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"quality": 95},
}
Settings = Mapping[str, object] | None
Samples = NDArray[np.uint8] | NDArray[np.uint16]


def save_picture(
    image: Float[Tensor, "1 3 h w"] | Picture,
    target: str | os.PathLike[str],
    *,
    alpha: Float[Tensor, "1 1 h w"] | None = None,
    settings: Settings = None,
    bits: int = 8,
    overwrite: bool = False,
) -> Path:
    """Write a picture, in the format that the suffix names: PNG, JPEG (95, 4:4:4), WebP (95) or TIFF.

    The file appears whole or not at all: it is written beside the target, then renamed.

    Args:
        image: sRGB in [0, 1]; values beyond are clamped, and levels rounded to the nearest.
        target: the file to write.
        alpha: opacity in [0, 1]; by default the `Picture`'s own. JPEG holds none: it is laid over white.
        settings: what made the picture, for `read_settings`.
        bits: a channel, 8 or 16 (PNG and TIFF).
        overwrite: replace an existing file.

    Returns:
        The path written.

    Raises:
        OutputExistsError: there is such a file, and `overwrite` is false.
        PictureError: the folder is missing, closed or full, or the picture has NaN.
        SettingsError: an unknown suffix, 16 bits in a format of 8, settings that JSON can't hold.
    """
    path = check_target(target, bits=bits, overwrite=overwrite)
    data = encode_picture(image, path.suffix, alpha=alpha, settings=settings, bits=bits, name=path.name)
    return write_file(path, data, overwrite=overwrite)


def check_target(target: str | os.PathLike[str], *, bits: int = 8, overwrite: bool = False) -> Path:
    """Whether `save_picture` could write there, asked before the work that makes the picture.

    Raises:
        As `save_picture`.
    """
    check_format(Path(target).suffix, bits=bits)
    return check_writable(target, overwrite=overwrite)


def encode_picture(
    image: Float[Tensor, "1 3 h w"] | Picture,
    format: str,
    *,
    alpha: Float[Tensor, "1 1 h w"] | None = None,
    settings: Settings = None,
    bits: int = 8,
    name: str = "picture",
) -> bytes:
    """A picture file's bytes, for a pipe or a page; `format` is "png" or ".png", `name` is for errors.

    The other arguments and errors are `save_picture`'s.
    """
    kind = check_format(f".{format.lstrip('.')}", bits=bits)
    if isinstance(image, Picture):
        alpha = image.alpha if alpha is None else alpha
        image = image.rgb
    if kind == "JPEG" and alpha is not None:
        image, alpha = image.to(alpha) * alpha + (1 - alpha), None
    samples = _samples(image, alpha, bits, name)
    height, width = samples.shape[:2]
    if max(height, width) > _LONGEST_SIDE.get(kind, 2**31):
        longest = _LONGEST_SIDE[kind]
        raise PictureError(f"{name}: {width}x{height} pixels, and {kind} holds {longest} a side", "write a PNG")
    if kind == "TIFF":
        return _tiff(samples, settings)
    if kind == "PNG":
        info = _png_info(settings)
        return _deep_png(samples, info) if bits == 16 else _pillow(samples, kind, name, pnginfo=info)
    return _pillow(samples, kind, name, exif=exif_bytes(settings))


def to_pil(picture: Picture) -> Image.Image:
    """Pillow's picture of 8 bits a channel, RGB, or RGBA where it is transparent."""
    return Image.fromarray(_samples(picture.rgb, picture.alpha, 8, picture.name))


def check_format(suffix: str, *, bits: int = 8) -> str:
    """Pillow's name of the format that a suffix names, which can hold so many bits a channel.

    Raises:
        SettingsError: it is no format that can be written, or can't hold them.
    """
    if suffix.lower() not in FORMATS:
        word = f"'{suffix}' is no format that can be written" if suffix else "the file's name has no suffix"
        raise SettingsError(word, f"the choices are: {', '.join(FORMATS)}")
    kind = FORMATS[suffix.lower()]
    if bits not in (8, 16) or (bits == 16 and kind not in ("PNG", "TIFF")):
        raise SettingsError(f"{kind} with {bits} bits a channel can't be written", "8 always, 16 in PNG and TIFF")
    return kind


def _samples(image: Tensor, alpha: Tensor | None, bits: int, name: str) -> Samples:
    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise SettingsError(f"{name}: a tensor of shape {tuple(image.shape)} is no picture", "give (1, 3, h, w)")
    if alpha is not None:
        if alpha.shape != (1, 1, *image.shape[2:]):
            raise SettingsError(f"{name}: alpha of shape {tuple(alpha.shape)} does not fit", "give (1, 1, h, w)")
        image = torch.cat([image, alpha.to(image)], 1)
    pixels = image.detach()[0].permute(1, 2, 0).float().cpu().numpy()
    if np.isnan(pixels).any():
        raise PictureError(f"{name}: the picture has values that are not numbers (NaN)", "nothing was written")
    peak = 2**bits - 1
    levels: NDArray[np.float32] = np.floor(pixels.clip(0, 1) * peak + 0.5)
    return levels.astype(np.uint8) if bits == 8 else levels.astype(np.uint16)


def _pillow(samples: Samples, kind: str, name: str, **extra: object) -> bytes:
    file = io.BytesIO()
    try:
        Image.fromarray(samples).save(file, kind, icc_profile=srgb_profile(), **_OPTIONS[kind], **extra)
    except ValueError as error:  # EXIF in JPEG ends at 64 kB
        raise SettingsError(f"{name}: it can't be written as {kind}: {error}", "write a PNG") from None
    return file.getvalue()


def _png_info(settings: Settings) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    if maker := software():
        info.add_text("Software", maker)
    if settings is not None:
        info.add_itxt(KEY, to_json(settings))
    return info


def _deep_png(samples: Samples, info: PngImagePlugin.PngInfo) -> bytes:
    """PNG of 16 bits a channel, which Pillow does not write."""
    height, width, channels = samples.shape
    rows = np.frombuffer(samples.astype(">u2").tobytes(), np.uint8).reshape(height, -1)
    # Every row is stored as its difference from the row above (filter 2), which packs smaller.
    filtered = np.full((height, 1 + rows.shape[1]), 2, np.uint8)
    filtered[:, 1:] = rows
    filtered[1:, 1:] -= rows[:-1]
    file = io.BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    profile = b"sRGB\0\0" + zlib.compress(srgb_profile())
    packed = zlib.compress(filtered.tobytes())
    texts = [(chunk[0], chunk[1]) for chunk in info.chunks]
    for kind, data in [(b"IHDR", header), (b"iCCP", profile), *texts, (b"IDAT", packed), (b"IEND", b"")]:
        PngImagePlugin.putchunk(file, kind, data)
    return file.getvalue()


def _tiff(samples: Samples, settings: Settings) -> bytes:
    """TIFF of 8 or 16 bits a channel (Pillow writes 8): one strip, deflated, horizontal differences."""
    height, width, channels = samples.shape
    differences = samples.astype(samples.dtype.newbyteorder("<"))
    differences[:, 1:] = samples[:, 1:] - samples[:, :-1]  # modulo 2^bits, as unsigned numbers do
    strip = zlib.compress(differences.tobytes())
    tags = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    tags[256], tags[257] = width, height
    tags[258] = (samples.dtype.itemsize * 8,) * channels
    tags[259], tags[317] = 8, 2  # deflate, horizontal differences
    tags[262], tags[277], tags[278] = 2, channels, height  # RGB, samples a pixel, rows in the strip
    if channels == 4:
        tags[338] = 2  # the fourth is opacity that the colours were not multiplied by
    if settings is not None:
        tags[270] = f"{KEY} {to_json(settings, ascii_only=True)}"
    if maker := software():
        tags[305] = maker
    tags[34675] = srgb_profile()
    tags[273], tags[279] = 0, len(strip)  # Pillow adds where the tags end to the strip's place
    file = io.BytesIO()
    tags.save(file)
    file.write(strip)
    return file.getvalue()
