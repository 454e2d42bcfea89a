"""Feature extraction and similarity search in one call."""

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
from vggapps.features._describe import Chunk, describe, extract_chunks, scaled_side
from vggapps.features._files import FeatureTable, load_features
from vggapps.features._similar import Match, blocks_of, is_query, nearest, similar_sheet
from vggapps.image import Picture, Source, open_picture, scan_folder
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
    size: int | None = None,
    device: str = "auto",
    network: VGG | None = None,
    progress: bool = False,
) -> FeatureTable:
    """Extract features of pictures from one layer, as ``vggapps extract`` does.

    >>> vggapps.extract("photos/")                                                      # doctest: +SKIP
    <FeatureTable: 120 pictures x 512 numbers, pool5 (avg) of vgg19-installed at 224 px>

    All rows are in memory; :func:`extract_to` writes any number of pictures to a file.

    Args:
        pictures: a file, a folder (searched recursively), or several of these.
        layer: ``relu5_3``, ``pool5``, ``fc7``.
        pool: how a feature map becomes a row: ``avg``, ``max``, ``avg+max``, ``pyramid`` or ``none``.
        backbone: the network; ``auto`` is vgg19, which is installed.
        size: side of the center crop in pixels; by default that of the network's training, mostly 224.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        network: from :func:`load_network`, to reuse in many calls.
        progress: show a progress bar on stderr.

    Returns:
        The table; pictures that can't be read are logged and listed as ``failed``.

    Raises:
        PictureError: none of the pictures can be read.
        SettingsError: no such layer or pooling, or a size too small for the layer.
        WeightsError: the weights are not available.
    """
    paths = _files(pictures)
    network = load_network(backbone, layers=[layer], device=device) if network is None else network
    settings = describe(network, layer, pool, size)
    found = extract_chunks(paths, network, layer, pool, size=settings.size)
    chunks = list(_tracked(found, len(paths), progress=progress))
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
    """The most similar pictures, best first.

    Prints as lines of similarity and path, and as a table in a notebook; :meth:`sheet` shows the pictures.

    Attributes:
        query: the query picture.
        identity: which file it was.
        matches: the results.
        left_out: the query's own file, which is excluded from the matches; None if it is not among the pictures.
        errors: for pictures that can't be read.
    """

    query: Picture
    identity: Identity
    matches: tuple[Match, ...]
    left_out: str | None = None
    errors: tuple[VggappsError, ...] = ()

    def sheet(self) -> Picture:
        """A contact sheet of the query and the matches, with names and similarities."""
        return replace(similar_sheet(self.query, self.matches), name="similar pictures")

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.matches[index]

    def __len__(self) -> int:
        return len(self.matches)

    def __repr__(self) -> str:
        return "\n".join(map(str, self.matches))

    def _repr_html_(self) -> str:
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
    """Find the pictures most similar to a query, as ``vggapps similar`` does.

    >>> vggapps.similar("cat.jpg", "photos/", top=2)                                    # doctest: +SKIP
    0.8713  photos/kitten.jpg
    0.8402  photos/tiger.jpg

    Args:
        image: a file, :class:`~vggapps.image.Picture`, Pillow image, array or tensor. A file is not its own match.
        where: a folder (searched recursively), a table from :func:`extract`, or a file written by ``vggapps extract``.
        top: number of matches.
        layer: by default ``pool5``, or the table's.
        pool: how feature maps become rows; by default ``avg``, or the table's.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        progress: show a progress bar on stderr.

    Raises:
        PictureError: the picture can't be read, or there is no other.
        SettingsError: no such layer or pooling, or another than the table's.
        WeightsError: the weights are not available.
    """
    source, identity = identified(image)
    paths = [] if isinstance(where, FeatureTable) or not Path(where).is_dir() else _files(where)
    table = None if paths else where if isinstance(where, FeatureTable) else load_features(os.fspath(where))
    name = "the table" if isinstance(where, FeatureTable) else where
    if table:
        how = table.settings
        for field, word, known in (("layer", layer, how.layer), ("pool", pool, how.pool)):
            if word not in (None, known):
                raise SettingsError(f"{argument(field, word)}, and {name} has {known}", f"leave {argument(field)} out")
        network = load_network(f"{how.network}={how.weights}", layers=[how.layer], device=device, dtype=how.dtype)
    else:
        network = load_network(layers=[layer or "pool5"], device=device)
        how = describe(network, layer or "pool5", pool or "avg")
    at_least = max(512, 2 * scaled_side(network, how.size))  # enough for the sheet and the network
    picture = open_picture(source, at_least=at_least, name="query" if isinstance(image, bytes) else identity.name)
    (query,) = extract_chunks([picture], network, how.layer, how.pool, size=how.size)
    if query.errors:
        raise query.errors[0]
    errors: list[VggappsError] = []
    left_out: list[str] = []

    def blocks() -> Iterator[tuple[list[str], np.ndarray]]:
        chunks = extract_chunks(paths, network, how.layer, how.pool, size=how.size)
        for chunk in _tracked(chunks, len(paths), progress=progress):
            errors.extend(chunk.errors.values())
            yield [paths[index] for index in chunk.kept], chunk.rows

    def skip(match: Match) -> bool:
        is_itself = isinstance(image, str | os.PathLike) and is_query(os.fspath(image), match)
        if is_itself:
            left_out.append(match.path)
        return is_itself

    matches = nearest(query.rows[0], blocks_of(table) if table else blocks(), top, skip)
    if not matches:
        raise PictureError(f"{name}: there is no other picture in it", "give a folder or table with more pictures")
    return Matches(picture, identity, tuple(matches), left_out[0] if left_out else None, tuple(errors))


def _files(pictures: PathLike | Sequence[PathLike]) -> list[str]:
    """Expand folders to the pictures in them; each file once."""
    found: dict[str, None] = {}
    for one in [pictures] if isinstance(pictures, str | os.PathLike) else pictures:
        if not Path(one).is_dir():
            found[os.fspath(one)] = None
            continue
        folder = scan_folder(one)
        for path, reason in folder.unreadable:
            log.warning("%s: %s; its pictures are left out", path, reason)
        found |= dict.fromkeys(map(str, folder.pictures))
    if not found:
        raise PictureError(f"{pictures}: there is no picture in it", "give JPEG, PNG, WebP or TIFF files")
    return list(found)


def _tracked(chunks: Iterator[Chunk], total: int, *, progress: bool) -> Iterator[Chunk]:
    return tracked(chunks, "extracting", total, quiet=not progress, done=lambda chunk: chunk.stop)
