"""The settings that made a picture, kept inside the picture's file.

PNG has a text chunk for it (iTXt, keyword ``vggapps``: the JSON itself). JPEG and WebP keep ``vggapps {...}``
in the EXIF comment, and so does TIFF (its description is looked at as well); the word in front tells our text from a
photographer's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

from vggapps.errors import PictureError, SettingsError
from vggapps.image._metadata import Metadata, exif_tags
from vggapps.image._opening import File, opened, stream_of
from vggapps.image._png import SETTINGS

KEY = SETTINGS
DAMAGED = "the picture was changed by another program; use one as vggapps wrote it"


def to_json(settings: Mapping[str, object], *, ascii_only: bool = False) -> str:
    """Settings as one line of JSON. A file name that is no Unicode keeps its bytes, as JSON's escapes.

    Raises:
        SettingsError: a value has no form in JSON (NaN and infinity have none).
    """
    try:
        text = json.dumps(dict(settings), ensure_ascii=ascii_only, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingsError(f"these settings can't be written into a picture: {error}", "give plain values") from None
    # Half a surrogate pair has no form in UTF-8; with a backslash it is JSON again, for the same half.
    return text.encode("utf-8", "backslashreplace").decode()


def software() -> str:
    """What wrote the picture: ``vggapps 1.2.3``, or empty where the version is unknown."""
    import vggapps

    version = getattr(vggapps, "__version__", "")
    return f"{KEY} {version}" if version else ""


def exif_of(settings: Mapping[str, object] | None, metadata: Metadata | None = None) -> dict[int, Any]:
    """The tags that carry settings and metadata in JPEG, WebP and TIFF, with a dictionary for EXIF's own part."""
    tags = exif_tags(metadata) if metadata is not None else {}
    if maker := software():
        tags[ExifTags.Base.Software] = maker
    if settings is not None:
        # EXIF wants the comment's encoding in front, in eight bytes.
        comment = b"ASCII\0\0\0" + f"{KEY} {to_json(settings, ascii_only=True)}".encode("ascii")
        tags.setdefault(ExifTags.IFD.Exif, {})[ExifTags.Base.UserComment] = comment
    return tags


def exif_bytes(settings: Mapping[str, object] | None, metadata: Metadata | None = None) -> bytes:
    """EXIF that carries settings and metadata."""
    exif = Image.Exif()
    for tag, value in exif_of(settings, metadata).items():
        if tag == ExifTags.IFD.Exif:
            exif.get_ifd(tag).update(value)
        else:
            exif[tag] = value
    return exif.tobytes()


def read_settings(source: File) -> dict[str, object] | None:
    """The settings that `save_picture` put into a picture; None if there are none.

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
        found = (
            exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment),
            exif.get(ExifTags.Base.ImageDescription),
        )
    except Exception:  # damaged EXIF raises anything, and then holds no settings
        return None
    for comment in found:
        for text in _readings(comment):
            if text.startswith(f"{KEY} {{"):
                return text.removeprefix(KEY).rstrip("\0 ")
    return None


def _readings(comment: object) -> list[str]:
    if not isinstance(comment, bytes):
        return [comment] if isinstance(comment, str) else []
    # Other programs may have turned our ASCII into "UNICODE", which is UTF-16 in either byte order.
    return [comment[8:].decode(encoding, "replace") for encoding in ("utf-8", "utf-16-le", "utf-16-be")]
