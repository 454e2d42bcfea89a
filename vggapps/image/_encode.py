"""Writing pictures: tensors to the bytes of PNG, JPEG, WebP and TIFF files."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin
from torch import Tensor

from vggapps._files import check_writable, write_file
from vggapps.errors import PictureError, SettingsError
from vggapps.image._color import srgb_profile
from vggapps.image._metadata import Metadata
from vggapps.image._picture import Picture
from vggapps.image._settings import KEY, exif_bytes, exif_of, software, to_json

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
_LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383}
_QUALITY = 95
_EXIF = 65533  # bytes in one segment of a JPEG
Settings = Mapping[str, object] | None
Samples = NDArray[np.uint8] | NDArray[np.uint16]


def save_picture(
    image: Float[Tensor, "1 3 h w"] | Picture,
    target: str | os.PathLike[str],
    *,
    alpha: Float[Tensor, "1 1 h w"] | None = None,
    settings: Settings = None,
    bits: int = 8,
    quality: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a picture, in the format that the suffix names: PNG, JPEG (4:4:4), WebP or TIFF.

    The write is atomic: the file is written beside the target, then renamed.

    Args:
        image: sRGB floats in [0, 1], clamped and rounded to the nearest level; or levels in uint8. A `Picture` brings
            its transparency, settings and metadata into the file.
        target: the file to write.
        alpha: opacity in [0, 1]; by default the `Picture`'s. For JPEG, which has no transparency, the picture is
            composited over white.
        settings: the settings that made the picture, for `read_settings`; by default the `Picture`'s.
        bits: bits per channel: 8, or 16 (PNG and TIFF).
        quality: 1 to 100, for JPEG and WebP; 95 by default.
        overwrite: replace an existing file.

    Returns:
        The path written.

    Raises:
        OutputExistsError: the file exists, and `overwrite` is false.
        PictureError: the folder is missing, not writable or full, or the picture has NaN.
        SettingsError: an unknown suffix, 16 bits or a quality in a format without them, settings that JSON can't
            represent, or more than the format can hold: too long a side, too much text (JPEG).
    """
    path = check_target(target, bits=bits, quality=quality, overwrite=overwrite)
    data = encode_picture(
        image, path.suffix, alpha=alpha, settings=settings, bits=bits, quality=quality, name=path.name
    )
    return write_file(path, data, overwrite=overwrite)


def check_target(
    target: str | os.PathLike[str],
    *,
    bits: int = 8,
    quality: int | None = None,
    size: tuple[int, int] | None = None,
    settings: Settings = None,
    metadata: Metadata | None = None,
    overwrite: bool = False,
) -> Path:
    """Check whether `save_picture` could write a file, before doing the work that makes the picture.

    The arguments and errors are those of `save_picture`; ``size`` (height, width), ``settings`` and ``metadata`` of
    the picture are checked as far as they are known.
    """
    path = Path(target)
    check_format(
        path.suffix, bits=bits, quality=quality, size=size, settings=settings, metadata=metadata, name=path.name
    )
    return check_writable(path, overwrite=overwrite)


