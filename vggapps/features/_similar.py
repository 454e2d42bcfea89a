"""The pictures that are most like one, and a sheet that shows them."""

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
from vggapps.image import Picture, from_pil, on_white, open_picture, square
from vggapps.image._lettering import one_line
from vggapps.image._opening import Source

_ROWS = 4096  # that are in memory at once
_EQUAL = 0.9999  # cosine of rows that differ by rounding at most
_CELL = 192  # pixels of a picture's side on a sheet


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
    """The pictures whose features have the largest cosine with the query's, the most similar first.

    Args:
        query: (d,).
        blocks: paths of pictures and their rows, (n, d); one block after another is looked at.
        count: how many at most.
        skip: whether a picture is left out; asked only of those that would be among the first.

    Raises:
        SettingsError: the query has not d numbers.
    """
    wanted = F.normalize(torch.from_numpy(np.array(query)).double(), dim=0)
    best: list[Match] = []
    for paths, rows in blocks:
        if query.shape != rows.shape[1:]:
            words = f"the query has {query.shape[0]} numbers and the others {rows.shape[1]}"
            raise SettingsError(words, "take both from the same layer, pooled alike")
        cosines = (F.normalize(torch.from_numpy(np.array(rows)).double()) @ wanted).clamp(-1, 1).tolist()
        found = [Match(path, cosine) for path, cosine in zip(paths, cosines, strict=True)]
        found.sort(key=lambda match: -match.similarity)
        others = islice((match for match in found if not skip(match)), count)
        best = heapq.nlargest(count, [*best, *others], key=lambda match: match.similarity)
    return best


def is_query(query: str | Path, match: Match) -> bool:
    """Whether a match is the very file that was asked for; a copy of it is another file.

    A table may have been made in another folder, and then its relative paths lead nowhere from here. Such a path is the
    query's if the query's ends with it and the features are equal, too.
    """
    try:
        return Path(query).samefile(match.path)
    except OSError:
        own, other = (Path(os.path.normpath(path)).parts for path in (Path(query).absolute(), match.path))
        return own[-len(other) :] == other and match.similarity > _EQUAL


def blocks_of(table: FeatureTable) -> Iterator[tuple[Sequence[str], NDArray[np.float32]]]:
    """A table, some thousand rows at a time."""
    for start in range(0, len(table.paths), _ROWS):
        part = slice(start, start + _ROWS)
        yield table.paths[part], table.features[part]


def similar_sheet(query: Source, matches: Sequence[Match], columns: int = 5) -> Picture:
    """A contact sheet: the query, then its matches row by row, with name and cosine below.

    Raises:
        PictureError: the query can't be read. A match that can't is an empty place.
    """
    name = one_line(Path(query).name) if isinstance(query, str | Path) else getattr(query, "name", "query")
    tiles = [_thumbnail(query), *(_thumbnail(match.path, missing=True) for match in matches)]
    labels = [f"{name}\nwhat was asked for", *(f"{one_line(Path(m.path).name)}\n{m.similarity:.3f}" for m in matches)]
    return contact_sheet(tiles, labels, min(columns, len(tiles)), largest=_CELL)


def _thumbnail(source: Source, *, missing: bool = False) -> Tensor | None:
    """The square in the middle, as the network sees it, or nearly; None for one that can't be read, where allowed."""
    try:
        return square(from_pil(on_white(open_picture(source, at_least=2 * _CELL))).rgb, _CELL)
    except VggappsError:
        if missing:
            return None
        raise
