"""Features of pictures, and the pictures that are most alike, in one call."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vggapps._progress import tracked
from vggapps._tables import html_table
from vggapps.errors import PictureError, SettingsError, VggappsError, argument
from vggapps.features._describe import Chunk, describe, extract_chunks
from vggapps.features._files import FeatureTable, load_features
from vggapps.features._similar import Match, blocks_of, is_query, nearest, similar_sheet
from vggapps.image import Picture, Source, look_into, open_picture
from vggapps.image._identity import Identity, identified
from vggapps.vgg._network import VGG
from vggapps.weights._backbone import load_network

log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]


def extract(
    pictures: PathLike | Sequence[PathLike],
    layer: str = "pool5",
    pool: str = "avg",
    *,
    backbone: str = "auto",
    size: int = 224,
    device: str = "auto",
    network: VGG | None = None,
    progress: bool = False,
) -> FeatureTable:
    """Turn pictures into rows of numbers, the output of one layer for each, as ``vggapps extract`` does.

    >>> vggapps.extract("photos/")                                                      # doctest: +SKIP
    <FeatureTable: 120 pictures x 512 numbers, pool5 (avg) of vgg19-installed at 224 px>

    All rows are in memory; :func:`extract_to` writes those of any number of pictures to a file.

    Args:
        pictures: a file, a folder (with its subfolders), or several of these.
        layer: whose output: ``relu5_3``, ``pool5``, ``fc7``.
        pool: how a map becomes a row: ``avg``, ``max``, ``avg+max``, ``pyramid`` or ``none``.
        backbone: the network; ``auto`` is vgg19, which is installed.
        size: side in pixels of the square in the middle that the network sees.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        network: from :func:`load_network`, for many calls; loaded when it is not given.
        progress: show a progress bar on stderr.

    Returns:
        The table; ``failed`` are pictures that can't be read, which are logged.

    Raises:
        PictureError: none of the pictures can be read.
        SettingsError: no such layer or pooling, or a size that leaves nothing at the layer.
        WeightsError: the weights can't be had.
    """
    paths = _files(pictures)
    network = load_network(backbone, layers=[layer], device=device) if network is None else network
    settings = describe(network, layer, pool, size)
    chunks = list(_shown(extract_chunks(paths, network, layer, pool, size=size), len(paths), progress=progress))
    errors = {index: error for chunk in chunks for index, error in chunk.errors.items()}
    for error in errors.values():
        log.warning("%s", error)
    if len(errors) == len(paths):
        raise PictureError("none of these pictures can be read", "give JPEG, PNG, WebP or TIFF files")
    kept = tuple(paths[index] for chunk in chunks for index in chunk.kept)
    rows = np.concatenate([chunk.rows for chunk in chunks])
    return FeatureTable(kept, rows, settings, tuple(paths[index] for index in errors))


@dataclass(frozen=True, eq=False, repr=False)
class Matches(Sequence[Match]):
    """The pictures most like one, the most similar first.

    They print as a line each, similarity and path, and are a table in a notebook; :meth:`sheet` shows the pictures.

    Attributes:
        query: the picture that was asked for.
        identity: which file it was.
        matches: what was found.
        left_out: the query's own file among the pictures, which is no result; None if it is not there.
        errors: why some of the pictures can't be read.
    """

    query: Picture
    identity: Identity
    matches: tuple[Match, ...]
    left_out: str | None = None
    errors: tuple[VggappsError, ...] = ()

    def sheet(self) -> Picture:
        """A contact sheet: the query, then the matches with names and similarities."""
        return replace(similar_sheet(self.query, self.matches), name="similar pictures")

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.matches[index]

    def __len__(self) -> int:
        return len(self.matches)

    def __repr__(self) -> str:
        return "\n".join(map(str, self.matches))

    def _repr_html_(self) -> str:
        """A table in a notebook."""
        return html_table(("similarity", "picture"), [(f"{one.similarity:.4f}", one.path) for one in self.matches])


def similar(
    image: Source,
    where: PathLike | FeatureTable,
    top: int = 12,
    *,
    layer: str | None = None,
    pool: str | None = None,
    device: str = "auto",
    progress: bool = False,
) -> Matches:
    """Find the pictures that are most like one, as ``vggapps similar`` does.

    >>> vggapps.similar("cat.jpg", "photos/", top=2)                                    # doctest: +SKIP
    0.8713  photos/kitten.jpg
    0.8402  photos/tiger.jpg

    Args:
        image: a file, a :class:`~vggapps.image.Picture`, Pillow's, an array or a tensor. A file is not its own match.
        where: a folder (with its subfolders), or features: a table from :func:`extract`, or a file that
            ``vggapps extract`` wrote.
        top: how many.
        layer: whose output is compared; by default ``pool5``, or the table's.
        pool: how maps become rows; by default ``avg``, or the table's.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        progress: show a progress bar on stderr.

    Raises:
        PictureError: the picture can't be read, or there is no other.
        SettingsError: no such layer or pooling, or not the table's.
        WeightsError: the weights can't be had.
    """
    source, identity = identified(image)
    paths = [] if isinstance(where, FeatureTable) or not Path(where).is_dir() else _files(where)
    table = None if paths else where if isinstance(where, FeatureTable) else load_features(os.fspath(where))
    if table:
        made = table.settings
        name = "the table" if isinstance(where, FeatureTable) else where
        for field, word, own in (("layer", layer, made.layer), ("pool", pool, made.pool)):
            if word not in (None, own):
                raise SettingsError(f"{argument(field, word)}, and {name} has {own}", f"leave {argument(field)} out")
        network = load_network(f"{made.network}={made.weights}", layers=[made.layer], device=device, dtype=made.dtype)
    else:
        network = load_network(layers=[layer or "pool5"], device=device)
        made = describe(network, layer or "pool5", pool or "avg")
    # As large as the network and the sheet look at it.
    at_least = max(512, 2 * round(made.size * 256 / 224))
    sought = open_picture(source, at_least=at_least, name="query" if isinstance(image, bytes) else identity.name)
    (query,) = extract_chunks([sought], network, made.layer, made.pool, size=made.size)
    if query.errors:
        raise query.errors[0]
    errors: list[VggappsError] = []
    left_out: list[str] = []

    def looked_at() -> Iterator[tuple[list[str], np.ndarray]]:
        chunks = extract_chunks(paths, network, made.layer, made.pool, size=made.size)
        for chunk in _shown(chunks, len(paths), progress=progress):
            errors.extend(chunk.errors.values())
            yield [paths[index] for index in chunk.kept], chunk.rows

    def skip(match: Match) -> bool:
        is_itself = isinstance(image, str | os.PathLike) and is_query(os.fspath(image), match)
        if is_itself:
            left_out.append(match.path)
        return is_itself

    matches = nearest(query.rows[0], blocks_of(table) if table else looked_at(), top, skip)
    if not matches:
        where = "the table" if isinstance(where, FeatureTable) else where
        raise PictureError(f"{where}: there is no other picture in it", "name a folder or table with more pictures")
    return Matches(sought, identity, tuple(matches), left_out[0] if left_out else None, tuple(errors))


def _files(pictures: PathLike | Sequence[PathLike]) -> list[str]:
    """The files meant, each once; a folder stands for the pictures in it.

    Raises:
        PictureError: there is no picture.
    """
    found: dict[str, None] = {}
    for one in [pictures] if isinstance(pictures, str | os.PathLike) else pictures:
        if not Path(one).is_dir():
            found[os.fspath(one)] = None
            continue
        folder = look_into(one)
        for path, reason in folder.closed:
            log.warning("%s: %s; its pictures are left out", path, reason)
        found |= dict.fromkeys(map(str, folder.pictures))
    if not found:
        raise PictureError(f"{pictures}: there is no picture in it", "give JPEG, PNG, WebP or TIFF files")
    return list(found)


def _shown(chunks: Iterator[Chunk], total: int, *, progress: bool) -> Iterator[Chunk]:
    return tracked(chunks, "extracting", total, quiet=not progress, done=lambda chunk: chunk.stop)
