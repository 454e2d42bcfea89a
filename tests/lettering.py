"""Fonts for tests: read and remade without the code that is tested, so that any letter can be given a known shape."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from vggapps.image import _lettering as lettering
from vggapps.image._fonts import face_of, system_faces

NOTO = Path(__file__).parents[1] / "vggapps" / "data" / "noto-sans.ttf"


def forget() -> None:
    """What was found out about this machine's fonts, and told."""
    for known in (face_of, system_faces, lettering._runs):
        known.cache_clear()
    lettering._warned.clear()


def tables(data: bytes) -> dict[bytes, bytes]:
    """Of a TrueType file (OpenType specification, "Organization of an OpenType Font")."""
    (count,) = struct.unpack_from(">H", data, 4)
    entries = (struct.unpack_from(">4sLLL", data, 12 + 16 * i) for i in range(count))
    return {tag: data[start : start + length] for tag, _, start, length in entries}


def glyphs(data: bytes) -> dict[int, int]:
    """Of each character the glyph's number: the table "cmap", its subtable of format 4."""
    cmap = tables(data)[b"cmap"]
    (count,) = struct.unpack_from(">H", cmap, 2)
    offsets = [struct.unpack_from(">HHL", cmap, 4 + 8 * i)[2] for i in range(count)]
    at = next(offset for offset in offsets if struct.unpack_from(">H", cmap, offset) == (4,))
    double = struct.unpack_from(">H", cmap, at + 6)[0]  # twice the number of segments
    found = {}
    for i in range(0, double, 2):
        (last,) = struct.unpack_from(">H", cmap, at + 14 + i)
        (first,) = struct.unpack_from(">H", cmap, at + 16 + double + i)
        (delta,) = struct.unpack_from(">H", cmap, at + 16 + 2 * double + i)
        place = at + 16 + 3 * double + i
        (reach,) = struct.unpack_from(">H", cmap, place)
        for code in range(first, last + 1):
            glyph = code
            if reach:
                (glyph,) = struct.unpack_from(">H", cmap, place + reach + 2 * (code - first))
            if glyph or not reach:
                found[code] = (glyph + delta) % 65536
    return {code: glyph for code, glyph in found.items() if glyph}


def font_of(shapes: Mapping[str, str], path: Path) -> Path:
    """A font that has those letters alone; each looks as its value does in Noto Sans."""
    data = NOTO.read_bytes()
    numbers = glyphs(data)
    groups = b"".join(struct.pack(">LLL", ord(a), ord(a), numbers[ord(b)]) for a, b in sorted(shapes.items()))
    cmap = struct.pack(">HHHHL", 0, 1, 3, 10, 12)
    cmap += struct.pack(">HHLLL", 12, 0, 16 + len(groups), 0, len(shapes)) + groups
    kept = {**tables(data), b"cmap": cmap}
    header = struct.pack(">LHHHH", 0x10000, len(kept), 0, 0, 0)
    start = len(header) + 16 * len(kept)
    body = b""
    for tag, table in sorted(kept.items()):
        header += struct.pack(">4sLLL", tag, 0, start + len(body), len(table))
        body += table + bytes(-len(table) % 4)
    path.write_bytes(header + body)
    return path
