"""An activation atlas: what a layer tells apart, laid out so that what is alike lies together.

S. Carter, Z. Armstrong, L. Schubert, I. Johnson, C. Olah, Activation Atlas, Distill 2019. Theirs has a million
pictures; of some hundreds there is a smaller one.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.datasets._reading import scaled_pictures
from vggapps.errors import PictureError, SettingsError, argument, unknown
from vggapps.objectives._text import check_layer
from vggapps.visualization._activations import SHORTER_SIDE, maps_of

Layout = Literal["auto", "umap", "pca"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_MOST, _IN_A_CELL = 10, 4  # cells a side, by default, and pictures in one on average
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Samples:
    """What a layer made of one place in each of many pictures.

    Attributes:
        paths: the pictures.
        vectors: the layer's channels there.
        places: the position's row and column, and (height, width) of the picture as it was shown.
        failed: paths of pictures that can't be read.
    """

    paths: Sequence[str]
    vectors: Float[Tensor, "n c"]
    places: Sequence[tuple[int, int, tuple[int, int]]]
    failed: Sequence[str]


@dataclass(frozen=True, eq=False)
class Cell:
    """Pictures that lie together.

    Attributes:
        row: from the top.
        column: from the left.
        members: indices of the pictures.
        vector: the mean of their activations, less the mean of all pictures'.
    """

    row: int
    column: int
    members: Sequence[int]
    vector: Float[Tensor, " c"]


def sample(network: nn.Module, layer: str, paths: Iterable[str], seed: int = 0) -> Samples:
    """The activations of one random position of each picture; its shorter side is scaled to 224.

    Args:
        network: in inference mode; takes pictures in [0, 1].
        layer: ``conv5_1``; in a module a path of ``named_modules()``.
        paths: pictures. Those that can't be read are told and left out.
        seed: of the positions.

    Raises:
        SettingsError: no such layer.
        PictureError: no picture can be read.
    """
    check_layer(network, layer)
    generator = torch.Generator().manual_seed(seed)
    kept, vectors, places, failed = [], [], [], []
    for path, image in scaled_pictures(paths, SHORTER_SIDE):
        if image is None:
            failed.append(path)
            continue
        maps = maps_of(network, layer, image)
        place = int(torch.randint(maps[0].numel(), (1,), generator=generator))
        row, column = divmod(place, maps.shape[2])
        vectors.append(maps[:, row, column])
        places.append((row, column, (image.shape[2], image.shape[3])))
        kept.append(path)
    if not vectors:
        raise PictureError("there is no picture that can be read", "give photographs")
    return Samples(tuple(kept), torch.stack(vectors), tuple(places), tuple(failed))


def choose_layout(layout: str, pictures: int) -> Literal["umap", "pca"]:
    """The layout that a word means: ``auto`` is umap where it is installed.

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
    _log.info("laid out by principal components; pip install 'vggapps[atlas]' for umap, which groups more closely")
    return "pca"


def lay_out(vectors: Float[Tensor, "n c"], layout: str = "auto", seed: int = 0) -> Float[Tensor, "n 2"]:
    """A place in the unit square for each vector: those that point the same way lie together.

    ``umap`` (L. McInnes et al., arXiv 1802.03426; 50 neighbours, distance 0.05, cosine, as the atlas has it) needs the
    package umap-learn. Of each axis the middle 98 percent, a tenth wider, are taken; what lies beyond moves to the
    border. ``pca`` takes the two principal components of the vectors, scaled to length 1, and spreads each evenly by
    its ranks.

    Raises:
        SettingsError: see :func:`choose_layout`.
    """
    return _umap(vectors, seed) if choose_layout(layout, len(vectors)) == "umap" else _pca(vectors)


def grid_side(pictures: int) -> int:
    """Cells a side, so that of so many pictures four fall into a cell on average; ten at most."""
    return min(_MOST, max(1, round(math.sqrt(pictures / _IN_A_CELL))))


def cells(places: Float[Tensor, "n 2"], vectors: Float[Tensor, "n c"], grid: int, least: int = 2) -> list[Cell]:
    """The cells of a grid over the unit square that have pictures enough, row by row.

    Args:
        places: x from the left and y from the top, in [0, 1].
        vectors: the same pictures' activations.
        grid: cells a side.
        least: pictures that a cell has to have.

    Raises:
        SettingsError: no cell has so many.
    """
    if grid < 1:
        raise SettingsError(f"a grid of {grid} cells a side", "ask for at least one")
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
    """The one of a cell's pictures whose activations, less the mean of all, point most where the cell's do."""
    own = vectors[list(cell.members)] - vectors.mean(0)
    return cell.members[int(torch.cosine_similarity(own, cell.vector[None], dim=1).argmax())]


def _pca(vectors: Float[Tensor, "n c"]) -> Float[Tensor, "n 2"]:
    unit = F.normalize(vectors.double(), dim=1)
    centred = unit - unit.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    # An axis has no sign of its own: its largest number is taken as positive, so that it is the same everywhere.
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    ranks = (centred @ axes.T).argsort(dim=0, stable=True).argsort(dim=0)
    places: Tensor = ranks.float() / (len(vectors) - 1)
    return places


def _umap(vectors: Float[Tensor, "n c"], seed: int) -> Float[Tensor, "n 2"]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TensorFlow is not here, that there are few pictures
        from umap import UMAP  # type: ignore[import-not-found, import-untyped]

        neighbours = min(50, len(vectors) - 1)
        reducer = UMAP(n_neighbors=neighbours, min_dist=0.05, metric="cosine", random_state=seed, n_jobs=1)
        places = np.asarray(reducer.fit_transform(vectors.numpy()))
    low, high = np.percentile(places, [1, 99], axis=0)
    wider = 0.05 * (high - low)  # at either end
    low, high = low - wider, high + wider
    return torch.from_numpy(((places - low) / (high - low)).clip(0, 1)).float()
