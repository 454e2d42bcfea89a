"""Text on pictures, in any script that the machine has a font for.

A line of text is split into runs, each drawn with the first font that has its letters (:mod:`_fonts`); the
runs share one baseline. A letter that no font has is drawn as a box, and a warning is logged, once for each script.

Within a run, Raqm does the shaping and puts right-to-left letters in order. The line as a whole runs from left to
right, as paths do. So the Unicode bidirectional algorithm is applied in part: right-to-left letters keep the spaces
between them and the digits after them, and everything else stays where it is in the text. Text is not wrapped, and not
set vertically. Without Raqm, letters are neither joined nor reordered; a warning says so when it matters.
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

from vggapps.image._fonts import INSIDE, Face, face_of, has, opened

log = logging.getLogger(__name__)

Ink = str | tuple[int, int, int]
INK = (34, 34, 34)  # the default colour: dark grey

LEFT_TO_RIGHT = "\u200e"  # an invisible mark that keeps digits after it apart from right-to-left letters before it
_JOINERS = "\u200c\u200d"  # of zero width: ask that neighbours be joined, or not be
_SKIN_TONES = "🏻🏼🏽🏾🏿"
_BLANK = f"{_JOINERS}{LEFT_TO_RIGHT} "  # need no font
_STRONG = {"L", "R", "AL"}  # the bidirectional classes of letters that have a direction of their own
_RIGHT_TO_LEFT = {"R", "AL"}
_INSTALL = (
    "install one, such as Noto; Debian, Ubuntu: apt install fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji"
)
# Otherwise a run would take its direction from its first letter, and boxes in place of Hebrew would turn it round.
_DIRECTION = "ltr" if features.check("raqm") else None
_told: set[str] = set()  # what has been warned of


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
        text: shown as :func:`one_line` makes it.
        size: of the font, in pixels per em.
        anchor: as in Pillow: l, m or r for left, middle or right, then a, m or s for ascender, middle or baseline.
            These heights are the inside font's, whatever letters the text has.
        ink: the colour; emoji may have their own.
        upwards: rotate text and anchor by 90 degrees counterclockwise.
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
    """The advance width of a line of text in pixels."""
    return sum(width for _, _, width in _set(text, size))


def text_box(text: str, size: int) -> tuple[int, int, int, int]:
    """The bounding box of what is drawn: left, top, right, bottom in pixels, from where the baseline starts."""
    layer, (left, base) = _line(text, size, INK)
    box = layer.getchannel("A").getbbox() or (left, base, left, base)
    return box[0] - left, box[1] - base, box[2] - left, box[3] - base


def shorten(text: str, size: int, width: float) -> str:
    """Replace the middle of a text by … where the text is wider than ``width`` pixels; the end often tells files apart.

    Returns:
        The longest such text that fits, or … alone if none does.
    """
    if text_width(text, size) <= width:
        return one_line(text)
    letters = _whole_letters(one_line(text))

    def cut(kept: int) -> str:
        return "".join((*letters[: (kept + 1) // 2], "…", *letters[len(letters) - kept // 2 :]))

    too_many = bisect.bisect_right(range(len(letters)), width, key=lambda kept: text_width(cut(kept), size))
    return cut(max(0, too_many - 1))


def faces_of(text: str) -> list[Face]:
    """The fonts that a line of text is drawn with; letters that no font has are noted."""
    return list(dict.fromkeys(face for face, _ in _runs(one_line(text))))


def one_line(text: str) -> str:
    """The text as it is drawn: in Unicode's composed form (NFC), and on one line.

    White space becomes spaces. Control characters, and bytes of a file name that are not UTF-8, become �. Invisible
    format characters, which can make one name look like another, are left out.

    >>> one_line("o\\u0308l\\tam\\n\\udce4")
    'öl am �'
    """
    shown = []
    for letter in unicodedata.normalize("NFC", text):
        category = unicodedata.category(letter)
        if letter.isspace():
            shown.append(" ")
        elif category in ("Cc", "Cs"):  # Python reads bytes that are not UTF-8 as surrogates
            shown.append("�")
        elif letter in (*_JOINERS, LEFT_TO_RIGHT) or not (
            category == "Cf" or unicodedata.name(letter, "").startswith("VARIATION SEL")
        ):
            shown.append(letter)
    return "".join(shown)


def _line(text: str, size: int, ink: Ink) -> tuple[Image.Image, tuple[int, int]]:
    """The line on a transparent background, RGBA, and the pixel where its baseline starts."""
    color = ImageColor.getrgb(ink)[:3] if isinstance(ink, str) else ink
    runs = list(_set(text, size))
    around = 2 * size  # pixels on each side, since letters and accents can reach beyond the line
    width = math.ceil(sum(width for _, _, width in runs))
    line = Image.new("RGBA", (width + 2 * around, 2 * around), (*color, 0))
    x = float(around)
    for face, letters, width_of_run in runs:
        layer, left, top = _run(face, letters, size, color)
        column, row = round(x + left), around + top
        line.alpha_composite(layer, (max(0, column), max(0, row)), (max(0, -column), max(0, -row)))
        x += width_of_run
    return line, (around, around)


def _run(face: Face, letters: str, size: int, color: tuple[int, ...]) -> tuple[Image.Image, int, int]:
    """A run on a transparent background, RGBA, and its left and top, in pixels from where the baseline starts."""
    font, scale = opened(face, size)
    left, top, right, bottom = font.getbbox(letters, direction=_DIRECTION, anchor="ls")
    left, top = math.floor(left), math.floor(top)
    layer = Image.new("RGBA", (max(1, math.ceil(right) - left), max(1, math.ceil(bottom) - top)), (*color, 0))
    ImageDraw.Draw(layer).text(
        (-left, -top), letters, color, font, anchor="ls", direction=_DIRECTION, embedded_color=True
    )
    if scale != 1:
        layer = layer.resize((max(1, round(layer.width * scale)), max(1, round(layer.height * scale))))
    return layer, round(left * scale), round(top * scale)


def _set(text: str, size: int) -> Iterator[tuple[Face, str, float]]:
    """The runs of a line and their widths in pixels."""
    for face, letters in _runs(one_line(text)):
        font, scale = opened(face, size)
        yield face, letters, scale * font.getlength(letters, direction=_DIRECTION)


@lru_cache(1024)
def _runs(text: str) -> tuple[tuple[Face, str], ...]:
    """Split where the font changes. A letter that no font has goes to the inside font, which draws a box for it."""
    faces: list[Face] = []
    missing = []
    for whole in _whole_letters(text):
        drawn = "".join(letter for letter in whole if letter not in _BLANK)
        found = [face_of(drawn)] * len(whole)
        if found[0] is None:
            found = [INSIDE if letter in _BLANK else face_of(letter) for letter in whole]
        missing += [letter for letter, face in zip(whole, found, strict=True) if face is None]
        faces += [face or INSIDE for face in found]
    _note_missing(missing)
    _note_shaping(text)
    _join(text, faces)
    runs = groupby(zip(text, faces, strict=True), key=itemgetter(1))
    return tuple((face, "".join(letter for letter, _ in run if letter != LEFT_TO_RIGHT)) for face, run in runs)


def _join(text: str, faces: list[Face]) -> None:
    """Extend runs over what stands between letters of one font, and from right-to-left letters to the digits after."""
    directions = [unicodedata.bidirectional(letter) for letter in text]
    strong = [i for i, direction in enumerate(directions) if direction in _STRONG]
    for here, after in pairwise([*strong, len(text)]):
        end = here + 1
        if after < len(text) and faces[after] == faces[here]:
            end = after
        elif directions[here] in _RIGHT_TO_LEFT:
            end = max((i + 1 for i in range(here + 1, after) if text[i].isdigit()), default=end)
        between = text[here + 1 : end]
        if all(letter in _BLANK or has(faces[here], letter) for letter in between):
            faces[here + 1 : end] = [faces[here]] * len(between)


def _whole_letters(text: str) -> list[str]:
    """Split into letters with their accents, and emoji with their skin tones and those they are joined to."""
    letters: list[str] = []
    for letter in text:
        joined = letter in _JOINERS or unicodedata.category(letter).startswith("M") or letter in _SKIN_TONES
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
    """The kind of a letter, from the first word of its Unicode name, such as Thai letters; signs where it is none."""
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
        log.warning(
            "%r: letters are not joined or ordered from right to left, Pillow found no Raqm (install FriBiDi)", text
        )
