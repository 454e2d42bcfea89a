"""Training targets of probes: classes from a table or folder names, or a teacher's logits."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from vggapps.datasets._dataset import beside, class_folders
from vggapps.datasets._label_tables import LabelTable, read_labels, rows_for
from vggapps.errors import SettingsError, argument
from vggapps.features._fitting import Index
from vggapps.weights._labels import labels_of


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes of pictures.

    Attributes:
        rows: indices of the pictures with a class, sorted.
        targets: their classes, indices of ``names``.
        names: of the classes, sorted.
        source: of the classes, for messages.
        notes: remarks about how they were found, one line each.
    """

    rows: Index
    targets: Int64[Tensor, " n"]
    names: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()


def classes_of(paths: Sequence[str], table: str | Path | None = None) -> Classes:
    """The class of each picture, from a table or from folder names.

    Args:
        paths: of the pictures.
        table: a CSV file with a row for each picture, see :func:`~vggapps.datasets.read_labels`. By default a picture's
            class is the folder below the common root; pictures in the root have none.

    Raises:
        PictureError: the table can't be read.
        SettingsError: the table is contradictory or lacks a picture, or there are fewer than two classes.
    """
    words, source, notes = _from_folders(paths) if table is None else _from_table(paths, read_labels(table))
    names = tuple(sorted({word for word in words if word is not None}))
    if len(names) < 2:
        problem = f"{source}: all pictures are of one class" if names else f"{source}: there is no class folder"
        raise SettingsError(
            problem, f"put each class into its own folder, or give {argument('table')}: lines of file and class"
        )
    number = {name: index for index, name in enumerate(names)}
    rows = np.flatnonzero([word is not None for word in words])
    targets = torch.tensor([number[word] for word in words if word is not None])
    return Classes(rows, targets, names, source, (*notes, *_spelling_notes(names)))


def teacher_of(paths: Sequence[str], file: str | Path) -> tuple[Float[Tensor, "n classes"], tuple[str, ...]]:
    """A teacher's logits for each picture, and the names of its outputs.

    Args:
        paths: of the pictures.
        file: .npy, one row per picture in the same order. A .json file beside it may contain ``paths``, to match rows,
            and ``labels``; ``vggapps extract`` of the layer fc8 writes both.

    Raises:
        SettingsError: the file can't be read, or does not fit the pictures.
    """
    file = Path(file)
    beside = file.with_suffix(".json")
    try:
        logits: NDArray = np.lib.format.open_memmap(file, mode="r")
        notes = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
    except (OSError, ValueError, EOFError):
        raise SettingsError(f"{file} can't be read as a teacher's outputs", "give a .npy file") from None
    if logits.ndim != 2 or logits.dtype.kind != "f":
        raise SettingsError(
            f"{file} is not an array of logits", "give one array of floats, (pictures, classes), as .npy"
        )
    if "paths" in notes:
        row = {path: index for index, path in enumerate(notes["paths"])}
        if len(row) < len(notes["paths"]):
            raise SettingsError(f"{file} has several rows of one picture", "give one row for each")
        if missing := next((path for path in paths if path not in row), None):
            raise SettingsError(f"{file} has no row for {missing}", "run the teacher on the same pictures")
        logits = logits[[row[path] for path in paths]]
    if len(logits) != len(paths):
        raise SettingsError(f"{file} has {len(logits)} rows for {len(paths)} pictures", "give a row for each")
    count = logits.shape[1]
    if count < 2:
        raise SettingsError(f"{file} has logits of one class", "a head needs at least two classes")
    labels = notes.get("labels") or [label.name for label in labels_of((), count)]
    return torch.from_numpy(np.array(logits, np.float32)), tuple(labels)


def _from_folders(paths: Sequence[str]) -> tuple[list[str | None], str, tuple[str, ...]]:
    """A class name for each picture, the source of the names, and notes."""
    places = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - links stay as they are
    root = Path(os.path.commonpath([place.parent for place in places]))
    words = class_folders(places, root)
    here = Path.cwd()
    source = f"folders of {root.relative_to(here) if root.is_relative_to(here) and root != here else root}"
    loose = words.count(None)
    return words, source, (beside(loose),) if loose else ()


def _from_table(paths: Sequence[str], table: LabelTable) -> tuple[list[str | None], str, tuple[str, ...]]:
    found = rows_for(table, paths)
    if missing := next((path for path in paths if path not in found), None):
        raise SettingsError(f"{table.source} has no class for {missing}", "write a line file,class for each picture")
    notes = table.notes
    if unused := len(table.rows) - len({row.line for row in found.values()}):
        notes = (*notes, f"{table.source}: {unused} of {len(table.rows)} rows are of pictures without features")
    return [found[path].word for path in paths], str(table.source), notes


def _spelling_notes(names: Sequence[str]) -> list[str]:
    """Notes on class names that differ in case or spaces only."""
    known: dict[str, str] = {}
    pairs = [(known.setdefault(" ".join(name.casefold().split()), name), name) for name in names]
    return [
        f"{first!r} and {second!r} differ only in spelling: they are two classes"
        for first, second in pairs
        if first != second
    ]
