"""Contact sheets: pictures in a labelled grid, a manifest of their positions, and mosaics without labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.image import Picture, open_picture, resize, to_pil
from vggapps.image._lettering import INK, draw_text, shorten, text_width

Tile = Float[Tensor, "3 h w"] | Float[Tensor, "1 3 h w"] | None
Bounds = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are exclusive

TINY = 48  # pixels; pictures whose longer side is below are enlarged, pixels as squares
_LEAST, _LARGEST = 96, 320  # pixels of a cell's side
_WIDE = 640  # pixels; a title can widen a narrow sheet up to this
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
    """Pictures on a white sheet, row by row in equal cells, each with its label below.

    A cell is as large as the largest picture, at most ``largest`` pixels. Larger pictures are scaled down, pictures
    below 48 pixels are enlarged by a common whole factor; aspect ratios are kept.

    Args:
        pictures: in [0, 1]; None leaves a cell empty.
        labels: one for each picture; a second line is grey. Labels that are too long are shortened in the middle.
        columns: pictures per row; by default about the number of rows.
        title: a line above the pictures.
        largest: longer side of a cell, in pixels.

    Raises:
        SettingsError: there is no picture, or the number of labels differs.
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
    return open_picture(image, name=title or "sheet")


def manifest(
    pictures: Sequence[Tile],
    labels: Sequence[str],
    facts: Sequence[Mapping[str, object]] = (),
    columns: int | None = None,
    title: str = "",
    largest: int = _LARGEST,
) -> dict[str, Any]:
    """The layout of the sheet that :func:`contact_sheet` makes from the same arguments, as JSON.

    ``facts`` are further entries for each picture, one mapping per picture, or empty.

    Returns:
        ``schema``, ``title``, ``size`` [width, height] and ``tiles``: for each picture its ``label``, its ``box``
        [left, top, right, bottom] in pixels of the sheet, and its facts.
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
    cell: int  # width
    tiles: Sequence[Float[Tensor, "1 3 h w"] | None]  # resized
    boxes: Sequence[Bounds]
    captions: Sequence[tuple[int, int]]  # left and top of the labels


def _lay_out(pictures: Sequence[Tile], labels: Sequence[str], columns: int | None, title: str, largest: int) -> _Layout:
    if not any(picture is not None for picture in pictures):
        raise SettingsError("there is no picture for the sheet", "give at least one")
    if len(labels) != len(pictures):
        raise SettingsError(f"{len(pictures)} pictures and {len(labels)} labels", "give a label for each picture")
    tiles = _fitted(pictures, largest)
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
        boxes.append((left, top + height - h, left + w, top + height))  # bottom-aligned, next to its label
        captions.append((left, top + height + _GAP // 2))
    across = max(columns * (width + _GAP) - _GAP, min(_WIDE, math.ceil(text_width(title, _TITLE))))
    size = (2 * _MARGIN + across, first + rows * step - _GAP + _MARGIN)
    return _Layout(size, width, tiles, boxes, captions)


def mosaic(
    pictures: Sequence[Float[Tensor, "1 3 s s"] | None], columns: int, strengths: Sequence[float] | None = None
) -> Float[Tensor, "1 3 h w"]:
    """Square pictures in a grid on white, row by row, without labels or gaps.

    Args:
        pictures: all of the same size; None leaves a place empty.
        columns: pictures per row.
        strengths: in [0, 1], one for each picture: the area at which it is drawn; None draws all at full size.
    """
    side = next(picture.shape[3] for picture in pictures if picture is not None)
    paper = torch.ones(1, 3, math.ceil(len(pictures) / columns) * side, columns * side)
    for number, picture in enumerate(pictures):
        if picture is None:
            continue
        drawn = side if strengths is None else max(1, round(side * math.sqrt(strengths[number])))
        row, column = divmod(number, columns)
        top, left = row * side + (side - drawn) // 2, column * side + (side - drawn) // 2
        paper[:, :, top : top + drawn, left : left + drawn] = resize(picture, (drawn, drawn))
    return paper


def short_number(number: float) -> str:
    """A number with three significant digits, or whole with separators from 100 on.

    >>> short_number(14208.3), short_number(3.14159), short_number(0.0)
    ('14,208', '3.14', '0')
    """
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _lines(label: str) -> list[str]:
    return label.split("\n") if label else []


def _columns(tiles: int) -> int:
    """About the number of rows: the root or one more, whichever leaves fewer cells empty."""
    root = math.ceil(math.sqrt(tiles))
    return min((root, root + 1), key=lambda columns: -tiles % columns)


def _fitted(pictures: Sequence[Tensor | None], largest: int) -> list[Tensor | None]:
    """Batches of one on the CPU: tiny pictures enlarged by a common factor, large ones scaled down."""
    longer = [max(picture.shape[-2:]) for picture in pictures if picture is not None]
    factor = math.ceil(_LEAST / max((side for side in longer if side < TINY), default=_LEAST))

    def fit(picture: Tensor) -> Tensor:
        picture = picture.detach().float().cpu().reshape(1, *picture.shape[-3:])
        height, width = picture.shape[2:]
        if max(height, width) < TINY:
            return picture.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        shrunk = min(1.0, largest / max(height, width))
        return resize(picture, (max(1, round(height * shrunk)), max(1, round(width * shrunk))))

    return [None if picture is None else fit(picture) for picture in pictures]
