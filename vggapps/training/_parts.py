"""The training and validation parts of data sets in files: folders ``train`` and ``val``, or a column ``split``."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vggapps.datasets._dataset import Entry, beside, list_pictures
from vggapps.datasets._label_tables import read_labels
from vggapps.errors import SettingsError
from vggapps.image import scan_folder
from vggapps.image._folders import is_hidden
from vggapps.training._members import Member

INDEX = "index:"  # prefix of the classes of a table's column `index`, see `list_pictures`
_TRAINING = "train"
_VALIDATION = ("val", "valid", "validation", "test")  # the first that exists is used
_MOST = 5  # names that a note lists


class Sample(NamedTuple):
    """One picture of a shard, its class, and the name of the sample."""

    path: Member
    word: str
    key: str

    @property
    def where(self) -> str:
        """Where the class is named."""
        return str(self.path)


@dataclass(frozen=True)
class Parts:
    """The pictures of a data set.

    Attributes:
        training: the pictures to learn from, or all pictures if the data set does not name the parts.
        validation: the others; None if it does not name the parts.
        notes: remarks about how they were listed, one line each.
    """

    training: tuple[Entry | Sample, ...]
    validation: tuple[Entry | Sample, ...] | None
    notes: tuple[str, ...]


def listed_parts(source: Path) -> Parts:
    """List the pictures of a folder or table, see :func:`~vggapps.training._pictures.read_training_data`.

    Raises:
        PictureError: no such folder or file, or no picture in it.
        SettingsError: an unknown layout, or an unknown word in the column ``split``.
    """
    if not source.is_dir():
        return _from_table(source)
    folders = {path.name.lower(): path for path in source.iterdir() if path.is_dir() and not is_hidden(path.name)}
    name = next((name for name in _VALIDATION if name in folders), None)
    if _TRAINING not in folders or name is None:
        entries, notes = _listed(source)
        return Parts(entries, None, notes)
    training, validation = folders.pop(_TRAINING), folders.pop(name)
    (first, notes), (second, more) = _listed(training), _listed(validation)
    left_out = [f"{path} is left out: {validation.name} is used for validation" for path in folders.values()]
    if loose := len(scan_folder(source, deep=False).pictures):
        left_out.append(beside(loose))
    return Parts(first, second, (*notes, *more, *left_out))


def names_in_a_note(names: Iterable[str]) -> str:
    """The first names, and the number of the others.

    >>> names_in_a_note("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    names = list(names)
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _listed(folder: Path) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The pictures of a folder, and notes about all that is left out."""
    listing = list_pictures(folder)
    notes = list(listing.notes)
    if listing.folders:
        used = {entry.word for entry in listing.entries}
        empty = sorted(p.name for p in folder.iterdir() if p.is_dir() and not is_hidden(p.name) and p.name not in used)
        if empty:
            notes.append(f"{folder}: class folders without a picture are left out: {names_in_a_note(empty)}")
    if others := scan_folder(folder, deep=listing.folders is not None).others:
        notes.append(f"{len(others)} files are left out: they are not pictures, for example {others[0]}")
    return listing.entries, tuple(notes)


def _from_table(source: Path) -> Parts:
    listing = list_pictures(source)
    column = _split_column(source)
    if not column:
        return Parts(listing.entries, None, listing.notes)
    parts: dict[str, list[Entry]] = {}
    table = read_labels(source)
    for row, entry in zip(table.rows, listing.entries, strict=True):
        word = column.get(row.line, "")
        if word not in (_TRAINING, *_VALIDATION):
            raise SettingsError(
                f"{table.where(row)}: its part is {word!r}", f"the column split holds {_TRAINING} or {_VALIDATION[0]}"
            )
        parts.setdefault(word, []).append(entry)
    training = tuple(parts.pop(_TRAINING, ()))
    name = next((name for name in _VALIDATION if name in parts), None)
    validation = tuple(parts.pop(name)) if name else None
    if not training:
        raise SettingsError(f"{source}: its column split names no picture for training", f"write {_TRAINING} for them")
    notes = [f"{len(rest)} pictures of the part {word} are left out: {name} is used" for word, rest in parts.items()]
    return Parts(training, validation, (*listing.notes, *notes))


def _split_column(source: Path) -> dict[int, str]:
    """The column ``split`` of a table that :func:`read_labels` reads, in lower case by line; empty if it has none."""
    with source.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.reader(stream, skipinitialspace=True)
        rows = [
            (reader.line_num, [field.strip().lower() for field in row]) for row in reader if any(map(str.strip, row))
        ]
    header = rows[0][1]
    if "split" not in header:
        return {}
    at = header.index("split")
    return {line: row[at] if at < len(row) else "" for line, row in rows[1:]}
