"""The names of classes: ImageNet's thousand, by index, WordNet id and label; no torch is needed to look one up."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from vggapps.errors import SettingsError, unknown


@dataclass(frozen=True)
class Label:
    """One class.

    Attributes:
        index: which output of the network it is.
        name: what people read, ``tench``.
        wordnet: the WordNet id, ``n01440764``; empty for classes that are not ImageNet's.
    """

    index: int
    name: str
    wordnet: str = ""


@cache
def imagenet() -> tuple[Label, ...]:
    """The 1,000 classes of ILSVRC-2012, in the order of the outputs.

    The names are torchvision's (BSD-3-Clause; two that occur twice elsewhere, crane and maillot, have a second word);
    the ids are WordNet 3.0's, sorted, which is what the order of the outputs is.
    """
    text = (resources.files("vggapps") / "data" / "imagenet.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(Label(i, row["label"], row["wordnet"]) for i, row in enumerate(rows))


def labels_of(names: Sequence[str]) -> tuple[Label, ...]:
    """Labels of a network's own classes, in the order of its outputs; none given means ImageNet's."""
    return tuple(Label(i, name) for i, name in enumerate(names)) if names else imagenet()


def find_label(word: str, labels: Sequence[Label] | None = None) -> Label:
    """The class that a word means: its WordNet id, its index, or its name, however it is spelt.

    Args:
        word: ``n02123045``, ``281``, ``tabby``, ``Egyptian_cat``.
        labels: the classes to choose from; None for ImageNet's.

    Raises:
        SettingsError: no class is called so; says which is nearest.

    >>> find_label("Egyptian_cat").wordnet
    'n02124075'
    """
    choices = imagenet() if labels is None else labels
    key = _spelling(word)
    for label in choices:
        if key in (_spelling(label.name), label.wordnet):
            return label
    if word.strip().isdecimal():
        if int(word) < len(choices):
            return choices[int(word)]
        raise SettingsError(f"there is no class {word}", f"the last one is {len(choices) - 1}")
    raise unknown("class", word, [label.name for label in choices])


def _spelling(word: str) -> str:
    """Without case, and with spaces where folders have underscores or hyphens."""
    return " ".join(word.casefold().replace("_", " ").replace("-", " ").split())
