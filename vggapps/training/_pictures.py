"""Training data: labelled pictures of a folder, a table, shards or torchvision, in two parts."""

from __future__ import annotations

import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from vggapps.datasets._dataset import Entry
from vggapps.errors import PictureError, SettingsError, VggappsError, unknown
from vggapps.training._holdout import copies, held_out
from vggapps.training._members import Member
from vggapps.training._parts import INDEX, Sample, listed_parts, names_in_a_note
from vggapps.training._reading import read_rgb
from vggapps.training._shards import shard_parts
from vggapps.training._torchvision import torchvision_parts

TORCHVISION = "torchvision:"
_SAMPLE = 16  # pictures that are read to learn their size and whether they are grey
_GREY = 4  # levels of 255 by which the channels of grey pictures may differ
_UNBALANCED = 3  # ratio of the largest to the smallest class that is noted
_SPLIT_IT = "give a folder with the folders train and val, or at least two pictures of a class"


@dataclass(frozen=True)
class Files:
    """Opens picture files: ``files(index)`` is an RGB image.

    Attributes:
        paths: of the files, or members of shards.
        side: lower bound in pixels of the shorter side to which large pictures may be scaled down; None: not at all.
    """

    paths: tuple[str | Member, ...]
    side: int | None = None

    def __call__(self, index: int) -> Image.Image:
        return read_rgb(self.paths[index], self.side)


@dataclass(frozen=True)
class Pictures:
    """One part of a data set.

    Attributes:
        names: of the pictures, for messages: a path, ``train-000.tar/0001.jpg`` or ``FashionMNIST train 17``.
        targets: the class of each, an index.
        open: opens one by its index, as an 8-bit RGB image; can be pickled. Raises VggappsError if it can't be read.
    """

    names: tuple[str, ...]
    targets: tuple[int, ...]
    open: Callable[[int], Image.Image]

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, indices: Iterable[int]) -> Pictures:
        """The pictures with these indices, in this order."""
        kept = tuple(indices)
        names, targets = tuple(self.names[i] for i in kept), tuple(self.targets[i] for i in kept)
        if isinstance(self.open, Files):
            return Pictures(names, targets, replace(self.open, paths=tuple(self.open.paths[i] for i in kept)))
        return Pictures(names, targets, partial(_open_one_of, self.open, kept))

    def at_least(self, side: int) -> Pictures:
        """The same pictures, read faster: large files may be scaled down to any size with at least this shorter side.

        Pictures in memory keep their size.
        """
        return replace(self, open=replace(self.open, side=side)) if isinstance(self.open, Files) else self


@dataclass(frozen=True)
class TrainingData:
    """A data set for training.

    Attributes:
        classes: names, in the order of the targets.
        training: the pictures to learn from.
        validation: the pictures to measure accuracy on.
        notes: remarks for the user, one line each.
        is_grey: whether the pictures are grey, judged by a sample.
        side: median shorter side of a sample, in pixels.
    """

    classes: tuple[str, ...]
    training: Pictures
    validation: Pictures
    notes: tuple[str, ...]
    is_grey: bool
    side: int

    @property
    def is_uneven(self) -> bool:
        """Whether the largest class has more than 3 times as many training pictures as the smallest."""
        counts = Counter(self.training.targets).values()
        return max(counts) > _UNBALANCED * min(counts)


def read_training_data(source: str, *, validation: float = 0.2) -> TrainingData:
    """List the pictures of a data set and check it before the training starts.

    Files with the same bytes are never in both parts.

    Args:
        source: a folder that contains the folders ``train`` and ``val`` (or ``valid``, ``validation``, ``test``); or a
            single folder or table, see :func:`~vggapps.datasets.list_pictures`, where a table may have a column
            ``split`` with ``train`` and ``val``; or ``torchvision:NAME=FOLDER``, a data set of torchvision that is in
            this folder, by default the current one; or shards in the WebDataset format: a .tar file, several in brace
            notation, ``train-{000..099}.tar``, or a folder of them, where ``train`` and ``val`` (or ``test``) in their
            names or those of their folders are the parts.
        validation: the share of each class that is held out if the source does not name the parts, in (0, 1). It
            depends on the names of the files or samples and stays the same when others are added.

    Raises:
        PictureError: there is no such source, a shard is damaged, or no picture of a sample can be read.
        SettingsError: an unknown layout, fewer than two classes, or no picture for validation.
    """
    if source.startswith(TORCHVISION):
        name, _, folder = source.removeprefix(TORCHVISION).partition("=")
        return _from_torchvision(name, Path(folder or "."), validation)
    parts = shard_parts(source) or listed_parts(Path(source))
    words = _in_order({entry.word for entry in parts.training})
    classes, number = tuple(word.removeprefix(INDEX) for word in words), {word: i for i, word in enumerate(words)}
    for entry in parts.validation or ():
        if entry.word not in number:
            raise unknown("class", entry.word.removeprefix(INDEX), classes).about(entry.where)
    entries = (*parts.training, *(parts.validation or ()))
    paths = tuple(entry.path if isinstance(entry, Sample) else str(entry.path) for entry in entries)
    targets = tuple(number[entry.word] for entry in entries)
    pictures, notes = Pictures(tuple(map(str, paths)), targets, Files(paths)), list(parts.notes)
    groups = copies([entry.path for entry in entries])
    if groups is None:
        groups = list(range(len(entries)))
        notes.append(f"{len(entries)} pictures are too many to look for copies")
    if parts.validation is None:
        root = source if Path(source).is_dir() else Path(source).parent
        names = [e.key if isinstance(e, Sample) else Path(os.path.relpath(e.path, root)).as_posix() for e in entries]
        trained, tested = _divided(pictures, held_out(names, targets, groups, validation))
    else:
        count = len(parts.training)
        known = set(groups[:count])
        new = [index for index in range(count, len(entries)) if groups[index] not in known]
        trained, tested = pictures.subset(range(count)), pictures.subset(new)
        if doubles := len(parts.validation) - len(new):
            notes.append(f"{doubles} pictures for validation are copies of training pictures and left out")
    notes += _notes_on_labels(entries, groups)
    return _checked(source, classes, trained, tested, notes)


