"""CSV tables of pictures and their classes, one file and class per row."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from vggapps.errors import PictureError, SettingsError

FILE_COLUMNS = ("file", "path", "filename", "image")
# The WordNet id comes first because it is unambiguous; a number may follow another order than the network's outputs.
CLASS_COLUMNS = ("wnid", "class", "label", "index")


@dataclass(frozen=True)
class Row:
    """One row of a table: file and class as written, stripped, and the line number, from 1."""

    file: str
    word: str
    line: int


@dataclass(frozen=True)
class LabelTable:
    """The rows of a table, each picture once.

    Attributes:
        source: the file; paths are relative to its folder.
        rows: in the table's order.
        notes: remarks about how the table was read, one line each.
        by_index: whether the class column is called ``index`` and holds output indices.
    """

    source: Path
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    by_index: bool = False

    def where(self, row: Row) -> str:
        """File and line of a row, for messages."""
        return f"{self.source}, line {row.line}"


def read_labels(source: str | Path) -> LabelTable:
    """Read a table of pictures and their classes.

    The header names the columns: one of ``file``, ``path``, ``filename``, ``image`` and one of ``wnid``, ``class``,
    ``label``, ``index``, in any case and order; others are ignored. Without a header there must be two columns, file
    and class. Surrounding whitespace is removed.

    Raises:
        PictureError: the table can't be read, or lists no picture.
        SettingsError: other columns, an empty field, or two classes for one picture.
    """
    source = Path(source)
    try:
        # utf-8-sig: spreadsheets write a byte order mark before the first column's name.
        with source.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, skipinitialspace=True)  # else a quote after a space would be literal
            lines = [
                (reader.line_num, [field.strip() for field in fields])
                for fields in reader
                if any(map(str.strip, fields))
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PictureError(f"{source}: it can't be read: {error}", "save it as CSV, comma-separated, UTF-8") from None
    first = lines[0][1] if lines else []
    file, word = _column(first, FILE_COLUMNS), _column(first, CLASS_COLUMNS)
    by_index = word is not None and first[word].casefold() == "index"
    if file is not None and word is not None:
        lines = lines[1:]
    elif file is None and word is None and len(first) == 2:
        file, word = 0, 1
    else:
        raise SettingsError(
            f"{source}: its first line names the columns {', '.join(first) or '(none)'}",
            f"it must have one of {', '.join(FILE_COLUMNS)} and one of {', '.join(CLASS_COLUMNS)}",
        )
    rows = []
    for line, fields in lines:
        if any(fields[len(first) :]):
            problem = f"{source}, line {line}: it has {len(fields)} fields, and the first line {len(first)}"
            raise SettingsError(problem, 'quote fields that contain a comma: "a, b.jpg",cat')
        name, class_ = (fields[at] if at < len(fields) else "" for at in (file, word))
        row = Row(name, class_, line)
        if not (row.file and row.word):
            problem = f"{source}, line {line}: it names no {'class' if row.file else 'file'}"
            raise SettingsError(problem, "fill it or remove it")
        rows.append(row)
    if not rows:
        raise PictureError(f"{source}: it lists no picture", "add a line for each picture: file,class")
    return replace(_each_once(source, rows), by_index=by_index)


def rows_for(table: LabelTable, pictures: Sequence[str]) -> dict[str, Row]:
    """Match pictures to rows; pictures without a row are left out.

    A row's file is looked up relative to the table's folder, then relative to the current folder. Otherwise it matches
    a picture whose path ends with it (``1.jpg``, ``cats/1.jpg``); the longest such match wins. A row that matches
    several pictures is an error.
    """
    places = {picture: _place("", picture) for picture in pictures}
    found: dict[str, Row] = {}
    for folder in (table.source.parent, ""):
        taken = {row.line for row in found.values()}
        at = {_place(folder, row.file): row for row in table.rows if row.line not in taken}
        found |= {picture: at[place] for picture, place in places.items() if picture not in found and place in at}
    taken = {row.line for row in found.values()}
    ends = {PurePath(os.path.normpath(row.file)).parts: row for row in table.rows if row.line not in taken}
    meant: dict[int, str] = {}
    for picture, place in places.items():
        if picture in found:
            continue
        parts = PurePath(place).parts
        row = next((ends[parts[i:]] for i in range(len(parts)) if parts[i:] in ends), None)
        if row is None:
            continue
        other = meant.setdefault(row.line, picture)
        if places[other] != place:
            raise SettingsError(
                f"{table.where(row)}: {row.file} may be {other} or {picture}",
                f"write the paths of both, relative to {table.source.parent}/",
            )
        found[picture] = row
    return found


def _each_once(source: Path, rows: Sequence[Row]) -> LabelTable:
    """Reject a picture with two classes; drop repeated rows, with a note."""
    known: dict[str, Row] = {}
    repeated: list[tuple[Row, Row]] = []
    for row in rows:
        first = known.setdefault(_place(source.parent, row.file), row)
        if first.word != row.word:
            raise SettingsError(
                f"{source}, lines {first.line} and {row.line}: {row.file} is {first.word} and {row.word}",
                "a picture has one class: correct or remove one of the lines",
            )
        if first is not row:
            repeated.append((first, row))
    notes = []
    if repeated:
        first, again = repeated[0]
        count = f"{len(repeated)} rows repeat" if len(repeated) > 1 else "1 row repeats"
        notes.append(
            f"{source}: {count} another, such as line {again.line} line {first.line}: each picture counts once"
        )
    return LabelTable(source, tuple(known.values()), tuple(notes))


def _place(folder: str | Path, file: str) -> str:
    """The absolute path, links not resolved; the picture need not exist."""
    return os.path.abspath(os.path.join(folder, file))  # noqa: PTH100, PTH118 - "" is the current folder


def _column(header: Sequence[str], candidates: Sequence[str]) -> int | None:
    """Index of the first candidate in the header, ignoring case."""
    names = [name.casefold() for name in header]
    return next((names.index(name) for name in candidates if name in names), None)
