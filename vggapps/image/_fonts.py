"""Finding a font for a letter: the bundled one, or one of the system's.

The bundled font, Noto Sans, covers Latin, Greek and Cyrillic. System fonts are looked up the first time that another
letter is drawn: with fontconfig if it is installed, otherwise in the usual folders.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

# Bitmap emoji fonts open only at their bitmaps' sizes: Noto's at 109 or 136 pixels, Apple's at up to 160.
_STRIKES = (109, 136, 160, 96, 64)
_PROBE = 32  # pixels: large enough to tell letters apart
_ABSENT = "\U0010ffff"  # a noncharacter, which no font has
_SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}
# Words in file names of fonts that are tried last: styles other than regular, and Apple's font of placeholder boxes.
_LATER = tuple("bold black heavy light thin italic oblique condensed mono serif math lastresort".split())  # noqa: SIM905


@dataclass(frozen=True)
class Face:
    """A font file and the index of a font in it."""

    path: str
    index: int = 0


BUNDLED = Face(str(resources.files("vggapps") / "data" / "noto-sans.ttf"))


@lru_cache(128)
def opened(face: Face, size: int, layout: ImageFont.Layout | None = None) -> tuple[ImageFont.FreeTypeFont, float]:
    """A font at a size in pixels per em, and the factor to scale its drawings by: 1 except for bitmap fonts.

    Raises:
        OSError: FreeType can't read the file.
    """
    for real in (size, *_STRIKES):
        with contextlib.suppress(OSError):
            font = ImageFont.truetype(face.path, real, face.index, layout_engine=layout)
            break
    else:
        raise OSError(f"{face.path}: not a font, or a bitmap font of other sizes")
    # The default of a variable font may be its thinnest weight.
    with contextlib.suppress(OSError, ValueError, NotImplementedError):
        font.set_variation_by_name("Regular")
    return font, size / real


@cache
def has(face: Face, letter: str) -> bool:
    """Whether a font has a letter: it draws something, and not its placeholder for missing letters."""
    try:
        return _probe(face, letter) not in _placeholders(face)
    except OSError:
        return False


@lru_cache(4096)
def face_of(letters: str) -> Face | None:
    """The first font that has all of these letters; None if there is none."""
    return next((face for face in _faces() if all(has(face, letter) for letter in letters)), None)


def _probe(face: Face, letter: str) -> bytes:
    # Without shaping, which draws a dotted circle under an isolated accent.
    font, _ = opened(face, _PROBE, ImageFont.Layout.BASIC)
    side = round(3 * font.size)
    image = Image.new("RGBA", (side, side), "white")
    ImageDraw.Draw(image).text((side // 3, 2 * side // 3), letter, "black", font, anchor="ls", embedded_color=True)
    return image.tobytes()


@cache
def _placeholders(face: Face) -> tuple[bytes, bytes]:
    return _probe(face, _ABSENT), _probe(face, "")


def _faces() -> Iterator[Face]:
    yield BUNDLED
    yield from system_faces()


@cache
def system_faces() -> tuple[Face, ...]:
    """The fonts of the system, in the order in which they are tried."""
    return _from_fontconfig() or _from_folders()


def _from_fontconfig() -> tuple[Face, ...]:
    """In fontconfig's order: for the user's language, and sans-serif, regular and upright fonts first."""
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
    if sys.platform == "win32":
        return tuple(
            Path(os.environ[name], *inside)
            for name, inside in (("WINDIR", ("Fonts",)), ("LOCALAPPDATA", ("Microsoft", "Windows", "Fonts")))
            if name in os.environ
        )
    home = Path(os.environ.get("HOME", "/"))
    if sys.platform == "darwin":
        return Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), data / "fonts", home / ".fonts"
