"""Metadata of a photo, copied from the file that is read to the one that is written.

Not copied: the location (GPS), for privacy; the orientation, since pictures are stored upright; thumbnails and maker
notes, which describe another picture.
"""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image, IptcImagePlugin

_LONGEST = 2000  # characters of a text, IPTC's limit of captions: EXIF has 64 kB in total


@dataclass(frozen=True)
class Metadata:
    """EXIF metadata of a photo; None for missing values.

    Texts are cut to 2000 characters. If EXIF lacks them, ``artist``, ``copyright`` and ``description`` come from IPTC,
    XMP (dc:creator, dc:rights, dc:description) or the text chunks of a PNG.

    Attributes:
        artist: the author.
        copyright: the copyright notice.
        description: a title or caption.
        taken: "2024:05:31 18:00:00" in local time (DateTimeOriginal).
        changed: when the file was last edited, in the same form (DateTime).
        make: of the camera.
        model: of the camera.
        lens: the lens model.
        dpi: pixels per inch, horizontal and vertical.
    """

    artist: str | None = None
    copyright: str | None = None
    description: str | None = None
    taken: str | None = None
    changed: str | None = None
    make: str | None = None
    model: str | None = None
    lens: str | None = None
    dpi: tuple[float, float] | None = None


_MAIN = {
    "artist": ExifTags.Base.Artist,
    "copyright": ExifTags.Base.Copyright,
    "description": ExifTags.Base.ImageDescription,
    "changed": ExifTags.Base.DateTime,
    "make": ExifTags.Base.Make,
    "model": ExifTags.Base.Model,
}
_DETAIL = {"taken": ExifTags.Base.DateTimeOriginal, "lens": ExifTags.Base.LensModel}  # in the Exif IFD

# The same fields in other standards.
_IPTC = {"artist": (2, 80), "copyright": (2, 116), "description": (2, 120)}
_XMP = {"artist": "creator", "copyright": "rights", "description": "description"}
_PNG = {"artist": "Author", "copyright": "Copyright", "description": "Description"}


def metadata_of(image: Image.Image) -> Metadata | None:
    """The metadata of a loaded Pillow image; None if there is none. Damaged parts are skipped."""
    found: dict[str, Any] = {}
    for source in (_from_exif, _from_iptc, _from_xmp, _from_png):
        try:
            texts = source(image)
        except Exception:  # damaged data raises anything; the pixels can be read nevertheless
            continue
        found |= {name: text for name, value in texts.items() if name not in found and (text := _text(value))}
    dpi = _resolution(image)
    return Metadata(**found, dpi=dpi) if found or dpi else None


def _from_exif(image: Image.Image) -> dict[str, Any]:
    exif = image.getexif()
    detail = exif.get_ifd(ExifTags.IFD.Exif)
    return {name: exif.get(tag) for name, tag in _MAIN.items()} | {name: detail.get(t) for name, t in _DETAIL.items()}


def _from_iptc(image: Image.Image) -> dict[str, Any]:
    found = IptcImagePlugin.getiptcinfo(image) or {}  # type: ignore[arg-type]
    return {name: found.get(key) for name, key in _IPTC.items()}


def _from_xmp(image: Image.Image) -> dict[str, Any]:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or ""
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)
    # An XML parser would be open to entity expansion attacks.
    found = {}
    for name, element in _XMP.items():
        items = re.search(rf"<dc:{element}\b[^>]*>(.*?)</dc:{element}>", text, re.DOTALL)
        if items is not None:
            entries = re.findall(r"<rdf:li\b[^>]*>([^<]*)</rdf:li>", items[1])
            found[name] = "; ".join(html.unescape(entry).strip() for entry in entries)
    return found


def _from_png(image: Image.Image) -> dict[str, Any]:
    return {name: image.info.get(key) for name, key in _PNG.items()} if image.format == "PNG" else {}


def _text(value: object) -> str | None:
    if isinstance(value, list | tuple):
        value = b"; ".join(part for part in value if isinstance(part, bytes))
    if isinstance(value, str):
        # Pillow decodes EXIF as Latin-1, but most programs write UTF-8.
        value = value.encode("latin-1" if all(letter <= "\xff" for letter in value) else "utf-8", "replace")
    if not isinstance(value, bytes):
        return None
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    # EXIF's copyright may have two parts, the photographer's and the editor's, separated by a zero.
    return "; ".join(filter(None, (part.strip() for part in text.split("\0"))))[:_LONGEST] or None


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    """In pixels per inch. 72 and 96 are defaults that programs write if it is unknown."""
    try:
        exif = image.getexif()
        scale = 2.54 if exif.get(ExifTags.Base.ResolutionUnit) == 3 else 1.0
        resolution = exif.get(ExifTags.Base.XResolution), exif.get(ExifTags.Base.YResolution)
        x, y = image.info.get("dpi") or (each * scale for each in resolution if each is not None)
        dpi = round(float(x), 2), round(float(y), 2)
    except Exception:  # damaged data raises anything
        return None
    valid = all(math.isfinite(each) and 1 < each <= 100_000 for each in dpi)
    return dpi if valid and {round(each) for each in dpi} not in ({72}, {96}) else None


def exif_tags(metadata: Metadata) -> dict[int, Any]:
    """Metadata as EXIF and TIFF tags; the Exif IFD is a nested dictionary."""
    # As bytes, because Pillow replaces non-ASCII characters by question marks. In the Exif IFD bytes are written with
    # another type than text, which readers accept.
    tags: dict[int, Any] = {
        tag: value.encode("utf-8", "replace") for name, tag in _MAIN.items() if (value := getattr(metadata, name))
    }
    detail = {tag: value for name, tag in _DETAIL.items() if (value := getattr(metadata, name))}
    if detail:
        tags[ExifTags.IFD.Exif] = {
            tag: text if text.isascii() else text.encode("utf-8", "replace") for tag, text in detail.items()
        }
    if metadata.dpi is not None:
        tags[ExifTags.Base.XResolution], tags[ExifTags.Base.YResolution] = metadata.dpi
        tags[ExifTags.Base.ResolutionUnit] = 2  # inches
    return tags
