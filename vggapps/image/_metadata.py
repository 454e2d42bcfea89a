"""What a photo's file tells of its making, carried from the file that is read to the one that is written.

Never carried: where it was taken (GPS), which nobody should pass on unawares; its orientation, since pictures here are
upright; thumbnails and makers' notes, which would belong to another picture.
"""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image, IptcImagePlugin

_LONGEST = 2000  # characters of a text, as IPTC allows for captions: EXIF has 64 kB for all


@dataclass(frozen=True)
class Metadata:
    """Of a photo, as EXIF has it; None where the file does not say.

    Texts are cut to 2000 characters. Where EXIF lacks them, ``artist``, ``copyright`` and ``description`` come from
    IPTC, XMP (dc:creator, dc:rights, dc:description) or the texts of a PNG.

    Attributes:
        artist: who made it.
        copyright: whose it is.
        description: a title or caption.
        taken: when, "2024:05:31 18:00:00" in local time (DateTimeOriginal).
        changed: when the file was last edited, in the same form (DateTime).
        make: of the camera.
        model: of the camera.
        lens: its model.
        dpi: pixels an inch, across and down.
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
_DETAIL = {"taken": ExifTags.Base.DateTimeOriginal, "lens": ExifTags.Base.LensModel}  # in the IFD of EXIF

# Where else the same is found.
_IPTC = {"artist": (2, 80), "copyright": (2, 116), "description": (2, 120)}
_XMP = {"artist": "creator", "copyright": "rights", "description": "description"}
_PNG = {"artist": "Author", "copyright": "Copyright", "description": "Description"}


def metadata_of(image: Image.Image) -> Metadata | None:
    """What a loaded picture of Pillow's tells; None if nothing. What is damaged is passed over."""
    found: dict[str, Any] = {}
    for source in (_from_exif, _from_iptc, _from_xmp, _from_png):
        try:
            texts = source(image)
        except Exception:  # damage raises anything, and must not cost the pixels
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
    # A parser of XML would open the door to entities that grow without bound.
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
        # Pillow reads EXIF's texts as Latin-1, and most programs write UTF-8.
        value = value.encode("latin-1" if all(letter <= "\xff" for letter in value) else "utf-8", "replace")
    if not isinstance(value, bytes):
        return None
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    # EXIF's copyright may have two parts, the photographer's and the editor's, with a zero between.
    return "; ".join(filter(None, (part.strip() for part in text.split("\0"))))[:_LONGEST] or None


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    """In dots an inch. 72 and 96 are what programs write where nobody knows."""
    try:
        exif = image.getexif()
        scale = 2.54 if exif.get(ExifTags.Base.ResolutionUnit) == 3 else 1.0
        there = exif.get(ExifTags.Base.XResolution), exif.get(ExifTags.Base.YResolution)
        across, down = image.info.get("dpi") or (each * scale for each in there if each is not None)
        dpi = round(float(across), 2), round(float(down), 2)
    except Exception:  # damage raises anything
        return None
    sound = all(math.isfinite(each) and 1 < each <= 100_000 for each in dpi)
    return dpi if sound and {round(each) for each in dpi} not in ({72}, {96}) else None


def exif_tags(metadata: Metadata) -> dict[int, Any]:
    """The same as tags of EXIF and TIFF, with a dictionary for EXIF's own part."""
    # As bytes: Pillow would write question marks for what is not ASCII. In EXIF's own part it would not know that bytes
    # are a text, which does no harm.
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
