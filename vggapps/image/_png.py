"""Reading PNG files chunk by chunk, so that damaged metadata does not make the pixels unreadable.

Pillow rejects a whole picture for a text beyond its limits or a wrong checksum in an ancillary chunk. It therefore gets
only the chunks that hold the pixels. The others that matter here (colour, resolution, EXIF, a few texts) are read
separately by Pillow's parser; damaged ones are skipped, with a note.

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

# The ancillary chunks that are read, and what a note calls them.
_ANCILLARY = {
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
KEY = "vggapps"  # keyword of the chunk that holds our settings
_TEXTS = {
    KEY,
    "XML:com.adobe.xmp",
    "Raw profile type exif",  # used before eXIf existed
    "Author",
    "Copyright",
    "Description",
}
_LONGEST = 16_000_000  # bytes of an ancillary chunk, compressed or not: printer profiles have 1 to 4 million
_KEYWORD = 80  # bytes, including the terminating zero


@dataclass(frozen=True)
class Sifted:
    """A PNG file, split into pixels and metadata.

    Attributes:
        pixels: a PNG file with the pixels only.
        info: the metadata, with Pillow's keys of ``Image.info`` and ``cicp``, four numbers.
        frames: number of frames of an animation; 1 for a still picture.
        notes: the damaged chunks that were skipped.
    """

    pixels: BinaryIO
    info: dict[Any, Any]
    frames: int
    notes: tuple[str, ...]


def sift(stream: BinaryIO) -> Sifted:
    """Split a PNG file; the pixels are neither decoded nor copied.

    Raises:
        SyntaxError, ValueError: the header is damaged.
    """
    parser = PngImagePlugin.PngStream(io.BytesIO())
    parts: list[Part] = [MAGIC]
    damaged: list[str] = []
    first_is_frame = False  # the still picture is the first frame of the animation
    for kind, start, length in _chunks(stream):
        end = start + 12 + length
        if kind in (b"IHDR", b"tRNS") or (kind in _ANCILLARY and _is_read(stream, kind, start + 8)):
            try:
                _parse(parser, stream, kind, start, length)
            except Exception:  # damaged data raises anything
                if kind == b"IHDR":
                    raise
                damaged.append(_ANCILLARY[kind])
                if _keyword(stream, start + 8) == KEY and _ANCILLARY[kind] == "text":
                    parser.im_info[KEY] = ""  # makes read_settings report that they are damaged
                continue
        first_is_frame |= kind == b"fcTL" and len(parts) == 2
        if kind[:1].isupper() or kind == b"tRNS":
            if isinstance(last := parts[-1], tuple) and last[1] == start:
                parts[-1] = (last[0], end)
            else:
                parts.append((start, end))
    frames = parser.im_n_frames
    notes = tuple(f"its {what} is damaged and ignored" for what in dict.fromkeys(damaged))
    pixels = spliced(stream, parts)
    return Sifted(pixels, parser.im_info, 1 if frames is None else frames + (not first_is_frame), notes)


def _chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, length of the data) of each chunk; the last one may be truncated."""
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


def _is_read(stream: BinaryIO, kind: bytes, start: int) -> bool:
    return _ANCILLARY[kind] != "text" or _keyword(stream, start) in _TEXTS


def _parse(parser: PngImagePlugin.PngStream, stream: BinaryIO, kind: bytes, start: int, length: int) -> None:
    """Parse a chunk into the parser's ``im_info``. Damaged data raises anything."""
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
    elif kind == b"iCCP":  # not by Pillow's parser, which rejects profiles of more than a megabyte
        name, _, packed = data.partition(b"\0")
        unpacking = zlib.decompressobj()
        profile = unpacking.decompress(packed[1:], _LONGEST)
        if not unpacking.eof:
            raise ValueError(f"the profile {name!r} is truncated or too long")
        parser.im_info["icc_profile"] = profile
    else:
        parser.call(kind, position, length)
