"""Pictures whose classes are known: folders of classes, a table, or file names that carry a WordNet id.

The layouts are those of ImageNet's training pictures and of ``torchvision.datasets.ImageFolder`` (a folder a class),
of the common samples of ImageNet (``n01440764_10026.JPEG``, ``000_n01440764_1.jpg``), and a CSV file for all else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vggapps.datasets._label_tables import read_labels
from vggapps.errors import PictureError, SettingsError, argument
from vggapps.image import look_into
from vggapps.weights._labels import NUMBERS, Label, label_of_data

_WORDNET = re.compile(r"(?<![A-Za-z0-9])n[0-9]{8}(?![A-Za-z0-9])")
_VALIDATION = re.compile(r"ILSVRC2012_val_[0-9]{8}")
_VALIDATION_SIZE = 50_000
_WRITE_TABLE = "write a .csv file with the columns file,class and give that"


@dataclass(frozen=True)
class Example:
    """One picture of a data set.

    Attributes:
        path: the file, which may turn out to be missing or broken.
        index: its class: which output of the network should be the largest.
    """

    path: Path
    index: int


@dataclass(frozen=True)
class Entry:
    """One picture with its class as the data set names it.

    Attributes:
        path: the file.
        word: WordNet id, index or name of its class.
        where: what named the class, for messages.
    """

    path: Path
    word: str
    where: str


@dataclass(frozen=True)
class Listing:
    """What a data set says of itself, before it is known which classes the network has.

    Attributes:
        entries: its pictures, in a fixed order.
        notes: what people should know about how it was read, a line each.
        folders: the folder of the class folders, where these are what names the classes.
    """

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    folders: Path | None = None

    @property
    def is_validation_set(self) -> bool:
        """Whether these are the 50,000 validation pictures of ILSVRC-2012, going by their names."""
        names = {found[0] for e in self.entries if (found := _VALIDATION.match(e.path.name))}
        return len(names) == len(self.entries) == _VALIDATION_SIZE

    def examples(self, labels: Sequence[Label]) -> list[Example]:
        """The pictures with the outputs that stand for their classes.

        Raises:
            SettingsError: a class that the network doesn't know; says where it is named and which is nearest. Or
                folders named by number, and a network that does not say in which order it learnt them.
        """
        if self.folders and labels and not labels[0].named:
            _check_order(self.folders, {entry.word for entry in self.entries}, len(labels))
        known: dict[str, int] = {}
        for entry in self.entries:
            if entry.word not in known:
                try:
                    known[entry.word] = label_of_data(entry.word, labels).index
                except SettingsError as error:
                    raise error.about(entry.where) from None
        return [Example(entry.path, known[entry.word]) for entry in self.entries]


def find_examples(source: str | Path, labels: Sequence[Label]) -> list[Example]:
    """The pictures of a data set and their classes, see :func:`list_pictures`.

    Raises:
        PictureError: there is no such folder or file, or no picture in it.
        SettingsError: the layout isn't known, or a class isn't.
    """
    return list_pictures(source).examples(labels)


def list_pictures(source: str | Path) -> Listing:
    """The pictures of a data set, whichever of the layouts it has.

    Args:
        source: a folder with a folder of pictures for each class (named by WordNet id, class name or index; pictures
            in folders within count, too); a folder of pictures whose names hold a WordNet id; or a .csv file with a
            column ``file`` (relative to the table's folder) and a column ``class``.

    Raises:
        PictureError: there is no such folder or file, or no picture in it.
        SettingsError: the classes of the pictures aren't told in any of these ways.
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
    """For each picture the name of its class folder, the first one below the root; None for pictures in the root.

    Folders within a class folder (``church/2023/``) do not matter.

    Args:
        paths: of pictures in the root or below.
        root: the folder of the class folders.
    """
    below = [Path(path).relative_to(root).parts for path in paths]
    return [parts[0] if len(parts) > 1 else None for parts in below]


def _from_folders(source: Path) -> Listing | None:
    """One folder a class; None if no folder in it holds a picture."""
    found = look_into(source)
    pictures = sorted(found.pictures, key=lambda path: path.relative_to(source).parts)
    words = class_folders(pictures, source)
    entries = [
        Entry(path, word, f"class folder {source / word}") for path, word in zip(pictures, words, strict=True) if word
    ]
    if not entries:
        return None
    notes = [f"{path} is left out: {reason}" for path, reason in found.closed]
    if loose := words.count(None):
        notes.append(beside(loose))
    return Listing(tuple(entries), tuple(notes), source)


def _check_order(source: Path, words: set[str], outputs: int) -> None:
    """Folders 0 to 11 are in this order to people; torchvision's ``ImageFolder`` sorts text: 0, 1, 10, 11, 2."""
    if not all(word.isdecimal() for word in words):
        return
    trained = sorted(words) if len(words) == outputs else sorted(map(str, range(outputs)))
    # Numbers that are written with so many digits as the longest are in one order only, if a zero fills one of them.
    filled = len({len(word) for word in words}) == 1 and any(word[0] == "0" and word != "0" for word in words)
    if [int(word) for word in trained] == list(range(outputs)) or (filled and len(words) != outputs):
        return
    raise SettingsError(
        f"{source}: the class folders are numbers, and the network does not say which of its outputs each of them is",
        "if it was trained with torchvision's ImageFolder, which sorts 0, 1, 10, 11, 2, give the folder of training "
        f"pictures as {argument('classes')}; if the numbers are those of the outputs, {argument('classes', NUMBERS)}",
    )


def beside(loose: int) -> str:
    """The note on pictures that are in no class folder."""
    return f"{loose} pictures beside the class folders are left out: they belong to no class"


def _from_names(source: Path) -> Listing:
    """Pictures whose names hold exactly one WordNet id."""
    pictures = look_into(source, deep=False).pictures
    if not pictures:
        raise PictureError(
            f"{source}: there is no picture in this folder", "give a folder with a folder for each class"
        )
    ids = {path: set(_WORDNET.findall(path.stem)) for path in pictures}
    entries = [Entry(path, found.pop(), str(path)) for path, found in ids.items() if len(found) == 1]
    if not entries:
        if any(_VALIDATION.match(path.name) for path in pictures):
            problem = "the names of ILSVRC-2012's validation pictures hold no class"
        else:
            problem = "the names of the pictures hold no WordNet id, and there are no class folders"
        raise SettingsError(f"{source}: {problem}", _WRITE_TABLE)
    left = len(pictures) - len(entries)
    note = f"{left} pictures are left out: their names don't hold one WordNet id"
    return Listing(tuple(entries), (note,) if left else ())


def _from_table(source: Path) -> Listing:
    """A row a picture; what is in the other columns doesn't matter."""
    table = read_labels(source)
    entries = [
        Entry(source.parent / row.file, f"index:{row.word}" if table.by_index else row.word, table.where(row))
        for row in table.rows
    ]
    return Listing(tuple(entries), table.notes)
