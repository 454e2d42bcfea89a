"""Pictures into files, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from vggapps._files import check_writable, write_file
from vggapps.image._encode import Settings, check_format, encode_picture
from vggapps.image._metadata import Metadata
from vggapps.image._picture import Picture


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

    The file appears whole or not at all: it is written beside the target, then renamed.

    Args:
        image: sRGB in [0, 1]; values beyond are clamped, and levels rounded to the nearest; or levels in uint8. A
            `Picture` brings its transparency, its settings and its metadata into the file.
        target: the file to write.
        alpha: opacity in [0, 1]; by default the `Picture`'s own. JPEG holds none: it is laid over white.
        settings: what made the picture, for `read_settings`; by default the `Picture`'s own.
        bits: a channel, 8 or 16 (PNG and TIFF).
        quality: 1 to 100, of JPEG and WebP; 95 if not given.
        overwrite: replace an existing file.

    Returns:
        The path written.

    Raises:
        OutputExistsError: there is such a file, and `overwrite` is false.
        PictureError: the folder is missing, closed or full, or the picture has NaN.
        SettingsError: an unknown suffix, 16 bits in a format of 8, a quality in a format that has none, settings that
            JSON can't hold, and what the format has no room for: too long a side, too much text (JPEG).
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
    """Whether `save_picture` could write there, asked before the work that makes the picture.

    Args:
        target: the file to write.
        bits: as for `save_picture`, as are `quality`, `settings` and `overwrite`.
        quality: of JPEG and WebP.
        size: (height, width) in pixels, if it is known.
        settings: what will be written into the picture, as far as it is known.
        metadata: of the photo.
        overwrite: replace an existing file.

    Raises:
        As `save_picture`.
    """
    path = Path(target)
    check_format(
        path.suffix, bits=bits, quality=quality, size=size, settings=settings, metadata=metadata, name=path.name
    )
    return check_writable(path, overwrite=overwrite)
