"""Heat maps: their colours, overlays on images, and captions with a colour scale."""

from __future__ import annotations

import torch
from jaxtyping import Float
from kornia.color import ColorMap, rgb_to_grayscale
from PIL import Image
from torch import Tensor

from vggapps.image import Picture, open_picture, to_pil
from vggapps.image._lettering import draw_text, shorten, text_width

_TEXT, _MARGIN = 16, 10  # pixels
_BAR = 160, 12  # width and height of the colour scale
_LINE = _TEXT + _MARGIN
_WIDE = 560  # pixels; from this width on, text and scale share a line
_GROUND = 0.5  # grey level under the colours of the scale


def colors_of(level: Float[Tensor, "h w"], *, signed: bool = False) -> Float[Tensor, "1 3 h w"]:
    """The colours of a map: the ``plasma`` color map for levels in [0, 1], ``seismic`` for signed levels in [-1, 1].

    Plasma runs from dark blue over purple and orange to yellow; it is perceptually uniform and monotonic in grey,
    unlike the ``jet`` of the Grad-CAM figures. Seismic is red for positive and blue for negative levels.

    Args:
        level: one level per position.
        signed: whether levels can be negative.
    """
    share = (level + 1) / 2 if signed else level
    table: Tensor = ColorMap("seismic" if signed else "plasma", 256, device=level.device, dtype=level.dtype).colors
    return table[:, (share * 255).round().long()][None]


def overlay(
    image: Float[Tensor, "1 3 h w"], heat: Float[Tensor, "1 1 h w"], strength: float = 0.5, *, signed: bool = False
) -> Float[Tensor, "1 3 h w"]:
    """The image under the colours of a heat map (:func:`colors_of`). Opacity grows with the absolute heat.

    Args:
        image: RGB in [0, 1].
        heat: in [0, 1]; in [-1, 1] if signed.
        strength: opacity of the hottest position, in [0, 1].
        signed: whether the map is signed.
    """
    colours = colors_of(heat[0, 0], signed=signed).to(image)
    return torch.lerp(image, colours, (strength * heat.abs()).to(image.dtype))


def difference_map(
    image: Float[Tensor, "1 3 h w"], shares: Float[Tensor, "1 1 h w"]
) -> tuple[Float[Tensor, "1 3 h w"], float]:
    """Where two images differ: a map in plasma colours over the darkened grey image.

    Args:
        image: in [0, 1].
        shares: each position's share of a distance, as losses return it for ``map=True``.

    Returns:
        The drawing, and the largest share, which is yellow.
    """
    shares = shares.detach()[0, 0]
    peak = float(shares.max())
    heat = shares / max(peak, torch.finfo(shares.dtype).tiny)
    # Small differences show the image, large ones the colour.
    return torch.lerp(0.6 * rgb_to_grayscale(image), colors_of(heat).to(image), heat.sqrt()), peak


def caption(what: str, how: str, width: int, most: float, strength: float, *, signed: bool) -> Float[Tensor, "1 3 h w"]:
    """A white strip with text and a colour scale, to go below an image: one line, or three if it is narrow.

    Args:
        what: the explained output; texts that are too long are shortened in the middle.
        how: the method.
        width: of the strip, in pixels.
        most: the value of the hottest colour.
        strength: opacity of the map, see :func:`overlay`.
        signed: whether the scale begins at ``-most`` instead of 0.
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
    return open_picture(strip).rgb
