"""PNG files, chunk by chunk: what surrounds the pixels never costs them.

Pillow refuses a whole picture for a text beyond its limits, or a wrong checksum in a chunk that no pixel needs. It
is therefore given the chunks that pixels are made of alone. The others that matter here (colour, resolution, EXIF,
a few texts) are read one by one by Pillow's own parser; one that is damaged is left out, and a note says so.

Chunks and their order: Portable Network Graphics (PNG) Specification, third edition, W3C 2025.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import PngImagePlugin

from vggapps.image._spliced import Part, spliced

MAGIC = b"\x89PNG\r\n\x1a\n"

# What is lost with each chunk that is read here, in the words of a note.
_MATTERS = {
    b"tRNS": "transparency",
    b"cICP": "colour coding (cICP)",
    b"iCCP": "colour profile",
    b"sRGB": "colour coding (sRGB)",
    b"gAMA": "gamma",
    b"cHRM": "primary colours (cHRM)",
    b"pHYs": "resolution",
    b"eXIf": "EXIF data",
    b"acTL": "animation",
    **dict.fromkeys([b"tEXt", b"zTXt", b"iTXt"], "text"),
}
SETTINGS = "vggapps"
_TEXTS = {
    SETTINGS,
    "XML:com.adobe.xmp",
    "Raw profile type exif",  # from before there was eXIf
    "Author",
    "Copyright",
    "Description",
}
_LONGEST = 16_000_000  # bytes of one such chunk, packed or unpacked: profiles of printers have 1 to 4 million
_KEYWORD = 80  # bytes, with the zero behind it


@dataclass(frozen=True)
class Sifted:
    """A PNG file, taken apart.

    Attributes:
        pixels: a PNG file with nothing but the picture.
        info: the rest, under Pillow's names for ``Image.info``; beside them ``cicp``, four numbers.
        frames: of an animation; 1 for a still picture.
        notes: what is damaged and left out.
    """

    pixels: BinaryIO
    info: dict[Any, Any]
    frames: int
    notes: tuple[str, ...]


def sift(stream: BinaryIO) -> Sifted:
    """Takes a PNG file apart. The pixels are neither decoded nor copied.

    Raises:
        SyntaxError, ValueError: the header is damaged.
    """
    parser = PngImagePlugin.PngStream(io.BytesIO())
    parts: list[Part] = [MAGIC]
    damaged: list[str] = []
    controlled = False  # the picture itself is the animation's first frame
    for kind, start, length in _chunks(stream):
        end = start + 12 + length
        if kind in (b"IHDR", b"tRNS") or (kind in _MATTERS and _is_wanted(stream, kind, start + 8)):
            try:
                _parse(parser, stream, kind, start, length)
            except Exception:  # damage raises anything
                if kind == b"IHDR":
                    raise
                damaged.append(_MATTERS[kind])
                if _keyword(stream, start + 8) == SETTINGS and _MATTERS[kind] == "text":
                    parser.im_info[SETTINGS] = ""  # there were settings: read_settings will say what became of them
                continue
        controlled |= kind == b"fcTL" and len(parts) == 2
        if kind[:1].isupper() or kind == b"tRNS":
            if isinstance(last := parts[-1], tuple) and last[1] == start:
                parts[-1] = (last[0], end)
            else:
                parts.append((start, end))
    frames = parser.im_n_frames
    notes = tuple(f"its {what} is damaged and left out" for what in dict.fromkeys(damaged))
    pixels = spliced(stream, parts)
    return Sifted(pixels, parser.im_info, 1 if frames is None else frames + (not controlled), notes)


def _chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where it starts, length of its data) of each chunk; the last one may be cut short."""
    at = len(MAGIC)
    while True:
        stream.seek(at)
        head = stream.read(8)
        if len(head) < 8 or not head[4:].isalpha():
            return
        length = int.from_bytes(head[:4], "big")
        yield head[4:], at, length
        at += 12 + length
        if head[4:] == b"IEND":
            return


def _keyword(stream: BinaryIO, start: int) -> str:
    stream.seek(start)
    return stream.read(_KEYWORD).partition(b"\0")[0].decode("latin-1")


def _is_wanted(stream: BinaryIO, kind: bytes, start: int) -> bool:
    return _MATTERS[kind] != "text" or _keyword(stream, start) in _TEXTS


def _parse(parser: PngImagePlugin.PngStream, stream: BinaryIO, kind: bytes, start: int, length: int) -> None:
    """What a chunk says, into the parser's ``im_info``. Damage raises anything."""
    if length > _LONGEST:
        raise ValueError(f"{length} bytes")
    stream.seek(start)
    parser.fp = io.BytesIO(stream.read(12 + length))
    kind, position, _ = parser.read()
    data = parser.fp.getvalue()[8:-4]
    parser.fp.seek(8 + length)
    parser.crc(kind, data)
    parser.fp.seek(position)
    if kind == b"cICP":
        parser.im_info["cicp"] = struct.unpack(">BBBB", data)
    elif kind == b"iCCP":  # by hand: Pillow's parser reads no profile of more than a megabyte
        name, _, packed = data.partition(b"\0")
        unpacking = zlib.decompressobj()
        profile = unpacking.decompress(packed[1:], _LONGEST)
        if not unpacking.eof:
            raise ValueError(f"the profile {name!r} is cut short or too long")
        parser.im_info["icc_profile"] = profile
    else:
        parser.call(kind, position, length)