def encode_picture(
    image: Float[Tensor, "1 3 h w"] | Picture,
    format: str,
    *,
    alpha: Float[Tensor, "1 1 h w"] | None = None,
    settings: Settings = None,
    bits: int = 8,
    quality: int | None = None,
    name: str = "picture",
) -> bytes:
    """The bytes of a picture file; `format` is "png" or ".png", `name` is used in errors.

    The other arguments and errors are those of `save_picture`.
    """
    metadata = None
    if isinstance(image, Picture):
        metadata, alpha = image.metadata, image.alpha if alpha is None else alpha
        settings = image.settings if settings is None else settings
        image = image.rgb
    image = _floats(image, name)
    kind = check_format(
        f".{format.lstrip('.')}",
        bits=bits,
        quality=quality,
        size=(image.shape[-2], image.shape[-1]),
        settings=settings,
        metadata=metadata,
        name=name,
    )
    if kind == "JPEG" and alpha is not None:
        alpha = _fitting(alpha, image, name)
        image, alpha = image.to(alpha) * alpha + (1 - alpha), None
    samples = _samples(image, alpha, bits, name)
    if kind == "TIFF":
        return _tiff(samples, exif_of(settings, metadata))
    if kind == "PNG":
        write = _deep_png if bits == 16 else _png
        return write(samples, _png_info(settings), metadata)
    options: dict[str, Any] = {"quality": _QUALITY if quality is None else quality}
    if kind == "JPEG":
        options["subsampling"] = "4:4:4"
        if metadata is not None and metadata.dpi is not None:
            options["dpi"] = metadata.dpi
    return _pillow(samples, kind, exif=exif_bytes(settings, metadata), **options)


def to_pil(picture: Picture) -> Image.Image:
    """Convert to an 8-bit Pillow image, RGB, or RGBA if the picture has transparency."""
    return Image.fromarray(_samples(picture.rgb, picture.alpha, 8, picture.name))


def on_white(picture: Picture) -> Image.Image:
    """Convert to an 8-bit RGB Pillow image, composited over white."""
    image = to_pil(picture)
    if image.mode != "RGBA":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def check_format(
    suffix: str,
    *,
    bits: int = 8,
    quality: int | None = None,
    size: tuple[int, int] | None = None,
    settings: Settings = None,
    metadata: Metadata | None = None,
    name: str = "picture",
) -> str:
    """Pillow's name of the format of a suffix such as ".png"; the arguments are those of `check_target`.

    Raises:
        SettingsError: there is no such format, or it can't hold such a picture.
    """
    if suffix.lower() not in FORMATS:
        word = f"'{suffix}' is not a format that can be written" if suffix else "the file's name has no suffix"
        raise SettingsError(word, f"the choices are: {', '.join(FORMATS)}")
    kind = FORMATS[suffix.lower()]
    if bits not in (8, 16) or (bits == 16 and kind not in ("PNG", "TIFF")):
        raise SettingsError(f"{kind} with {bits} bits per channel can't be written", "8 always, 16 in PNG and TIFF")
    if quality is not None:
        if kind not in ("JPEG", "WEBP"):
            raise SettingsError(f"{kind} is lossless and has no quality", "leave it out, or write a JPEG")
        if quality not in range(1, 101):
            raise SettingsError(f"a quality of {quality} can't be written", "give an integer from 1 to 100")
    if size is not None and max(size) > (longest := _LONGEST_SIDE.get(kind, 2**31 - 1)):
        raise SettingsError(
            f"{name}: {size[1]}x{size[0]} pixels, and {kind} holds at most {longest} per side", "write a PNG"
        )
    if settings is not None:
        to_json(settings)
    if kind == "JPEG" and (length := len(exif_bytes(settings, metadata))) > _EXIF:
        raise SettingsError(
            f"{name}: its settings and metadata have {length} bytes, and JPEG holds at most {_EXIF}", "write a PNG"
        )
    return kind


def _fitting(alpha: Tensor, image: Tensor, name: str) -> Tensor:
    if alpha.shape != (1, 1, *image.shape[2:]):
        raise SettingsError(f"{name}: alpha of shape {tuple(alpha.shape)} does not fit", "give (1, 1, h, w)")
    return _unit(alpha, name)


def _floats(image: Tensor, name: str) -> Tensor:
    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise SettingsError(f"{name}: a tensor of shape {tuple(image.shape)} is not a picture", "give (1, 3, h, w)")
    return _unit(image, name)


def _unit(image: Tensor, name: str) -> Tensor:
    if not image.is_floating_point() and image.dtype != torch.uint8:
        raise SettingsError(f"{name}: a tensor of {image.dtype} is not a picture", "give floats in [0, 1], or uint8")
    return image.float() / 255 if image.dtype == torch.uint8 else image


