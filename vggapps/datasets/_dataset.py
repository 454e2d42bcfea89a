"""Labelled pictures: a folder per class, a CSV table, or file names that contain a WordNet id.

Supported layouts: one folder per class, as in ImageNet's training set and ``torchvision.datasets.ImageFolder``; file
names with a WordNet id, as in common ImageNet samples (``n01440764_10026.JPEG``, ``000_n01440764_1.jpg``); and CSV.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vggapps.datasets._label_tables import read_labels
from vggapps.errors import PictureError, SettingsError, argument
from vggapps.image import scan_folder
from vggapps.weights._labels import NUMBERS, Label, find_data_label

_WORDNET = re.compile(r"(?<![A-Za-z0-9])n[0-9]{8}(?![A-Za-z0-9])")
_VALIDATION = re.compile(r"ILSVRC2012_val_[0-9]{8}")
_VALIDATION_SIZE = 50_000
_WRITE_TABLE = "write a .csv file with the columns file,class and give that"


@dataclass(frozen=True)
class Example:
    """One picture of a data set.

    Attributes:
        path: the file; it may be missing or damaged.
        index: its class, an index of the network's outputs.
    """

    path: Path
    index: int


@dataclass(frozen=True)
class Entry:
    """One picture, its class as the data set names it (WordNet id, index or name), and where it is named."""

    path: Path
    word: str
    where: str


@dataclass(frozen=True)
class Listing:
    """A data set's pictures and class names, not yet matched to the outputs of a network.

    Attributes:
        entries: the pictures, in a fixed order.
        notes: remarks about how the data set was read, one line each.
        folders: the folder that contains the class folders, if folders name the classes.
    """

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    folders: Path | None = None

    @property
    def is_validation_set(self) -> bool:
        """Whether these are the 50,000 validation pictures of ILSVRC-2012, judged by file names."""
        names = {found[0] for e in self.entries if (found := _VALIDATION.match(e.path.name))}
        return len(names) == len(self.entries) == _VALIDATION_SIZE

    def examples(self, labels: Sequence[Label]) -> list[Example]:
        """Match the classes to the outputs of a network.

        Raises:
            SettingsError: the network has no such class (the message says where it is named and the closest match),
                or the folders are numbers and the network does not record their order.
        """
        if self.folders and labels and not labels[0].named:
            _check_order(self.folders, {entry.word for entry in self.entries}, len(labels))
        known: dict[str, int] = {}
        for entry in self.entries:
            if entry.word not in known:
                try:
                    known[entry.word] = find_data_label(entry.word, labels).index
                except SettingsError as error:
                    raise error.about(entry.where) from None
        return [Example(entry.path, known[entry.word]) for entry in self.entries]


def list_pictures(source: str | Path) -> Listing:
    """List the pictures of a data set in any of the supported layouts.

    Args:
        source: a folder with one folder per class (named by WordNet id, class name or index, searched recursively); a
            folder of pictures with a WordNet id in each file name; or a .csv file with a column ``file`` (relative to
            the table's folder) and a column ``class``.

    Raises:
        PictureError: no such folder or file, or no picture in it.
        SettingsError: none of these layouts.
    """
    source = Path(source)
    if source.is_dir():
        return _from_folders(source) or _from_names(source)
    if not source.exists():
        raise PictureError(f"{source}: there is no such folder or file", "give a folder of pictures or a .csv file")
    if source.suffix.lower() != ".csv":
        raise SettingsError(f"{source} is neither a folder nor a .csv file", _WRITE_TABLE)
    return _from_table(source)


def class_folders(paths: Sequence[str | Path], root: str | Path) -> list[str | None]:
    """The class folder of each picture: the first folder below the root; None for pictures directly in the root."""
    below = [Path(path).relative_to(root).parts for path in paths]
    return [parts[0] if len(parts) > 1 else None for parts in below]


def _from_folders(source: Path) -> Listing | None:
    """One folder per class; None if no subfolder contains a picture."""
    found = scan_folder(source)
    pictures = sorted(found.pictures, key=lambda path: path.relative_to(source).parts)
    words = class_folders(pictures, source)
    entries = [
        Entry(path, word, f"class folder {source / word}") for path, word in zip(pictures, words, strict=True) if word
    ]
    if not entries:
        return None
    notes = [f"{path} is left out: {reason}" for path, reason in found.unreadable]
    if loose := words.count(None):
        notes.append(beside(loose))
    return Listing(tuple(entries), tuple(notes), source)


def _check_order(source: Path, words: set[str], outputs: int) -> None:
    """Reject numbered folders with an ambiguous order: torchvision's ``ImageFolder`` sorts them as 0, 1, 10, 11, 2."""
    if not all(word.isdecimal() for word in words):
        return
    trained = sorted(words) if len(words) == outputs else sorted(map(str, range(outputs)))
    # Zero-padded numbers of equal length sort alike as text and as numbers.
    filled = len({len(word) for word in words}) == 1 and any(word[0] == "0" and word != "0" for word in words)
    if [int(word) for word in trained] == list(range(outputs)) or (filled and len(words) != outputs):
        return
    raise SettingsError(
        f"{source}: the class folders are numbers, and the network does not record which output each one is",
        "if it was trained with torchvision's ImageFolder, which sorts 0, 1, 10, 11, 2, give the folder of training "
        f"pictures as {argument('classes')}; if the numbers are those of the outputs, {argument('classes', NUMBERS)}",
    )


def beside(loose: int) -> str:
    """The note about pictures outside class folders."""
    return f"{loose} pictures beside the class folders are left out: they belong to no class"


def _from_names(source: Path) -> Listing:
    """Pictures with exactly one WordNet id in the file name."""
    pictures = scan_folder(source, deep=False).pictures
    if not pictures:
        raise PictureError(f"{source}: there is no picture in this folder", "give a folder with one folder per class")
    ids = {path: set(_WORDNET.findall(path.stem)) for path in pictures}
    entries = [Entry(path, found.pop(), str(path)) for path, found in ids.items() if len(found) == 1]
    if not entries:
        if any(_VALIDATION.match(path.name) for path in pictures):
            problem = "the names of ILSVRC-2012's validation pictures hold no class"
        else:
            problem = "the names of the pictures hold no WordNet id, and there are no class folders"
        raise SettingsError(f"{source}: {problem}", _WRITE_TABLE)
    left = len(pictures) - len(entries)
    note = f"{left} pictures are left out: their names don't contain exactly one WordNet id"
    return Listing(tuple(entries), (note,) if left else ())


def _from_table(source: Path) -> Listing:
    table = read_labels(source)
    entries = [
        Entry(source.parent / row.file, f"index:{row.word}" if table.by_index else row.word, table.where(row))
        for row in table.rows
    ]
    return Listing(tuple(entries), table.notes)
