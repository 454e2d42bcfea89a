"""Names of classes, a network's or ImageNet's; looking up a name does not import torch."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vggapps.errors import SettingsError, argument, unknown

if TYPE_CHECKING:
    from torch import nn

NUMBERS = "numbers"  # names each class by the index of its output
_NAME_THEM = f"name them with {argument('classes')}: a file, a folder, or {NUMBERS}"


@dataclass(frozen=True)
class Label:
    """One class.

    Attributes:
        index: of the network's output.
        name: ``tench``.
        wordnet: the WordNet id, ``n01440764``; empty for classes that are not ImageNet's.
        named: whether it has a name; otherwise ``name`` is the index.
    """

    index: int
    name: str
    wordnet: str = ""
    named: bool = True


@cache
def imagenet() -> tuple[Label, ...]:
    """The 1,000 classes of ILSVRC-2012, in the order of the outputs.

    The names are torchvision's (BSD-3-Clause; the two classes crane and the two maillot have a second word); the ids
    are WordNet 3.0's, in whose order the outputs are.
    """
    text = (resources.files("vggapps") / "data" / "imagenet.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(Label(i, row["label"], row["wordnet"]) for i, row in enumerate(rows))


def labels_of(names: Sequence[str], outputs: int | None = None) -> tuple[Label, ...]:
    """The classes of a network, in the order of its outputs.

    Args:
        names: of the classes; if empty, they are ImageNet's for 1,000 outputs, otherwise numbers.
        outputs: number of outputs; None for the number of names.

    Raises:
        SettingsError: the number of names is not the number of outputs.
    """
    count = len(names) if outputs is None else outputs
    if names and len(names) != count:
        raise SettingsError(
            f"{len(names)} names of classes for a network of {count} outputs",
            "give one for each output, in their order",
        )
    if names:
        return tuple(Label(i, name) for i, name in enumerate(names))
    return imagenet() if count == 1000 else tuple(Label(i, str(i), named=False) for i in range(count))


def labels_for(network: nn.Module) -> tuple[Label, ...]:
    """The classes of a network: the names in its attribute ``classes``, in the order of the outputs.

    Empty for a VGG without a head, and for another module without names, whose number of outputs is unknown.

    Raises:
        SettingsError: the number of names is not the number of outputs.
    """
    from vggapps.vgg._wrapped import as_network

    net = as_network(network)
    if net.outputs is None:  # unknown without a forward pass
        return labels_of(net.classes) if net.classes else ()
    return labels_of(net.classes, net.outputs) if net.outputs else ()


def read_class_names(classes: str | Path | Sequence[str], outputs: int) -> tuple[str, ...]:
    """Names of the outputs of a network.

    Args:
        classes: the names; or a file: text with one name per line, or .json with a list, ``{name: index}`` or
            ``{index: name}``; or a folder of class folders in the order of ``torchvision.datasets.ImageFolder``, which
            is alphabetical: 0, 1, 10, 11, 2; or ``numbers``.
        outputs: number of outputs.

    Raises:
        SettingsError: the names are not readable, or their number is not the number of outputs.
    """
    if classes == NUMBERS:
        return tuple(map(str, range(outputs)))
    if not isinstance(classes, str | Path):
        names, where = tuple(map(str, classes)), "classes"
    else:
        path, where = Path(classes), str(classes)
        names = _folders(path) if path.is_dir() else _read(path)
    if not names or not all(name.strip() for name in names):
        raise SettingsError(f"{where}: a class has no name", "give a name for each output")
    if len(names) != outputs:
        raise SettingsError(
            f"{where}: {len(names)} names of classes for a network of {outputs} outputs",
            "give one for each output, in their order",
        )
    return names


def _folders(folder: Path) -> tuple[str, ...]:
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise SettingsError(f"{folder} can't be read: {error.strerror}", "check the folder") from None
    if not names:
        raise SettingsError(f"{folder} has no folders", "give a folder with one folder per class")
    return tuple(names)


def _read(file: Path) -> tuple[str, ...]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() == ".json":
            return parse_class_names(json.loads(text))
    except OSError as error:
        raise SettingsError(
            f"{file}: names of classes can't be read: {error.strerror}",
            f"give a file with one name per line, a folder with one folder per class, or {NUMBERS}",
        ) from None
    except ValueError as error:  # including UnicodeDecodeError and JSONDecodeError
        raise SettingsError(
            f"{file}: names of classes can't be read: {error}",
            "write one name per line, or a JSON list of names, in UTF-8",
        ) from None
    return tuple(line.strip() for line in text.rstrip().splitlines())


def parse_class_names(found: Any) -> tuple[str, ...]:
    """Names in the order of the outputs, from a list, ``{name: index}`` or ``{index: name}``.

    >>> parse_class_names({"dog": 1, "cat": 0})
    ('cat', 'dog')

    Raises:
        ValueError: another type, or indices are missing.
    """
    if isinstance(found, list | tuple) and found and all(isinstance(name, str) for name in found):
        return tuple(found)
    if isinstance(found, Mapping) and found:
        pairs = list(found.items())
        if all(isinstance(name, str) for _, name in pairs):
            pairs = [(name, index) for index, name in pairs]
        try:
            named = {int(index): name for name, index in pairs if isinstance(name, str)}
        except (TypeError, ValueError):
            named = {}
        if sorted(named) == list(range(len(pairs))):
            return tuple(named[index] for index in range(len(pairs)))
        raise ValueError(f"the indices are not 0 to {len(pairs) - 1}, one for each name")
    raise ValueError("neither a list of names nor a dictionary of names and indices")


def find_label(word: str, labels: Sequence[Label] | None = None) -> Label:
    """The class with a WordNet id, an index, or a name, which may differ in case, spaces, hyphens and underscores.

    Args:
        word: ``n02123045``, ``281``, ``tabby``, ``Egyptian_cat``; ``index:281`` or ``name:281`` if a number is also the
            name of another class.
        labels: the classes to choose from; None for ImageNet's.

    Raises:
        SettingsError: no class matches, or several do.

    >>> find_label("Egyptian_cat").wordnet
    'n02124075'
    """
    choices = imagenet() if labels is None else labels
    kind, colon, rest = word.partition(":")
    kind = kind if colon and kind in ("index", "name") else ""
    text = (rest if kind else word).strip()
    found = [] if kind == "index" else _matches(text, choices)
    if kind != "name" and text.isdecimal() and int(text) < len(choices):
        found = list(dict.fromkeys([*found, choices[int(text)]]))
    if len(found) == 1:
        return found[0]
    if found:
        raise _ambiguous(text, found)
    if text.isdecimal() and kind != "name":
        raise SettingsError(f"there is no class {text}", f"the last one is {len(choices) - 1}")
    error = unknown("class", text, [label.name for label in choices])
    if choices and not choices[0].named:
        raise SettingsError(f"{error.message}: the network's classes have no names", f"{error.hint}; {_NAME_THEM}")
    raise error


def find_data_label(word: str, labels: Sequence[Label]) -> Label:
    """As :func:`find_label` for a data set, where an exact name has priority.

    A folder ``10`` is the class named so, if there is one, whatever its index.
    """
    exact = any(label.named and label.name == word for label in labels)
    return find_label(f"name:{word}" if exact else word, labels)


def _matches(word: str, labels: Sequence[Label]) -> list[Label]:
    """The classes of that name or WordNet id; exact matches only, if there are any."""
    if exact := [label for label in labels if word and word in (label.name, label.wordnet)]:
        return exact
    key = _normalized(word)
    return [label for label in labels if key and key in (_normalized(label.name), label.wordnet)]


def _ambiguous(word: str, found: Sequence[Label]) -> SettingsError:
    listed = " and ".join(f"{label.index} ({label.name})" for label in found)
    ways = " or ".join(f"index:{label.index}" for label in found)
    return SettingsError(f"class '{word}' is ambiguous: outputs {listed}", f"use {ways}")


def _normalized(word: str) -> str:
    """Normalized: case folded, underscores and hyphens as spaces."""
    return " ".join(word.casefold().replace("_", " ").replace("-", " ").split())
