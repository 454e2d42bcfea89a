"""What rows of features are to be told as: classes from a table or from folders' names, or a teacher's logits."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.weights.labels import labels_of


def classes_of(paths: Sequence[str], table: str | Path | None = None) -> tuple[Int64[Tensor, " n"], tuple[str, ...]]:
    """A class for each picture, and the classes' names, sorted.

    Args:
        paths: of the pictures.
        table: a CSV file of two columns, file and class, with those names above or not; files are told by their
            path, or by their name alone. None: a picture's class is its folder's name.

    Raises:
        SettingsError: a table that can't be read or lacks a picture, or fewer than two classes.
    """
    if table is None:
        words = [Path(path).parent.name for path in paths]
    else:
        known = dict(_rows(Path(table)))
        words = []
        for path in paths:
            word = known.get(path, known.get(Path(path).name))
            if word is None:
                raise SettingsError(f"{table} has no class for {path}", "write a line file,class for each picture")
            words.append(word)
    names = tuple(sorted(set(words)))
    if len(names) < 2:
        where = table or "the folder's name"
        hint = "put each class into a folder of its own, or name a table with --labels"
        raise SettingsError(f"all pictures are of one class by {where}", hint)
    number = {name: index for index, name in enumerate(names)}
    return torch.tensor([number[word] for word in words]), names


def teacher_of(paths: Sequence[str], file: str | Path) -> tuple[Float[Tensor, "n classes"], tuple[str, ...]]:
    """A teacher's logits for each picture, and the names of its outputs.

    Args:
        paths: of the pictures.
        file: .npy, a row a picture in the pictures' order; or .npz with one array of two dimensions and perhaps
            ``paths``, by which rows are found, and ``labels``. Features of fc8 (``vggapps extract``) are such a file.

    Raises:
        SettingsError: it can't be read, or does not fit the pictures.
    """
    file = Path(file)
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
        arrays: dict[str, NDArray] = {"logits": found} if isinstance(found, np.ndarray) else dict(found)
    except (OSError, ValueError, EOFError):
        raise SettingsError(f"{file} can't be read as a teacher's outputs", "give a .npy or .npz file") from None
    tables = [array for array in arrays.values() if array.ndim == 2 and array.dtype.kind == "f"]
    if len(tables) != 1:
        raise SettingsError(f"{file} has not one array of logits", "give one array of floats, (pictures, classes)")
    logits = tables[0]
    if "paths" in arrays:
        row = {path: index for index, path in enumerate(arrays["paths"].tolist())}
        if lacking := next((path for path in paths if path not in row), None):
            raise SettingsError(f"{file} has no row for {lacking}", "let the teacher see the same pictures")
        logits = logits[[row[path] for path in paths]]
    if len(logits) != len(paths):
        raise SettingsError(f"{file} has {len(logits)} rows for {len(paths)} pictures", "give a row for each")
    count = logits.shape[1]
    labels = arrays["labels"].tolist() if "labels" in arrays else [label.name for label in labels_of((), count)]
    return torch.from_numpy(np.array(logits, np.float32)), tuple(labels)


def _rows(file: Path) -> Iterable[tuple[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{file} can't be read: {error}", "give a CSV file with lines file,class") from None
    if odd := next((row for row in rows if len(row) != 2), None):
        raise SettingsError(f"{file}: '{','.join(odd)}' is not file,class", "write two columns, quoted where needed")
    return [(name, word) for name, word in rows if (name, word) != ("file", "class")]
