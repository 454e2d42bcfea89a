"""The names of classes: a network's own, or ImageNet's thousand; no torch is needed to look one up."""

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

NUMBERS = "numbers"  # what people say instead of a file where a class is called by the number of its output
_NAME_THEM = f"name them with {argument('classes')}: a file, a folder, or {NUMBERS}"


@dataclass(frozen=True)
class Label:
    """One class.

    Attributes:
        index: which output of the network it is.
        name: what people read, ``tench``.
        wordnet: the WordNet id, ``n01440764``; empty for classes that are not ImageNet's.
        named: whether somebody named it; else its name is its index, for want of a better one.
    """

    index: int
    name: str
    wordnet: str = ""
    named: bool = True


@cache
def imagenet() -> tuple[Label, ...]:
    """The 1,000 classes of ILSVRC-2012, in the order of the outputs.

    The names are torchvision's (BSD-3-Clause; two that occur twice elsewhere, crane and maillot, have a second word);
    the ids are WordNet 3.0's, sorted, which is what the order of the outputs is.
    """
    text = (resources.files("vggapps") / "data" / "imagenet.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(Label(i, row["label"], row["wordnet"]) for i, row in enumerate(rows))


def labels_of(names: Sequence[str], outputs: int | None = None) -> tuple[Label, ...]:
    """The classes of a network, in the order of its outputs.

    Args:
        names: of the classes; none where nobody knows them: they are ImageNet's if there are 1,000 outputs, else
            numbers.
        outputs: how many there are; None for as many as names.

    Raises:
        SettingsError: not as many names as outputs.
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

    Returns:
        The classes; of a VGG without names, what :func:`labels_of` knows. None for a network without outputs, and for
        another module without names: how many outputs it has, only running it would tell.

    Raises:
        SettingsError: not as many names as outputs.
    """
    from vggapps.vgg._any import as_network

    net = as_network(network)
    if net.outputs is None:  # only running it would tell how many there are
        return labels_of(net.classes) if net.classes else ()
    return labels_of(net.classes, net.outputs) if net.outputs else ()


def names_of(classes: str | Path | Sequence[str], outputs: int) -> tuple[str, ...]:
    """The names that people give for the outputs of a network.

    Args:
        classes: the names themselves; or a file: text with a name a line, or .json with a list, ``{name: index}`` or
            ``{index: name}``; or a folder, whose folders are the classes in the order of
            ``torchvision.datasets.ImageFolder``, which is that of text: 0, 1, 10, 11, 2; or the word ``numbers``.
        outputs: how many there are.

    Raises:
        SettingsError: it can't be read, or does not name as many classes.
    """
    if classes == NUMBERS:
        return tuple(map(str, range(outputs)))
    if not isinstance(classes, str | Path):
        names, where = tuple(map(str, classes)), "classes"
    else:
        path, where = Path(classes), str(classes)
        names = _folders(path) if path.is_dir() else _read(path)
    if not names or not all(name.strip() for name in names):
        raise SettingsError(f"{where}: a class has no name", "write one for each output")
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
        raise SettingsError(f"{folder} has no folders", "give the folder that holds a folder for each class")
    return tuple(names)


def _read(file: Path) -> tuple[str, ...]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() == ".json":
            return names_from(json.loads(text))
    except OSError as error:
        raise SettingsError(
            f"{file}: names of classes can't be read: {error.strerror}",
            f"give a file with a name a line, a folder with a folder for each class, or {NUMBERS}",
        ) from None
    except ValueError as error:  # UnicodeDecodeError and json's are such
        raise SettingsError(
            f"{file}: names of classes can't be read: {error}", "write a name a line, or a JSON list of names, in UTF-8"
        ) from None
    return tuple(line.strip() for line in text.rstrip().splitlines())


def names_from(found: Any) -> tuple[str, ...]:
    """Names in the order of the outputs, from a list, ``{name: index}`` or ``{index: name}``.

    >>> names_from({"dog": 1, "cat": 0})
    ('cat', 'dog')

    Raises:
        ValueError: it is none of these, or indices are missing.
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
    raise ValueError("it is neither a list of names nor a dictionary of names and indices")


def find_label(word: str, labels: Sequence[Label] | None = None) -> Label:
    """The class that a word means: its WordNet id, its index, or its name, however it is spelt.

    Args:
        word: ``n02123045``, ``281``, ``tabby``, ``Egyptian_cat``; ``index:281`` and ``name:281`` where a number is also
            the name of another class.
        labels: the classes to choose from; None for ImageNet's.

    Raises:
        SettingsError: no class is called so, which says what is nearest, or several are, which says which.

    >>> find_label("Egyptian_cat").wordnet
    'n02124075'
    """
    choices = imagenet() if labels is None else labels
    kind, colon, rest = word.partition(":")
    kind = kind if colon and kind in ("index", "name") else ""
    text = (rest if kind else word).strip()
    found = [] if kind == "index" else _called(text, choices)
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
        raise SettingsError(f"{error.message}: the network's have no names", f"{error.hint}; {_NAME_THEM}")
    raise error


def label_of_data(word: str, labels: Sequence[Label]) -> Label:
    """The class that a data set's word means: one that is called exactly so before anything else.

    A folder ``10`` is the class of that name where there is one, whichever output that is.

    Raises:
        SettingsError: as :func:`find_label`.
    """
    exact = any(label.named and label.name == word for label in labels)
    return find_label(f"name:{word}" if exact else word, labels)


def _called(word: str, labels: Sequence[Label]) -> list[Label]:
    """The classes of that name or WordNet id; those that are spelt exactly so, if there are any."""
    if exact := [label for label in labels if word and word in (label.name, label.wordnet)]:
        return exact
    key = _spelling(word)
    return [label for label in labels if key and key in (_spelling(label.name), label.wordnet)]


def _ambiguous(word: str, found: Sequence[Label]) -> SettingsError:
    listed = " and ".join(f"{label.index} ({label.name})" for label in found)
    ways = " or ".join(f"index:{label.index}" for label in found)
    return SettingsError(f"class '{word}' means several: outputs {listed}", f"say which: {ways}")


def _spelling(word: str) -> str:
    """Without case, and with spaces where folders have underscores or hyphens."""
    return " ".join(word.casefold().replace("_", " ").replace("-", " ").split())
