"""Drawing text in any script for which the system has a font.

A line of text is split into runs, each drawn with the first font that has its letters (:mod:`_fonts`), on a common
baseline. A letter that no font has is drawn as a box, and a warning is logged once per script.

Within a run, Raqm shapes the text and orders right-to-left letters. The line as a whole runs from left to right, as
paths do, so the Unicode bidirectional algorithm is applied in part: right-to-left letters keep the spaces between them
and the digits after them; everything else stays in place. There is no wrapping and no vertical text. Without Raqm,
letters are neither joined nor reordered, and a warning is logged if the text needs it.
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

from vggapps.image._fonts import BUNDLED, Face, face_of, has, opened

log = logging.getLogger(__name__)

Ink = str | tuple[int, int, int]
INK = (34, 34, 34)  # the default colour: dark grey

LEFT_TO_RIGHT = "\u200e"  # an invisible mark between right-to-left letters and digits that do not belong to them
_JOINERS = "\u200c\u200d"  # zero-width joiner and non-joiner
_SKIN_TONES = "🏻🏼🏽🏾🏿"
_BLANK = f"{_JOINERS}{LEFT_TO_RIGHT} "  # drawn without a font
_STRONG = {"L", "R", "AL"}  # bidirectional classes of letters with a direction
_RIGHT_TO_LEFT = {"R", "AL"}
_INSTALL = (
    "install one, such as Noto; Debian, Ubuntu: apt install fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji"
)
# Otherwise a run takes its direction from its first letter, and boxes in place of Hebrew would reverse it.
_DIRECTION = "ltr" if features.check("raqm") else None
_warned: set[str] = set()  # scripts with a logged warning, and "shaping"


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
        at: the position of the anchor, in pixels.
        text: converted by :func:`one_line`.
        size: of the font, in pixels per em.
        anchor: as in Pillow: l, m or r for left, middle or right, then a, m or s for ascender, middle or baseline;
            the heights are those of the bundled font.
        ink: the colour, except of emoji.
        upwards: rotate text and anchor by 90 degrees counterclockwise.
    """
    layer, (left, base) = _line(text, size, ink)
    ascent, descent = opened(BUNDLED, size)[0].getmetrics()
    along = {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * text_width(text, size)
    across = {"a": float(ascent), "m": (ascent - descent) / 2, "s": 0.0}[anchor[1]]
    x, y = -along - left, across - base
    if upwards:
        x, y = y, -x - layer.width
        layer = layer.transpose(Image.Transpose.ROTATE_90)
    image.paste(layer, (round(at[0] + x), round(at[1] + y)), layer)


def text_width(text: str, size: int) -> float:
    """The advance width of a line of text in pixels."""
    return sum(width for _, _, width in _measured(text, size))


def text_box(text: str, size: int) -> tuple[int, int, int, int]:
    """The bounding box of the drawing: left, top, right, bottom in pixels, from the start of the baseline."""
    layer, (left, base) = _line(text, size, INK)
    box = layer.getchannel("A").getbbox() or (left, base, left, base)
    return box[0] - left, box[1] - base, box[2] - left, box[3] - base


def shorten(text: str, size: int, width: float) -> str:
    """Replace the middle of a text by … as needed to fit ``width`` pixels; the end often distinguishes file names.

    Returns:
        The longest such text that fits, or … if none does.
    """
    if text_width(text, size) <= width:
        return one_line(text)
    letters = _whole_letters(one_line(text))

    def cut(kept: int) -> str:
        return "".join((*letters[: (kept + 1) // 2], "…", *letters[len(letters) - kept // 2 :]))

    too_many = bisect.bisect_right(range(len(letters)), width, key=lambda kept: text_width(cut(kept), size))
    return cut(max(0, too_many - 1))


def faces_of(text: str) -> list[Face]:
    """The fonts that a line of text is drawn with; warns of letters that no font has."""
    return list(dict.fromkeys(face for face, _ in _runs(one_line(text))))


def one_line(text: str) -> str:
    """Convert text to one line in Unicode's composed form (NFC), as it is drawn.

    White space becomes spaces. Control characters, and bytes of a file name that are not UTF-8, become �. Invisible
    format characters, which can make one name look like another, are removed.

    >>> one_line("o\\u0308l\\tam\\n\\udce4")
    'öl am �'
    """
    shown = []
    for letter in unicodedata.normalize("NFC", text):
        category = unicodedata.category(letter)
        if letter.isspace():
            shown.append(" ")
        elif category in ("Cc", "Cs"):  # Python represents bytes that are not UTF-8 as surrogates
            shown.append("�")
        elif letter in (*_JOINERS, LEFT_TO_RIGHT) or not (
            category == "Cf" or unicodedata.name(letter, "").startswith("VARIATION SEL")
        ):
            shown.append(letter)
    return "".join(shown)


def _line(text: str, size: int, ink: Ink) -> tuple[Image.Image, tuple[int, int]]:
    """The line on a transparent background (RGBA), and the pixel where its baseline starts."""
    color = ImageColor.getrgb(ink)[:3] if isinstance(ink, str) else ink
    runs = list(_measured(text, size))
    around = 2 * size  # margin in pixels, since letters and accents can extend beyond the line
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
    """A run on a transparent background (RGBA), and its left and top in pixels from the start of the baseline."""
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


def _measured(text: str, size: int) -> Iterator[tuple[Face, str, float]]:
    """The runs of a line and their widths in pixels."""
    for face, letters in _runs(one_line(text)):
        font, scale = opened(face, size)
        yield face, letters, scale * font.getlength(letters, direction=_DIRECTION)


@lru_cache(1024)
def _runs(text: str) -> tuple[tuple[Face, str], ...]:
    """Split where the font changes. For a letter that no font has, the bundled font draws a box."""
    faces: list[Face] = []
    missing = []
    for whole in _whole_letters(text):
        drawn = "".join(letter for letter in whole if letter not in _BLANK)
        found = [face_of(drawn)] * len(whole)
        if found[0] is None:
            found = [BUNDLED if letter in _BLANK else face_of(letter) for letter in whole]
        missing += [letter for letter, face in zip(whole, found, strict=True) if face is None]
        faces += [face or BUNDLED for face in found]
    _warn_missing(missing)
    _warn_shaping(text)
    _join(text, faces)
    runs = groupby(zip(text, faces, strict=True), key=itemgetter(1))
    return tuple((face, "".join(letter for letter, _ in run if letter != LEFT_TO_RIGHT)) for face, run in runs)


def _join(text: str, faces: list[Face]) -> None:
    """Extend runs to everything between letters of one font, and from right-to-left letters to following digits."""
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
    """Split into letters with their accents, and emoji with their skin tones and joined emoji."""
    letters: list[str] = []
    for letter in text:
        joined = letter in _JOINERS or unicodedata.category(letter).startswith("M") or letter in _SKIN_TONES
        if letters and (joined or letters[-1][-1] in _JOINERS):
            letters[-1] += letter
        else:
            letters.append(letter)
    return letters


def _warn_missing(letters: Iterable[str]) -> None:
    new: dict[str, list[str]] = {}
    for letter in letters:
        script = _script(letter)
        if script not in _warned and letter not in new.setdefault(script, []):
            new[script].append(letter)
    for script, ones in new.items():
        _warned.add(script)
        listed = ", ".join(f"{one} (U+{ord(one):04X})" for one in ones[:5]) + ", ..." * (len(ones) > 5)
        log.warning("no font was found for the %s %s: boxes are drawn instead (%s)", script, listed, _INSTALL)


def _script(letter: str) -> str:
    """The script of a letter from the first word of its Unicode name, such as "Thai letters", or "signs"."""
    word = unicodedata.name(letter, "").partition(" ")[0]
    if not word or unicodedata.category(letter)[0] not in "LM":
        return "signs"
    return f"{word if word == 'CJK' else word.capitalize()} letters"


def _warn_shaping(text: str) -> None:
    if "shaping" in _warned or features.check("raqm"):
        return
    if any(
        unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT or unicodedata.category(letter).startswith("M")
        for letter in text
    ):
        _warned.add("shaping")
        log.warning(
            "%r: letters are not joined or ordered from right to left, Pillow found no Raqm (install FriBiDi)", text
        )
