"""Text on pictures, in the letters of any language that this machine has a font for.

A line is split into runs of letters that one font has (:mod:`vggapps.image.fonts`), drawn side by side on one baseline.
A letter that no font has is drawn as a box, and what is missing is logged, once for each script.

Each run is shaped and, where its script runs from right to left, ordered by Raqm. The line itself always runs from left
to right, as file names do: of the Unicode bidirectional algorithm only what happens within a run is done, and digits
that follow right-to-left letters belong to them. Lines are not broken, and nothing is set vertically. Where Pillow has
no Raqm, letters are neither joined nor reordered, which is logged once when it matters.
"""

from __future__ import annotations

import bisect
import logging
import math
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby, pairwise
from operator import itemgetter

from PIL import Image, ImageColor, ImageDraw, features

from vggapps.image.fonts import INSIDE, Face, face_of, has, opened

log = logging.getLogger(__name__)

Ink = str | tuple[int, int, int]
INK = (34, 34, 34)  # of text that is to be nothing but read

_JOINERS = "\u200c\u200d"  # zero width: they join what is beside them or keep it apart
LEFT_TO_RIGHT = "\u200e"  # Unicode's mark, not seen: digits after it do not belong to right-to-left letters before it
_STRONG = {"L", "R", "AL"}  # Unicode's bidirectional classes of letters that have a direction
_RIGHT_TO_LEFT = {"R", "AL"}
_INSTALL = (
    "install one, such as Noto; Debian, Ubuntu: apt install fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji"
)
_told: set[str] = set()


