"""Which font has a letter: the one inside vggapps, else one of the system's.

The inside font, Noto Sans, has the Latin, Greek and Cyrillic scripts. The system is asked when another letter is wanted
for the first time, through fontconfig where that is installed, else by looking into the usual folders.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

# Fonts of coloured bitmaps open at their own sizes alone: Noto's at 109 or 136 pixels, Apple's at 160 and less.
_STRIKES = (109, 136, 160, 96, 64)
_PROBE = 32  # pixels: large enough to tell letters apart
_ABSENT = "\U0010ffff"  # a noncharacter, which no font has
_SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}
# In the name of a file: other styles of a font that is there in the regular one, and Apple's that has only boxes.
_LATER = ("bold", "black", "heavy", "light", "thin", "italic", "oblique", "condensed", "mono", "serif", "lastresort")


@dataclass(frozen=True)
class Face:
    """A font file, and which of its fonts."""

    path: str
    index: int = 0


INSIDE = Face(str(resources.files("vggapps") / "data" / "noto-sans.ttf"))


@cache
def opened(face: Face, size: int, layout: ImageFont.Layout | None = None) -> tuple[ImageFont.FreeTypeFont, float]:
    """A font at a size in pixels, and the factor by which what it draws is to be scaled.

    The factor is 1 but for fonts of bitmaps, which have sizes of their own.

    Raises:
        OSError: the file is no font that FreeType reads.
    """
    for real in (size, *_STRIKES):
        with contextlib.suppress(OSError):
            font = ImageFont.truetype(face.path, real, face.index, layout_engine=layout)
            break
    else:
        raise OSError(f"{face.path}: not a font, or one of bitmaps of unusual sizes")
    # A variable font may begin with its thinnest weight.
    with contextlib.suppress(OSError, ValueError, NotImplementedError):
        font.set_variation_by_name("Regular")
    return font, size / real


@cache
def has(face: Face, letter: str) -> bool:
    """Whether a font has a letter: whether it draws something, and not what it draws for letters it has not."""
    try:
        return _probe(face, letter) not in _nothing(face)
    except OSError:
        return False


@cache
def face_of(letter: str) -> Face | None:
    """The first font that has a letter; None if there is none."""
    return next((face for face in _faces() if has(face, letter)), None)


def _probe(face: Face, letter: str) -> bytes:
    # Without shaping, which would set a dotted circle under an accent that stands alone.
    font, _ = opened(face, _PROBE, ImageFont.Layout.BASIC)
    side = round(3 * font.size)
    image = Image.new("RGBA", (side, side), "white")
    ImageDraw.Draw(image).text((side // 3, 2 * side // 3), letter, "black", font, anchor="ls", embedded_color=True)
    return image.tobytes()


@cache
def _nothing(face: Face) -> tuple[bytes, bytes]:
    return _probe(face, _ABSENT), _probe(face, "")


def _faces() -> Iterator[Face]:
    yield INSIDE
    yield from system_faces()


@cache
def system_faces() -> tuple[Face, ...]:
    """The system's fonts, in the order in which they are to be tried."""
    return _from_fontconfig() or _from_folders()


def _from_fontconfig() -> tuple[Face, ...]:
    """In fontconfig's order for the user's language: sans-serif, regular and upright first."""
    command = ["fc-match", "--sort", "--format=%{file}\t%{index}\n", "sans-serif"]
    try:
        ran = subprocess.run(command, capture_output=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = (line.rpartition("\t") for line in os.fsdecode(ran.stdout).splitlines())
    # The upper half of an index names an instance of a variable font.
    return tuple(Face(path, int(index) & 0xFFFF) for path, _, index in rows if path)


def _from_folders() -> tuple[Face, ...]:
    files = {file for folder in _folders() for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES}
    ordered = sorted(files, key=lambda file: (sum(word in file.stem.lower() for word in _LATER), file.name, file))
    return tuple(Face(str(file)) for file in ordered)


def _folders() -> tuple[Path, ...]:
    home = Path.home()
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
        return Path(os.environ.get("WINDIR", "C:/Windows"), "Fonts"), local / "Microsoft" / "Windows" / "Fonts"
    if sys.platform == "darwin":
        return Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"
    data = Path(os.environ.get("XDG_DATA_HOME", home / ".local" / "share"))
    return Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), data / "fonts", home / ".fonts"
