"""What a picture with a map says of itself: what is explained, how, and what its colours mean."""

from __future__ import annotations

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vggapps.figures._overlay import overlay
from vggapps.image import Picture, from_pil, to_pil
from vggapps.image._lettering import draw_text, shorten, text_width

_TEXT, _MARGIN = 16, 10  # pixels
_BAR = 160, 12  # width and height of the colour scale
_LINE = _TEXT + _MARGIN
_WIDE = 560  # pixels of width from which text and scale stand side by side
_GROUND = 0.5  # the grey on which the scale's colours lie


def caption(what: str, how: str, width: int, most: float, strength: float, *, signed: bool) -> Float[Tensor, "1 3 h w"]:
    """A white strip of text and a scale of colours, for below the picture: one line, or three where it is narrow.

    Args:
        what: is explained; cut in its middle where it is too long, as is ``how``.
        how: it is explained.
        width: of the strip, in pixels.
        most: the value of the hottest colour.
        strength: as the map is laid over its picture, see :func:`~vggapps.figures.overlay`.
        signed: whether the scale begins at -most, and not at 0.
    """
    low, high = (f"{-most:.2g}", f"+{most:.2g}") if signed else ("0", f"{most:.2g}")
    before, after = (round(text_width(word, _TEXT)) + _MARGIN for word in (low, high))
    bar = min(_BAR[0], max(1, width - before - after - 2 * _MARGIN))
    wide = width >= _WIDE
    lines = [f"{what}  ·  {how}"] if wide else [what, how]
    left = width - _MARGIN - after - bar - before if wide else _MARGIN
    strip = Image.new("RGB", (width, (len(lines) + (not wide)) * _LINE + _MARGIN), "white")
    middle = _MARGIN + _TEXT // 2
    for number, line in enumerate(lines):
        room = (left if wide else width) - 2 * _MARGIN
        draw_text(strip, (_MARGIN, middle + number * _LINE), shorten(line, _TEXT, room), _TEXT, "lm")
    middle = strip.height - _MARGIN - _TEXT // 2
    draw_text(strip, (left, middle), low, _TEXT, "lm")
    ramp = torch.linspace(-1 if signed else 0, 1, bar).expand(1, 1, _BAR[1], bar)
    colours = overlay(torch.full((1, 3, _BAR[1], bar), _GROUND), ramp, strength, signed=signed)
    strip.paste(to_pil(Picture(colours)), (left + before, middle - _BAR[1] // 2))
    draw_text(strip, (left + before + bar + _MARGIN, middle), high, _TEXT, "lm")
    return from_pil(strip).rgb
