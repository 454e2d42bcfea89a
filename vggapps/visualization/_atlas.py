"""An activation atlas: activations of many pictures in a two-dimensional layout, with a visualization for each cell.

S. Carter, Z. Armstrong, L. Schubert, I. Johnson, C. Olah, Activation Atlas, Distill 2019.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.datasets._reading import scaled_pictures
from vggapps.errors import PictureError, SettingsError, argument, unknown
from vggapps.figures._sheet import contact_sheet, manifest, mosaic
from vggapps.image import Picture, square
from vggapps.vgg._receptive_field import BoxAt
from vggapps.vgg._wrapped import as_network
from vggapps.visualization._activations import FAINTEST, maps_of, shorter_side
from vggapps.visualization._retrieval import Exemplar, patches_of

Layout = Literal["auto", "umap", "pca"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_MOST, _PER_CELL = 10, 4  # default grid: most cells per side, and mean number of pictures per cell
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Samples:
    """Activations of a layer at one position in each of many pictures."""

    paths: Sequence[str]
    vectors: Float[Tensor, "n c"]
    places: Sequence[tuple[int, int, tuple[int, int]]]  # row, column, and (height, width) of the scaled picture
    failed: Sequence[str]  # paths of pictures that can't be read


@dataclass(frozen=True, eq=False)
class Cell:
    """A cell of the atlas; row and column count from the top left."""

    row: int
    column: int
    members: Sequence[int]  # indices of its pictures
    vector: Float[Tensor, " c"]  # mean of their activations, minus the mean of all pictures


def sample(network: nn.Module, layer: str, paths: Iterable[str], seed: int = 0) -> Samples:
    """The activations at one random position of each picture, scaled as the network was trained, mostly to 224 px.

    Args:
        network: in inference mode; takes pictures in [0, 1].
        layer: ``conv5_1``; for a module a path of ``named_modules()``.
        paths: pictures. Unreadable ones are reported and skipped.
        seed: of the positions.

    Raises:
        SettingsError: no such layer.
        PictureError: no picture can be read.
    """
    as_network(network).check((layer,))
    generator = torch.Generator().manual_seed(seed)
    read, vectors, places, failed = [], [], [], []
    for path, image in scaled_pictures(paths, shorter_side(network)):
        if image is None:
            failed.append(path)
            continue
        maps = maps_of(network, layer, image)
        place = int(torch.randint(maps[0].numel(), (1,), generator=generator))
        row, column = divmod(place, maps.shape[2])
        vectors.append(maps[:, row, column])
        places.append((row, column, (image.shape[2], image.shape[3])))
        read.append(path)
    if not vectors:
        raise PictureError("none of the pictures can be read", "give photographs")
    return Samples(tuple(read), torch.stack(vectors), tuple(places), tuple(failed))


def choose_layout(layout: str, pictures: int) -> Literal["umap", "pca"]:
    """Resolve ``auto``: umap if it is installed, else pca.

    Raises:
        SettingsError: no such layout, umap is not installed, or there are fewer than three pictures.
    """
    if layout not in LAYOUTS:
        raise unknown("layout", layout, LAYOUTS)
    if pictures < 3:
        raise SettingsError(f"{pictures} pictures are too few for an atlas", "give some hundreds")
    if layout == "pca":
        return "pca"
    if find_spec("umap"):
        return "umap"
    if layout == "umap":
        raise SettingsError(
            "umap-learn is not installed", f"use {argument('layout', 'pca')}", "pip install 'vggapps[atlas]'"
        )
    _log.info("the layout is pca; pip install 'vggapps[atlas]' for umap, which separates groups better")
    return "pca"


def lay_out(vectors: Float[Tensor, "n c"], layout: str = "auto", seed: int = 0) -> Float[Tensor, "n 2"]:
    """A two-dimensional layout in the unit square, with similar directions close together.

    ``umap`` (L. McInnes et al., arXiv 1802.03426; 50 neighbours, distance 0.05, cosine, as in the paper on the atlas)
    needs the package umap-learn. Each axis is cropped to its middle 98 percent, widened by a tenth; outliers move to
    the border. ``pca`` takes the ranks along the first two principal components of the normalized vectors.

    Raises:
        SettingsError: see :func:`choose_layout`.
    """
    return _umap(vectors, seed) if choose_layout(layout, len(vectors)) == "umap" else _pca(vectors)


def grid_side(pictures: int) -> int:
    """The default number of cells per side: four pictures per cell on average, at most ten cells."""
    return min(_MOST, max(1, round(math.sqrt(pictures / _PER_CELL))))


def cells(places: Float[Tensor, "n 2"], vectors: Float[Tensor, "n c"], grid: int, least: int = 2) -> list[Cell]:
    """The cells of a grid over the unit square that have enough pictures, row by row.

    Args:
        places: x from the left and y from the top, in [0, 1].
        vectors: activations of the same pictures.
        grid: cells per side.
        least: minimum number of pictures in a cell.

    Raises:
        SettingsError: no cell has enough pictures.
    """
    if grid < 1:
        raise SettingsError(f"a grid of {grid} cells per side", "use at least one")
    columns, rows = (places * grid).long().clamp(0, grid - 1).T.tolist()
    members: dict[tuple[int, int], list[int]] = {}
    for number, place in enumerate(zip(rows, columns, strict=True)):
        members.setdefault(place, []).append(number)
    common = vectors.mean(0)
    found = [
        Cell(row, column, tuple(inside), vectors[inside].mean(0) - common)
        for (row, column), inside in sorted(members.items())
        if len(inside) >= least
    ]
    if not found:
        raise SettingsError(f"no cell of {grid} x {grid} has {least} pictures", "make the grid coarser")
    return found


def nearest(cell: Cell, vectors: Float[Tensor, "n c"]) -> int:
    """The picture of a cell with the highest cosine similarity of centred activations to the cell's vector."""
    own = vectors[list(cell.members)] - vectors.mean(0)
    return cell.members[int(torch.cosine_similarity(own, cell.vector[None], dim=1).argmax())]


