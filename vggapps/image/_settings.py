"""The settings that made a picture, stored in the picture's file.

PNG stores them as JSON in a text chunk (iTXt, keyword ``vggapps``). JPEG, WebP and TIFF store ``vggapps {...}`` in the
EXIF comment; the prefix distinguishes it from a photographer's text. Of TIFF files the description is read as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

from vggapps.errors import PictureError, SettingsError
from vggapps.image._metadata import Metadata, exif_tags
from vggapps.image._opening import File, opened, stream_of
from vggapps.image._png import KEY as KEY

DAMAGED = "the picture was changed by another program; use one as vggapps wrote it"


def to_json(settings: Mapping[str, object], *, ascii_only: bool = False) -> str:
    """Settings as one line of JSON. File names that are not valid Unicode keep their bytes as JSON escapes.

    Raises:
        SettingsError: a value can't be represented in JSON (as NaN and infinity).
    """
    try:
        text = json.dumps(dict(settings), ensure_ascii=ascii_only, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingsError(f"these settings can't be written into a picture: {error}", "give plain values") from None
    # UTF-8 can't represent a lone surrogate; escaped with a backslash it is valid JSON for the same surrogate.
    return text.encode("utf-8", "backslashreplace").decode()


def software() -> str:
    """The name and version of this software, for the metadata of pictures."""
    from vggapps import __version__

    return f"{KEY} {__version__}"


def exif_of(settings: Mapping[str, object] | None, metadata: Metadata | None = None) -> dict[int, Any]:
    """Settings and metadata as tags for JPEG, WebP and TIFF; the Exif IFD is a nested dictionary."""
    tags = exif_tags(metadata) if metadata is not None else {}
    tags[ExifTags.Base.Software] = software()
    if settings is not None:
        # EXIF comments begin with their encoding, in eight bytes.
        comment = b"ASCII\0\0\0" + f"{KEY} {to_json(settings, ascii_only=True)}".encode("ascii")
        tags.setdefault(ExifTags.IFD.Exif, {})[ExifTags.Base.UserComment] = comment
    return tags


def exif_bytes(settings: Mapping[str, object] | None, metadata: Metadata | None = None) -> bytes:
    """The tags of :func:`exif_of`, encoded."""
    exif = Image.Exif()
    for tag, value in exif_of(settings, metadata).items():
        if tag == ExifTags.IFD.Exif:
            exif.get_ifd(tag).update(value)
        else:
            exif[tag] = value
    return exif.tobytes()


def read_settings(source: File) -> dict[str, object] | None:
    """The settings that `save_picture` wrote into a picture; None if it has none.

    Raises:
        PictureError: the file can't be read, or its settings are damaged.
    """
    with stream_of(source) as (stream, name), opened(stream, name) as found:
        text = _embedded(found.image)
    if text is None:
        return None
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PictureError(f"{name}: the settings in it are damaged: {error}", DAMAGED) from None
    if not isinstance(settings, dict):
        raise PictureError(f"{name}: the settings in it are damaged: not names and values", DAMAGED)
    return settings


def _embedded(image: Image.Image) -> str | None:
    if isinstance(chunk := image.info.get(KEY), str):
        return str(chunk)
    try:
        exif = image.getexif()
        comments = (
            exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment),
            exif.get(ExifTags.Base.ImageDescription),
        )
    except Exception:  # damaged EXIF raises anything, and then holds no settings
        return None
    for comment in comments:
        for text in _decodings(comment):
            if text.startswith(f"{KEY} {{"):
                return text.removeprefix(KEY).rstrip("\0 ")
    return None


def _decodings(comment: object) -> list[str]:
    if not isinstance(comment, bytes):
        return [comment] if isinstance(comment, str) else []
    # Other programs may have converted the ASCII text to "UNICODE", which is UTF-16 in either byte order.
    return [comment[8:].decode(encoding, "replace") for encoding in ("utf-8", "utf-16-le", "utf-16-be")]
