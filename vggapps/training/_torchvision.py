"""Data sets of torchvision by name: those of pictures with one class each."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torchvision import datasets  # type: ignore[import-untyped]

from vggapps.errors import PictureError, SettingsError, unknown
from vggapps.image import on_white, open_picture
from vggapps.image._opening import picture_errors

# Names of the parts of data sets without an argument `train`; the first that exists is used.
_TRAINING = ("train", "trainval", "train-standard")
_VALIDATION = ("val", "valid", "test")
_TARGETS = ("targets", "labels", "_labels", "y")  # attributes that hold the classes of all pictures
_HINT = "give a data set of pictures with one class each, such as CIFAR10, or a folder"


@dataclass(frozen=True)
class Items:
    """Opens pictures of a data set: ``items(index)`` is an RGB image.

    Attributes:
        dataset: torchvision's.
        name: of the data set and part, for messages.
    """

    dataset: Any
    name: str

    def __call__(self, index: int) -> Image.Image:
        name = f"{self.name} {index}"
        with picture_errors(name):
            image = self.dataset[index][0]
            return image.convert("RGB") if image.mode in ("L", "RGB") else on_white(open_picture(image, name=name))


@dataclass(frozen=True)
class Part:
    """A part of a data set, and the classes of its pictures."""

    items: Items
    targets: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the pictures, for messages."""
        return tuple(f"{self.items.name} {index}" for index in range(len(self.targets)))


def torchvision_parts(name: str, folder: Path) -> tuple[tuple[str, ...], Part, Part | None]:
    """The class names, the training part and, if the data set has one, the validation part: ``val``, or else ``test``.

    Raises:
        SettingsError: torchvision has no such data set, or its pictures do not have one class each.
        PictureError: it is not in the folder.
    """
    known = [word for word in datasets.__all__ if inspect.isclass(getattr(datasets, word))]
    if name not in known:
        raise unknown("data set of torchvision", name, known)
    kind = getattr(datasets, name)
    parameters = inspect.signature(kind).parameters
    given = {key: value for key, value in {"root": folder, "download": False}.items() if key in parameters}
    try:
        if "train" in parameters:
            found = kind(**given, train=True), kind(**given, train=False)
        elif "split" in parameters:
            found = _split(kind, given, _TRAINING), _split(kind, given, _VALIDATION)
        else:
            found = kind(**given), None
    except (RuntimeError, OSError) as error:
        command = f"from torchvision.datasets import {name}; {name}({str(folder)!r}, download=True)"
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise PictureError(f"{folder}: {name} can't be read: {reason}", run=f'python -c "{command}"') from None
    except (ImportError, TypeError, ValueError) as error:
        raise SettingsError(f"{name} can't be used: {error}", _HINT) from None
    training, validation = (
        one and Part(Items(one, f"{name} {part}"), _targets(one, name))
        for one, part in zip(found, ("train", "validation"), strict=True)
    )
    return _classes(found[0], training.targets), training, validation


def _split(kind: Any, given: dict[str, Any], words: Iterable[str]) -> Any:
    for word in words:
        try:
            return kind(**given, split=word)
        except ValueError as error:  # of this name, which data sets check first
            wrong = error
    raise wrong


def _targets(dataset: Any, name: str) -> tuple[int, ...]:
    """The classes of all pictures, without reading the pictures if the data set holds a list of classes."""
    count = len(dataset)
    lists = [getattr(dataset, word, ()) for word in _TARGETS]
    lists.append([sample[-1] for sample in getattr(dataset, "_samples", ())])
    some = range(0, count, max(1, count // 8))
    try:
        seen = [int(dataset[index][1]) for index in some]
        for listed in lists:
            if len(listed) == count and [listed[index] for index in some] == seen:
                return tuple(map(int, listed))
        return tuple(int(dataset[index][1]) for index in range(count))
    except (TypeError, ValueError, IndexError, RuntimeError):
        raise SettingsError(f"the pictures of {name} don't have one class each", _HINT) from None


def _classes(dataset: Any, targets: Sequence[int]) -> tuple[str, ...]:
    """The data set's names of classes, or numbers if it has none."""
    names = getattr(dataset, "classes", ())
    if len(names) <= max(targets):
        return tuple(str(number) for number in range(max(targets) + 1))
    return tuple(name if isinstance(name, str) else ", ".join(name) for name in names)