def _from_torchvision(name: str, folder: Path, share: float) -> TrainingData:
    classes, training, validation = torchvision_parts(name, folder)
    first = Pictures(training.names, training.targets, training.items)
    if validation is not None:
        second = Pictures(validation.names, validation.targets, validation.items)
        return _checked(name, classes, first, second, [])
    is_held = held_out(first.names, first.targets, range(len(first)), share)
    return _checked(name, classes, *_divided(first, is_held), [])


def _divided(pictures: Pictures, is_held: Sequence[bool]) -> tuple[Pictures, Pictures]:
    """The pictures for training and those that are held out."""
    indices = range(len(pictures))
    return pictures.subset(i for i in indices if not is_held[i]), pictures.subset(i for i in indices if is_held[i])


def _in_order(words: set[str]) -> list[str]:
    """Classes in the order of the outputs: alphabetical, as torchvision's ImageFolder; those of ``index`` by number."""
    numbers = {word: word.removeprefix(INDEX) for word in words}
    if all(word.startswith(INDEX) and number.isdecimal() for word, number in numbers.items()):
        return sorted(words, key=lambda word: int(numbers[word]))
    return sorted(words)


def _notes_on_labels(entries: Sequence[Entry | Sample], groups: Sequence[Hashable]) -> list[str]:
    """A note on copies with different classes."""
    words: dict[Hashable, set[str]] = defaultdict(set)
    for entry, group in zip(entries, groups, strict=True):
        words[group].add(entry.word)
    unclear = [entry.path for entry, group in zip(entries, groups, strict=True) if len(words[group]) > 1]
    return [f"{len(unclear)} pictures have copies in another class, for example {unclear[0]}"] if unclear else []


def _checked(
    source: str, classes: tuple[str, ...], training: Pictures, validation: Pictures, notes: list[str]
) -> TrainingData:
    """The data set with notes on its classes; errors if it can't be trained on."""
    if len(classes) < 2:
        raise SettingsError(
            f"{source}: all pictures are of one class, {classes[0]}", "give a folder with one folder per class"
        )
    if not len(validation):
        raise SettingsError(f"{source}: there is no picture for validation", _SPLIT_IT)
    counts = Counter(training.targets)
    tested = set(validation.targets)
    if untested := [name for index, name in enumerate(classes) if index not in tested]:
        notes.append(f"not validated, for lack of pictures: {names_in_a_note(untested)}")
    (largest, most), (smallest, least) = counts.most_common()[0], counts.most_common()[-1]
    if most > _UNBALANCED * least:
        notes.append(
            f"the classes differ in size: {classes[largest]} has {most} pictures for training, "
            f"{classes[smallest]} has {least}"
        )
    is_grey, side = sampled(training)
    return TrainingData(classes, training, validation, tuple(notes), is_grey, side)


def sampled(pictures: Pictures) -> tuple[bool, int]:
    """Whether all pictures of a sample are grey, and the median of their shorter sides in pixels.

    Raises:
        PictureError: none of the sample can be read.
    """
    greys, sides = [], []
    for index in range(0, len(pictures), -(-len(pictures) // _SAMPLE)):
        try:
            image = pictures.open(index)
        except VggappsError as error:
            failed = error
            continue
        sides.append(min(image.size))
        image.thumbnail((256, 256))
        greys.append(bool(np.ptp(np.asarray(image).astype(np.int16), axis=2).max() <= _GREY))
    if not sides:
        raise PictureError(f"none of a sample of pictures can be read; {failed.message}", failed.hint)
    return all(greys), int(statistics.median(sides))


def _open_one_of(open_picture: Callable[[int], Image.Image], indices: Sequence[int], index: int) -> Image.Image:
    return open_picture(indices[index])