def _pca(vectors: Float[Tensor, "n c"]) -> Float[Tensor, "n 2"]:
    unit = F.normalize(vectors.double(), dim=1)
    centred = unit - unit.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    # The sign of an axis is arbitrary: its largest component is made positive, for the same result everywhere.
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    ranks = (centred @ axes.T).argsort(dim=0, stable=True).argsort(dim=0)
    places: Tensor = ranks.float() / (len(vectors) - 1)
    return places


def _umap(vectors: Float[Tensor, "n c"], seed: int) -> Float[Tensor, "n 2"]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a missing TensorFlow, and few pictures
        from umap import UMAP  # type: ignore[import-not-found, import-untyped]

        neighbours = min(50, len(vectors) - 1)
        reducer = UMAP(n_neighbors=neighbours, min_dist=0.05, metric="cosine", random_state=seed, n_jobs=1)
        places = np.asarray(reducer.fit_transform(vectors.numpy()))
    low, high = np.percentile(places, [1, 99], axis=0)
    wider = 0.05 * (high - low)  # at each end
    low, high = low - wider, high + wider
    return torch.from_numpy(((places - low) / (high - low)).clip(0, 1)).float()


def atlas_sheet(
    found: Samples,
    shown: Sequence[Cell],
    made: Sequence[Float[Tensor, "1 3 s s"]],
    grid: int,
    network: nn.Module,
    layer: str,
) -> tuple[Picture, list[dict[str, Any]]]:
    """The atlas as two grids side by side: the visualization of each cell, and a patch of a photo in it.

    The area of a visualization grows with the cell's number of pictures, which is its label. The photo is the
    :func:`nearest` one, cropped to the central square of the position's receptive field.

    Returns:
        The sheet, and for each cell ``row``, ``column``, ``count``, ``paths``, the ``box`` of its visualization, and
        the ``photo`` with its ``photo_box``.
    """
    side, most = made[0].shape[3], max(len(cell.members) for cell in shown)
    box_at = as_network(network).receptive_boxes(layer)
    columns = 2 * grid + 1  # an empty column between the grids
    tiles: list[Tensor | None] = [None] * (grid * columns)
    labels, photos = [""] * len(tiles), [_photo(found, nearest(cell, found.vectors), box_at) for cell in shown]
    patches = patches_of(photos)
    for cell, picture, photo in zip(shown, made, photos, strict=True):
        left, right = _places(cell, grid)
        tiles[left] = mosaic([picture], 1, [max(FAINTEST, len(cell.members) / most)])
        tiles[right] = square(patches[photo], side)
        labels[left], labels[right] = str(len(cell.members)), Path(photo.path).name
    title = f"{layer} in {len(found.paths)} pictures: how many are in each cell, and one of them"
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
    """The indices of a cell's visualization and photo on the sheet."""
    first = cell.row * (2 * grid + 1) + cell.column
    return first, first + grid + 1


def _photo(found: Samples, number: int, box_at: BoxAt) -> Exemplar:
    row, column, size = found.places[number]
    strength = float(found.vectors[number].norm())
    return Exemplar(found.paths[number], strength, row, column, box_at(row, column, size), size)
