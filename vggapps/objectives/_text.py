"""Objectives as people type them: the text form that :mod:`vggapps.objectives` describes, parsed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vggapps.errors import PictureError, SettingsError, unknown
from vggapps.image import open_picture
from vggapps.objectives._forms import Form
from vggapps.objectives._objective import FORMS, Objective, Seen, terms
from vggapps.vgg._any import as_network
from vggapps.weights._labels import find_label, labels_for

Networks = Mapping[str, nn.Module]
"""Networks by name; the name of the first is empty."""
_CALL = re.compile(r"(\w+)\s*\((.*)\)\s*", re.S)
_NETWORK = re.compile(r"(?:(\w+)/)?(.*)", re.S)
_RANGE = re.compile(r"((?:\w+/)?[\w.]+):(\d+)-(\d+)")
_COMPARED = 4096  # pixels of the shorter side: more than any picture has that is made to be like it


def by_name(networks: nn.Module | Networks) -> Networks:
    """Networks by name; a single one is the first."""
    return {"": networks} if isinstance(networks, nn.Module) else networks


def parse(text: str, networks: Networks | nn.Module) -> Objective:
    """The objective that a text means, its layers, channels and classes checked.

    >>> from vggapps.vgg import VGG
    >>> parse("conv1_2:3 - 0.5*conv2_1:7@center", VGG("vgg16", head="none")).text
    'conv1_2:3 - 0.5*conv2_1:7@center'

    Args:
        text: see :mod:`vggapps.objectives`.
        networks: the network that it is about, or several by name, the first of them by an empty one.

    Raises:
        SettingsError: a text that makes no sense, or a layer, channel or class that the network has not.
        PictureError: a file that it names can't be read.
    """
    known = by_name(networks)
    first, *rest = [weight * _term(term, known) for weight, term in terms(text)]
    return sum(rest, first)


def expand(text: str, networks: Networks, every: bool = False) -> list[str]:
    """``conv3_1:0-63`` as a text for each channel; with ``every`` also ``conv3_1``, for all of its channels.

    >>> from vggapps.vgg import VGG
    >>> expand("conv1_1:2-4", {"": VGG("vgg16", head="none")})
    ['conv1_1:2', 'conv1_1:3', 'conv1_1:4']

    Raises:
        SettingsError: there is no such layer, a module's layer whose channels nobody knows, or a range backwards.
    """
    if match := _RANGE.fullmatch(text):
        first, last = int(match[2]), int(match[3])
        if last < first:
            raise SettingsError(f"{text} runs backwards", f"write {match[1]}:{last}-{first}")
        return [f"{match[1]}:{index}" for index in range(first, last + 1)]
    name, _, layer = text.rpartition("/")
    if not every or ":" in text or _CALL.fullmatch(text) or len(terms(text)) > 1:
        return [text]
    channels = check_layer(_network(name, networks), layer)
    if channels is None:
        raise SettingsError(f"{layer} does not say how many channels it has", f"write {layer}:0-63")
    return [f"{text}:{index}" for index in range(channels)]


def _term(text: str, networks: Networks) -> Objective:
    if match := _CALL.fullmatch(text):
        calls = {form.name: form for form in FORMS if form.name}
        if match[1] not in calls:
            raise unknown("objective", match[1], calls)
        form, words = calls[match[1]], re.split(r",\s+", match[2].strip())
        if len(words) != len(form.arguments):
            takes = len(form.arguments)
            raise SettingsError(f"'{text}': {form.name} takes {takes} words, not {len(words)}", f"write {form.text}")
        return _Term(text, networks).built(form, words)
    prefix, rest = _split(text)
    # Those with a word of their own come first: class:tabby is no layer called class.
    for form in sorted((form for form in FORMS if not form.name), key=lambda form: form.text[0].isupper()):
        if (found := form.match(rest)) is not None:
            return _Term(text, networks, prefix).built(form, found)
    raise SettingsError(f"'{text}' is no objective", f"write {_forms()}, or a sum of them")


def _split(text: str) -> tuple[str, str]:
    match = _NETWORK.fullmatch(text)
    assert match
    return match[1] or "", match[2]


def _forms() -> str:
    return "; ".join(form.text for form in FORMS)


class _Term:
    """Reads the words of one term: what they mean depends on the network and the layer that were read before.

    Args:
        text: the whole term, for errors.
        networks: by name.
        network: the name of the one that the term is about.
    """

    def __init__(self, text: str, networks: Networks, network: str = "") -> None:
        self.text, self.networks, self.name = text, networks, network
        self.layer = ""
        self.channels: int | None = None

    def built(self, form: Form, words: list[str]) -> Objective:
        """The objective of that form."""
        read = [value for kind, word in zip(form.arguments, words, strict=True) for value in self.read(kind, word)]
        return _of(f"{self.name}/" if self.name else "", form.make(*read))

    def read(self, kind: str, word: str) -> tuple[Any, ...]:
        """The arguments that a word stands for."""
        match kind:
            case "LAYER":
                name, self.layer = _split(word)
                self.name = name or self.name
                self.channels = check_layer(_network(self.name, self.networks), self.layer)
                return (self.layer,)
            case "CHANNEL":
                index = self.whole(word)
                if self.channels is not None and index >= self.channels:
                    raise SettingsError(f"{self.layer} has no channel {index}", f"the last one is {self.channels - 1}")
                return (index,)
            case "ROW" | "COLUMN":
                return (self.whole(word),)
            case "CLASS":
                return _class(word, _network(self.name, self.networks), self.text)
            case "VECTOR":
                return _vector(word), word
            case "IMAGE":
                return open_picture(word, at_least=_COMPARED).rgb, Path(word).name
            case "OBJECTIVE":
                return (parse(word, self.networks),)
        raise NotImplementedError(f"no objective can have a {kind}")

    def whole(self, word: str) -> int:
        """A whole number."""
        if not word.strip().isdecimal():
            raise SettingsError(f"'{self.text}': '{word}' is no whole number", f"write {_forms()}")
        return int(word)


def _class(word: str, network: nn.Module, text: str) -> tuple[int, str]:
    """A class's index and name, by the names that its network has."""
    net = as_network(network)
    if net.outputs == 0:
        raise SettingsError(f"{text}: this {net.name} has no classes", "load it with a head")
    if labels := labels_for(network):
        label = find_label(word, labels)
        return label.index, label.name
    number = word.removeprefix("index:").strip()
    if not number.isdecimal():
        raise SettingsError(
            f"{text}: this {net.name} does not say what its classes are called",
            "give the number of the output, class:3, or set the network's attribute classes to all names, in order",
        )
    return int(number), ""


