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
from PIL import Image, ImageDraw

from vggapps.errors import SettingsError, VggappsError
from vggapps.features._files import FeatureTable
from vggapps.image import open_picture, to_pil
from vggapps.image._lettering import draw_text, shorten
from vggapps.image._opening import Source

_ROWS = 4096  # that are in memory at once
_EQUAL = 0.9999  # cosine of rows that differ by rounding at most
_CELL, _GAP, _TEXT = 192, 16, 13  # pixels of a sheet: a picture's side, between pictures, of letters
_PAPER, _FAINT, _FRAME = "#ffffff", "#777777", "#d9480f"


@dataclass(frozen=True)
class Match:
    """A picture and the cosine between its features and the query's, in [-1, 1]."""

    path: str
    similarity: float


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


def sheet(query: Source, matches: Sequence[Match], columns: int = 5) -> Image.Image:
    """A contact sheet: the query in a frame, then its matches row by row, with name and cosine below.

    Raises:
        PictureError: the query can't be read. A match that can't is an empty place.
    """
    columns = min(columns, len(matches) + 1)
    rows = -(-(len(matches) + 1) // columns)
    high = _CELL + 3 * _TEXT + _GAP
    image = Image.new("RGB", (_GAP + columns * (_CELL + _GAP), _GAP + rows * high), _PAPER)
    name = Path(query).name if isinstance(query, str | Path) else getattr(query, "name", "query")
    _place(image, (_GAP, _GAP), _thumbnail(query), name, "what was asked for", framed=True)
    for number, match in enumerate(matches, 1):
        row, column = divmod(number, columns)
        try:
            picture = _thumbnail(match.path)
        except VggappsError:
            picture = Image.new("RGB", (_CELL, _CELL), "#eeeeee")
        at = (_GAP + column * (_CELL + _GAP), _GAP + row * high)
        _place(image, at, picture, Path(match.path).name, f"{match.similarity:.3f}")
    return image


def _thumbnail(source: Source) -> Image.Image:
    """The square in the middle, as the network sees it, or nearly."""
    picture = to_pil(open_picture(source, at_least=2 * _CELL))
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    box = (left, top, left + side, top + side)
    return picture.resize((_CELL, _CELL), Image.Resampling.LANCZOS, box)


def _place(
    image: Image.Image, at: tuple[int, int], picture: Image.Image, name: str, below: str, *, framed: bool = False
) -> None:
    left, top = at
    if framed:
        frame = (left - 6, top - 6, left + _CELL + 5, top + _CELL + 5)
        ImageDraw.Draw(image).rectangle(frame, outline=_FRAME, width=4)
    image.paste(picture, at)
    line = top + _CELL + 8
    draw_text(image, (left, line), shorten(name, _TEXT, _CELL), _TEXT)
    draw_text(image, (left, line + _TEXT + 4), below, _TEXT, ink=_FRAME if framed else _FAINT)
