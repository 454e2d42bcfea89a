"""Contact sheets: many small pictures on one, each with its label below, and a list of what lies where."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.image import Picture, from_pil, resize, to_pil
from vggapps.image._lettering import INK, draw_text, shorten, text_width

Tile = Float[Tensor, "3 h w"] | Float[Tensor, "1 3 h w"] | None
Bounds = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are the first beyond

TINY = 48  # pixels: a picture whose longer side is less is enlarged, its pixels as squares
_LEAST, _LARGEST = 96, 320  # pixels of a cell's side
_WIDE = 640  # pixels that a title may make a narrow sheet wider
_MARGIN, _GAP, _TEXT, _TITLE = 16, 8, 13, 20
_LINE = _TEXT + 4
_PAPER, _FAINT = "#ffffff", "#777777"


def contact_sheet(
    pictures: Sequence[Tile],
    labels: Sequence[str],
    columns: int | None = None,
    title: str = "",
    largest: int = _LARGEST,
) -> Picture:
    """Pictures on white paper, row by row in equal cells, each with its label below.

    A cell is as large as the largest picture, ``largest`` pixels at most. Larger pictures are scaled down to it,
    those of less than 48 pixels up, all by one whole factor; nothing is distorted.

    Args:
        pictures: in [0, 1]; None leaves a place empty.
        labels: one for each picture; a second line is set fainter. What is too long is cut in its middle.
        columns: pictures in a row; by default nearly as many as there are rows.
        title: a line above all.
        largest: pixels of a cell's longer side.

    Raises:
        SettingsError: there is no picture, or not a label for each.
    """
    layout = _lay_out(pictures, labels, columns, title, largest)
    image = Image.new("RGB", layout.size, _PAPER)
    if title:
        draw_text(image, (_MARGIN, _MARGIN), shorten(title, _TITLE, layout.size[0] - 2 * _MARGIN), _TITLE)
    for tile, label, box, (left, top) in zip(layout.tiles, labels, layout.boxes, layout.captions, strict=True):
        if tile is not None:
            image.paste(to_pil(Picture(tile)), box[:2])
        for number, line in enumerate(_lines(label)):
            text = shorten(line, _TEXT, layout.cell)
            draw_text(image, (left, top + number * _LINE), text, _TEXT, ink=_FAINT if number else INK)
    return from_pil(image, name=title or "sheet")


def manifest(
    pictures: Sequence[Tile],
    labels: Sequence[str],
    facts: Sequence[Mapping[str, object]] = (),
    columns: int | None = None,
    title: str = "",
    largest: int = _LARGEST,
) -> dict[str, Any]:
    """What lies where on the sheet that :func:`contact_sheet` makes of the same arguments, for a JSON file beside it.

    Args:
        pictures: as there.
        labels: as there.
        facts: what else is known of each picture; none, or one mapping for each.
        columns: as there.
        title: as there.
        largest: as there.

    Returns:
        ``schema``, ``title``, ``size`` [width, height] and ``tiles``: for each picture that there is its ``label``, its
        ``box`` [left, top, right, bottom] in pixels of the sheet, and its facts.
    """
    layout = _lay_out(pictures, labels, columns, title, largest)
    tiles = [
        {"label": label, "box": list(box), **known}
        for tile, label, box, known in zip(pictures, labels, layout.boxes, facts or [{}] * len(pictures), strict=True)
        if tile is not None
    ]
    return {"schema": 1, "title": title, "size": list(layout.size), "tiles": tiles}


@dataclass(frozen=True, eq=False)
class _Layout:
    size: tuple[int, int]  # width, height
    cell: int  # its width
    tiles: Sequence[Float[Tensor, "1 3 h w"] | None]  # as they are pasted
    boxes: Sequence[Bounds]
    captions: Sequence[tuple[int, int]]  # where labels begin


def _lay_out(pictures: Sequence[Tile], labels: Sequence[str], columns: int | None, title: str, largest: int) -> _Layout:
    if not any(picture is not None for picture in pictures):
        raise SettingsError("there is no picture for the sheet", "give at least one")
    if len(labels) != len(pictures):
        raise SettingsError(f"{len(pictures)} pictures and {len(labels)} labels", "give a label for each picture")
    tiles = _fitted([None if picture is None else _batched(picture) for picture in pictures], largest)
    heights, widths = zip(*(tile.shape[2:] for tile in tiles if tile is not None), strict=True)
    longest = max((text_width(line, _TEXT) for label in labels for line in _lines(label)), default=0)
    height, width = max(heights), max(*widths, min(_LEAST, math.ceil(longest)))
    columns = columns or _columns(len(tiles))
    rows = math.ceil(len(tiles) / columns)
    lines = max(len(_lines(label)) for label in labels)
    step = height + lines * _LINE + _GAP + (_GAP if lines else 0)
    first = _MARGIN + (_TITLE + _MARGIN if title else 0)
    boxes, captions = [], []
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        left, top = _MARGIN + column * (width + _GAP), first + row * step
        h, w = (0, 0) if tile is None else tile.shape[2:]
        boxes.append((left, top + height - h, left + w, top + height))  # near its label
        captions.append((left, top + height + _GAP // 2))
    across = max(columns * (width + _GAP) - _GAP, min(_WIDE, math.ceil(text_width(title, _TITLE))))
    size = (2 * _MARGIN + across, first + rows * step - _GAP + _MARGIN)
    return _Layout(size, width, tiles, boxes, captions)


def short_number(number: float) -> str:
    """A number as people read it.

    >>> short_number(14208.3), short_number(3.14159), short_number(0.0)
    ('14,208', '3.14', '0')
    """
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _lines(label: str) -> list[str]:
    return label.split("\n") if label else []


def _columns(tiles: int) -> int:
    """Nearly as many as there are rows: of two choices the one that leaves fewer places empty."""
    root = math.ceil(math.sqrt(tiles))
    return min((root, root + 1), key=lambda columns: -tiles % columns)


def _batched(picture: Tensor) -> Float[Tensor, "1 3 h w"]:
    picture = picture.detach().float().cpu()
    return picture if picture.ndim == 4 else picture[None]


def _fitted(pictures: Sequence[Tensor | None], largest: int) -> list[Tensor | None]:
    """Tiny ones enlarged, all by the same factor, and large ones scaled down."""
    longer = [max(picture.shape[2:]) for picture in pictures if picture is not None]
    factor = math.ceil(_LEAST / max((side for side in longer if side < TINY), default=_LEAST))

    def fit(picture: Tensor) -> Tensor:
        height, width = picture.shape[2:]
        if max(height, width) < TINY:
            return picture.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        shrunk = min(1.0, largest / max(height, width))
        return resize(picture, (max(1, round(height * shrunk)), max(1, round(width * shrunk))))

    return [None if picture is None else fit(picture) for picture in pictures]