def draw_text(
    image: Image.Image,
    at: tuple[float, float],
    text: str,
    size: int,
    anchor: str = "la",
    ink: Ink = INK,
    *,
    upwards: bool = False,
) -> None:
    """Draw a line of text.

    Args:
        image: RGB; changed in place.
        at: the point of the picture, in pixels, where the anchor comes to lie.
        text: line breaks, tabs and other spaces are drawn as spaces, characters that can't be drawn as �.
        size: of the letters, in pixels from baseline to baseline, nearly.
        anchor: Pillow's: l, m or r for left, middle or right, and a, m or s for the top of the line (ascender), its
            middle or the baseline. Tops and baselines do not depend on the letters.
        ink: the colour. Emoji have their own.
        upwards: turned by a quarter, to be read from below. The anchor is turned with it.
    """
    layer, (left, base) = _line(text, size, ink)
    ascent, descent = opened(INSIDE, size)[0].getmetrics()
    along = {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * text_width(text, size)
    across = {"a": float(ascent), "m": (ascent - descent) / 2, "s": 0.0}[anchor[1]]
    x, y = -along - left, across - base
    if upwards:
        x, y = y, -x - layer.width
        layer = layer.transpose(Image.Transpose.ROTATE_90)
    image.paste(layer, (round(at[0] + x), round(at[1] + y)), layer)


def text_width(text: str, size: int) -> float:
    """How far a line of text reaches, in pixels."""
    return sum(width for _, _, width in _set(text, size))


def text_box(text: str, size: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what a line of text inks, in pixels from the beginning of its baseline."""
    layer, (left, base) = _line(text, size, INK)
    box = layer.getchannel("A").getbbox() or (left, base, left, base)
    return box[0] - left, box[1] - base, box[2] - left, box[3] - base


def shorten(text: str, size: int, width: float) -> str:
    """The text, or what of its beginning and end is no wider than that, in pixels, with … for its middle.

    The end is kept because it tells files apart.
    """
    if text_width(text, size) <= width:
        return one_line(text)
    letters = _whole_letters(one_line(text))

    def cut(kept: int) -> str:
        return "".join((*letters[: (kept + 1) // 2], "…", *letters[len(letters) - kept // 2 :]))

    too_many = bisect.bisect_right(range(len(letters)), width, key=lambda kept: text_width(cut(kept), size))
    return cut(max(0, too_many - 1))


def one_line(text: str) -> str:
    """The text as it is drawn: composed (Unicode's NFC), on one line, without characters that can't be seen.

    >>> one_line("o\\u0308l\\tam\\n\\udce4")
    'öl am �'
    """
    shown = []
    for letter in unicodedata.normalize("NFC", text):
        category = unicodedata.category(letter)
        if letter.isspace():
            shown.append(" ")
        elif category in ("Cc", "Cs"):  # control characters, and bytes of a file name that are not UTF-8
            shown.append("�")
        elif letter in (*_JOINERS, LEFT_TO_RIGHT) or not (
            category == "Cf" or unicodedata.name(letter, "").startswith("VARIATION SEL")
        ):
            shown.append(letter)
    return "".join(shown)


def _line(text: str, size: int, ink: Ink) -> tuple[Image.Image, tuple[int, int]]:
    """The line on a transparent ground, RGBA, and the pixel there at which its baseline begins."""
    color = ImageColor.getrgb(ink)[:3] if isinstance(ink, str) else ink
    runs = list(_set(text, size))
    around = 2 * size  # letters reach beyond their line
    width = math.ceil(sum(width for _, _, width in runs))
    line = Image.new("RGBA", (width + 2 * around, 2 * around), (*color, 0))
    x = float(around)
    for face, letters, width_of_run in runs:
        layer, left, top = _run(face, letters, size, color)
        line.alpha_composite(layer, (max(0, round(x + left)), max(0, round(around + top))))
        x += width_of_run
    return line, (around, around)


def _run(face: Face, letters: str, size: int, color: tuple[int, ...]) -> tuple[Image.Image, int, int]:
    """Letters of one font on a transparent ground, RGBA, and where its corner lies from where their baseline begins."""
    font, scale = opened(face, size)
    left, top, right, bottom = font.getbbox(letters, anchor="ls")
    left, top = math.floor(left), math.floor(top)
    layer = Image.new("RGBA", (max(1, math.ceil(right) - left), max(1, math.ceil(bottom) - top)), (*color, 0))
    ImageDraw.Draw(layer).text((-left, -top), letters, color, font, anchor="ls", embedded_color=True)
    if scale != 1:
        layer = layer.resize((max(1, round(layer.width * scale)), max(1, round(layer.height * scale))))
    return layer, round(left * scale), round(top * scale)


def _set(text: str, size: int) -> Iterator[tuple[Face, str, float]]:
    """The runs of a line and their widths in pixels."""
    for face, letters in _runs(one_line(text)):
        font, scale = opened(face, size)
        yield face, letters, scale * font.getlength(letters)


@lru_cache(1024)
def _runs(text: str) -> tuple[tuple[Face, str], ...]:
    """Neighbours that are drawn with one font; a letter that none has is the inside font's, which draws a box."""
    faces: list[Face] = []
    missing = []
    for letter in text:
        attached = letter in _JOINERS or unicodedata.category(letter).startswith("M")
        if attached and faces and (letter in _JOINERS or has(faces[-1], letter)):
            faces.append(faces[-1])
            continue
        face = INSIDE if letter in (" ", LEFT_TO_RIGHT) else face_of(letter)
        if face is None:
            missing.append(letter)
        faces.append(face or INSIDE)
    _note_missing(missing)
    _note_shaping(text)
    _join(text, faces)
    runs = groupby(zip(text, faces, strict=True), key=itemgetter(1))
    return tuple((face, "".join(letter for letter, _ in run if letter != LEFT_TO_RIGHT)) for face, run in runs)


def _join(text: str, faces: list[Face]) -> None:
    """Give what is between letters of one font to it, and to right-to-left letters the digits that follow them."""
    directions = [unicodedata.bidirectional(letter) for letter in text]
    strong = [i for i, direction in enumerate(directions) if direction in _STRONG]
    for here, after in pairwise([*strong, len(text)]):
        end = here + 1
        if after < len(text) and faces[after] == faces[here]:
            end = after
        elif directions[here] in _RIGHT_TO_LEFT:
            end = max((i + 1 for i in range(here + 1, after) if text[i].isdigit()), default=end)
        between = text[here + 1 : end]
        if all(letter == " " or has(faces[here], letter) for letter in between):
            faces[here + 1 : end] = [faces[here]] * len(between)


def _whole_letters(text: str) -> list[str]:
    """Split without parting accents, or joined emoji, from what they belong to."""
    letters: list[str] = []
    for letter in text:
        joined = letter in _JOINERS or unicodedata.category(letter).startswith("M")
        if letters and (joined or letters[-1][-1] in _JOINERS):
            letters[-1] += letter
        else:
            letters.append(letter)
    return letters


def _note_missing(letters: Iterable[str]) -> None:
    new: dict[str, list[str]] = {}
    for letter in letters:
        script = _script(letter)
        if script not in _told and letter not in new.setdefault(script, []):
            new[script].append(letter)
    for script, ones in new.items():
        _told.add(script)
        listed = ", ".join(f"{one} (U+{ord(one):04X})" for one in ones[:5]) + ", ..." * (len(ones) > 5)
        log.warning("no font was found for the %s %s: boxes are drawn instead (%s)", script, listed, _INSTALL)


def _script(letter: str) -> str:
    """Letters of one kind, as Unicode's names begin: CJK letters, Devanagari letters; what is no letter is a sign."""
    word = unicodedata.name(letter, "").partition(" ")[0]
    if not word or unicodedata.category(letter)[0] not in "LM":
        return "signs"
    return f"{word if word == 'CJK' else word.capitalize()} letters"


def _note_shaping(text: str) -> None:
    if "shaping" in _told or features.check("raqm"):
        return
    if any(
        unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT or unicodedata.category(letter).startswith("M")
        for letter in text
    ):
        _told.add("shaping")
        log.warning("letters of %r are neither joined nor put from right to left (install FriBiDi, for Raqm)", text)