def _samples(image: Tensor, alpha: Tensor | None, bits: int, name: str) -> Samples:
    image = _floats(image, name)
    if alpha is not None:
        image = torch.cat([image, _fitting(alpha, image, name).to(image)], 1)
    pixels = image.detach()[0].permute(1, 2, 0).float().cpu().numpy()
    if np.isnan(pixels).any():
        raise PictureError(f"{name}: the picture has values that are not numbers (NaN)", "nothing was written")
    peak = 2**bits - 1
    levels: NDArray[np.float32] = np.floor(pixels.clip(0, 1) * peak + 0.5)
    return levels.astype(np.uint8) if bits == 8 else levels.astype(np.uint16)


def _pillow(samples: Samples, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(samples).save(file, kind, icc_profile=srgb_profile(), **options)
    return file.getvalue()


def _png_info(settings: Settings) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", software())
    if settings is not None:
        info.add_itxt(KEY, to_json(settings))
    return info


def _png(samples: Samples, info: PngImagePlugin.PngInfo, metadata: Metadata | None) -> bytes:
    if metadata is None:
        return _pillow(samples, "PNG", pnginfo=info)
    return _pillow(samples, "PNG", pnginfo=info, exif=exif_bytes(None, metadata), dpi=metadata.dpi)


def _deep_png(samples: Samples, info: PngImagePlugin.PngInfo, metadata: Metadata | None) -> bytes:
    """PNG with 16 bits per channel, which Pillow does not write."""
    height, width, channels = samples.shape
    rows = np.frombuffer(samples.astype(">u2").tobytes(), np.uint8).reshape(height, -1)
    # Each row is stored as its difference from the row above (filter 2), which compresses better.
    filtered = np.full((height, 1 + rows.shape[1]), 2, np.uint8)
    filtered[:, 1:] = rows
    filtered[1:, 1:] -= rows[:-1]
    file = io.BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    profile = b"sRGB\0\0" + zlib.compress(srgb_profile())
    packed = zlib.compress(filtered.tobytes())
    chunks = [(chunk[0], chunk[1]) for chunk in info.chunks]
    if metadata is not None:
        chunks.append((b"eXIf", exif_bytes(None, metadata).removeprefix(b"Exif\0\0")))
        if metadata.dpi is not None:
            chunks.append((b"pHYs", struct.pack(">IIB", *(round(dpi / 0.0254) for dpi in metadata.dpi), 1)))
    for kind, data in [(b"IHDR", header), (b"iCCP", profile), *chunks, (b"IDAT", packed), (b"IEND", b"")]:
        PngImagePlugin.putchunk(file, kind, data)
    return file.getvalue()


def _tiff(samples: Samples, exif: Mapping[int, Any]) -> bytes:
    """TIFF with 8 or 16 bits per channel (Pillow writes 8): one deflated strip of horizontal differences."""
    height, width, channels = samples.shape
    differences = samples.astype(samples.dtype.newbyteorder("<"))
    differences[:, 1:] = samples[:, 1:] - samples[:, :-1]  # modulo 2^bits: unsigned numbers wrap around
    strip = zlib.compress(differences.tobytes())
    tags = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    tags[256], tags[257] = width, height
    tags[258] = (samples.dtype.itemsize * 8,) * channels
    tags[259], tags[317] = 8, 2  # deflate, horizontal differences
    tags[262], tags[277], tags[278] = 2, channels, height  # RGB, samples per pixel, rows in the strip
    if channels == 4:
        tags[338] = 2  # the fourth channel is opacity, not premultiplied
    for tag, value in exif.items():
        tags[tag] = value
    tags[34675] = srgb_profile()
    tags[273], tags[279] = 0, len(strip)  # Pillow adds the end of the tags to the strip's offset
    file = io.BytesIO()
    tags.save(file)
    file.write(strip)
    return file.getvalue()
