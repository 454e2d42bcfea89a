"""An atlas as a picture: what was made for each cell, and a photo of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from vggapps.figures._mosaic import mosaic
from vggapps.figures._sheet import contact_sheet, manifest
from vggapps.image import Picture, square
from vggapps.visualization._activations import FAINTEST
from vggapps.visualization._atlas import Cell, Samples, nearest
from vggapps.visualization._fields import Sees, sees_of
from vggapps.visualization._retrieval import Exemplar, patches_of


def atlas_sheet(
    found: Samples,
    shown: Sequence[Cell],
    made: Sequence[Float[Tensor, "1 3 s s"]],
    grid: int,
    network: nn.Module,
    layer: str,
) -> tuple[Picture, list[dict[str, Any]]]:
    """The atlas twice, side by side: what was made for each cell, and what the layer saw of a photo in it.

    What was made is the larger, by area, the more pictures the cell has, whose number stands below. The photo is the
    :func:`nearest` one; of it the square in the middle of what the position sees is drawn.

    Args:
        found: as :func:`sample` gives it.
        shown: cells of it.
        made: a picture for each.
        grid: cells a side.
        network: whose layer it is.
        layer: its name.

    Returns:
        The sheet, and of each cell ``row``, ``column``, ``count``, ``paths``, the ``box`` of what was made for it, and
        the ``photo`` with its ``photo_box``.
    """
    side, most, sees = made[0].shape[3], max(len(cell.members) for cell in shown), sees_of(network, layer)
    columns = 2 * grid + 1  # one between the two stays empty
    tiles: list[Tensor | None] = [None] * (grid * columns)
    labels, photos = [""] * len(tiles), [_photo(found, nearest(cell, found.vectors), sees) for cell in shown]
    patches = patches_of(photos)
    for cell, picture, photo in zip(shown, made, photos, strict=True):
        left, right = _places(cell, grid)
        tiles[left] = mosaic([picture], 1, [max(FAINTEST, len(cell.members) / most)])
        tiles[right] = square(patches[photo], side)
        labels[left], labels[right] = str(len(cell.members)), Path(photo.path).name
    title = f"{layer} in {len(found.paths)} pictures: how many lie in each cell, and one of them"
    numbered = [{"place": number} for number in range(len(tiles))]
    boxes = {tile["place"]: tile["box"] for tile in manifest(tiles, labels, numbered, columns, title)["tiles"]}
    facts = []
    for cell, photo in zip(shown, photos, strict=True):
        left, right = _places(cell, grid)
        inside = [found.paths[member] for member in cell.members]
        place = {"row": cell.row, "column": cell.column, "box": boxes[left], "photo_box": boxes[right]}
        facts.append({**place, "count": len(inside), "photo": photo.path, "paths": inside})
    return contact_sheet(tiles, labels, columns, title), facts


def _places(cell: Cell, grid: int) -> tuple[int, int]:
    """Where a cell is on the sheet: what was made for it, and its photo."""
    first = cell.row * (2 * grid + 1) + cell.column
    return first, first + grid + 1


def _photo(found: Samples, number: int, sees: Sees) -> Exemplar:
    row, column, size = found.places[number]
    strength = float(found.vectors[number].norm())
    return Exemplar(found.paths[number], strength, row, column, sees(row, column, size), size)