def _of(prefix: str, objective: Objective) -> Objective:
    """The same objective, looking at another network's layers."""
    if not prefix:
        return objective

    def inner(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): f for name, f in features.items() if name.startswith(prefix)}

    def score(seen: Seen) -> Tensor:
        references = {name: inner(features) for name, features in seen.references.items()}
        return objective.score(Seen(inner(seen.features), references))

    layers = frozenset(prefix + layer for layer in objective.layers)
    return Objective(layers, score, prefix + objective.text, objective.references)


def _network(name: str, networks: Networks) -> nn.Module:
    if name not in networks:
        raise unknown("network", name, [n for n in networks if n] or ["the first one, which needs no name"])
    return networks[name]


def check_layer(network: nn.Module, layer: str) -> int | None:
    """How many channels a layer has; None where only running the network would tell.

    Raises:
        SettingsError: the network has no such layer.
    """
    return as_network(network).channels(layer)


def _vector(file: str) -> Tensor:
    try:
        vector = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PictureError(f"{file}: it can't be read as a .npy file: {error}", "save it with numpy.save") from None
    if vector.ndim != 1 or not np.issubdtype(vector.dtype, np.number):
        raise SettingsError(f"{file} has shape {vector.shape}", "a direction is one row of numbers")
    return torch.from_numpy(vector).float()
