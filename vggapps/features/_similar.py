"""Similarity search by cosine, and a sheet of the results."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vggapps.errors import SettingsError, VggappsError
from vggapps.features._files import FeatureTable
from vggapps.figures._sheet import contact_sheet
from vggapps.image import Picture, on_white, open_picture, square
from vggapps.image._lettering import one_line
from vggapps.image._opening import Source

_ROWS = 4096  # rows in memory at once
_EQUAL = 0.9999  # cosine above which rows differ by rounding only
_CELL = 192  # side of a picture on the sheet in pixels


@dataclass(frozen=True)
class Match:
    """A picture and the cosine between its features and the query's, in [-1, 1]."""

    path: str
    similarity: float

    def __str__(self) -> str:
        return f"{self.similarity:.4f}  {self.path}"


def nearest(
    query: NDArray[np.float32],
    blocks: Iterable[tuple[Sequence[str], NDArray[np.float32]]],
    count: int = 12,
    skip: Callable[[Match], bool] = lambda _: False,
) -> list[Match]:
    """The pictures with the largest cosine between their features and the query, the most similar first.

    Args:
        query: (d,).
        blocks: paths of pictures and their rows, (n, d); processed one at a time.
        count: largest number of matches.
        skip: whether to leave a match out; called only for candidates.

    Raises:
        SettingsError: the query does not have d numbers.
    """
    unit = F.normalize(torch.from_numpy(np.array(query)).double(), dim=0)
    best: list[Match] = []
    for paths, rows in blocks:
        if query.shape != rows.shape[1:]:
            words = f"the query has {query.shape[0]} numbers and the others {rows.shape[1]}"
            raise SettingsError(words, "use the same layer and pooling for both")
        cosines = (F.normalize(torch.from_numpy(np.array(rows)).double()) @ unit).clamp(-1, 1).tolist()
        found = [Match(path, cosine) for path, cosine in zip(paths, cosines, strict=True)]
        found.sort(key=lambda match: -match.similarity)
        others = islice((match for match in found if not skip(match)), count)
        best = heapq.nlargest(count, [*best, *others], key=lambda match: match.similarity)
    return best


def is_query(query: str | Path, match: Match) -> bool:
    """Whether a match is the query's own file, not a copy of it.

    Relative paths of a table made in another folder can't be resolved here; such a path is the query's if the query's
    path ends with it and the features are equal.
    """
    try:
        return Path(query).samefile(match.path)
    except OSError:
        path, other = (Path(os.path.normpath(path)).parts for path in (Path(query).absolute(), match.path))
        return path[-len(other) :] == other and match.similarity > _EQUAL


def blocks_of(table: FeatureTable) -> Iterator[tuple[Sequence[str], NDArray[np.float32]]]:
    for start in range(0, len(table.paths), _ROWS):
        part = slice(start, start + _ROWS)
        yield table.paths[part], table.features[part]


def similar_sheet(query: Source, matches: Sequence[Match], columns: int = 5) -> Picture:
    """A contact sheet of the query and its matches, with names and cosines.

    Raises:
        PictureError: the query can't be read. A match that can't be read leaves an empty cell.
    """
    name = one_line(Path(query).name) if isinstance(query, str | Path) else getattr(query, "name", "query")
    tiles = [_thumbnail(query), *(_thumbnail(match.path, missing=True) for match in matches)]
    labels = [f"{name}\nquery", *(f"{one_line(Path(m.path).name)}\n{m.similarity:.3f}" for m in matches)]
    return contact_sheet(tiles, labels, min(columns, len(tiles)), largest=_CELL)


def _thumbnail(source: Source, *, missing: bool = False) -> Tensor | None:
    """The center square; None if ``missing`` is allowed and the picture can't be read."""
    try:
        return square(open_picture(on_white(open_picture(source, at_least=2 * _CELL))).rgb, _CELL)
    except VggappsError:
        if missing:
            return None
        raise
