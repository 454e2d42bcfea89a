"""Parsing of objectives in text form; :mod:`vggapps.objectives` describes the syntax."""

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
from vggapps.objectives._objective import FORMS, Activations, Objective, terms
from vggapps.vgg._wrapped import as_network
from vggapps.weights._labels import find_label, labels_for

Networks = Mapping[str, nn.Module]
"""Networks by name; the main one has an empty name."""
_CALL = re.compile(r"(\w+)\s*\((.*)\)\s*", re.S)
_NETWORK = re.compile(r"(?:(\w+)/)?(.*)", re.S)
_RANGE = re.compile(r"((?:\w+/)?[\w.]+):(\d+)-(\d+)")
_REFERENCE_SIDE = 4096  # pixels; shorter side to which a reference may be reduced on opening, above any canvas


def parse(text: str, networks: Networks | nn.Module) -> Objective:
    """Parse an objective; its layers, channels and classes are checked.

    >>> from vggapps.vgg import VGG
    >>> parse("conv1_2:3 - 0.5*conv2_1:7@center", VGG("vgg16", head="none")).text
    'conv1_2:3 - 0.5*conv2_1:7@center'

    Args:
        text: see :mod:`vggapps.objectives`.
        networks: the network, or several by name; the main one has an empty name.

    Raises:
        SettingsError: invalid syntax, or the network has no such layer, channel or class.
        PictureError: a file in the text can't be read.
    """
    known = by_name(networks)
    first, *rest = [weight * _term(term, known) for weight, term in terms(text)]
    return sum(rest, first)


def by_name(network: nn.Module | Networks) -> Networks:
    """A single network as the main one of a mapping; a mapping as it is."""
    return {"": network} if isinstance(network, nn.Module) else network


def expand(text: str, networks: Networks, every: bool = False) -> list[str]:
    """Expand ``conv3_1:0-63`` to one text per channel; with ``every`` also ``conv3_1``, to all of its channels.

    >>> from vggapps.vgg import VGG
    >>> expand("conv1_1:2-4", {"": VGG("vgg16", head="none")})
    ['conv1_1:2', 'conv1_1:3', 'conv1_1:4']

    Raises:
        SettingsError: no such layer, a module's layer with an unknown number of channels, or a reversed range.
    """
    if match := _RANGE.fullmatch(text):
        first, last = int(match[2]), int(match[3])
        if last < first:
            raise SettingsError(f"{text} is reversed", f"write {match[1]}:{last}-{first}")
        return [f"{match[1]}:{index}" for index in range(first, last + 1)]
    name, _, layer = text.rpartition("/")
    if not every or ":" in text or _CALL.fullmatch(text) or len(terms(text)) > 1:
        return [text]
    channels = as_network(_network(name, networks)).channels(layer)
    if channels is None:
        raise SettingsError(f"the number of channels of {layer} is not known", f"write {layer}:0-63")
    return [f"{text}:{index}" for index in range(channels)]


def _term(text: str, networks: Networks) -> Objective:
    if match := _CALL.fullmatch(text):
        calls = {form.name: form for form in FORMS if form.name}
        if match[1] not in calls:
            raise unknown("objective", match[1], calls)
        form, words = calls[match[1]], re.split(r",\s+", match[2].strip())
        if len(words) != len(form.arguments):
            takes = len(form.arguments)
            raise SettingsError(
                f"'{text}': {form.name} takes {takes} arguments, not {len(words)}", f"write {form.text}"
            )
        return _Term(text, networks).build(form, words)
    prefix, rest = _split(text)
    # Forms with a keyword come first: class:tabby is not a layer named class.
    for form in sorted((form for form in FORMS if not form.name), key=lambda form: form.text[0].isupper()):
        if (found := form.match(rest)) is not None:
            return _Term(text, networks, prefix).build(form, found)
    raise SettingsError(f"'{text}' is not an objective", f"write {_forms()}, or a sum of them")


def _split(text: str) -> tuple[str, str]:
    match = _NETWORK.fullmatch(text)
    assert match
    return match[1] or "", match[2]


def _forms() -> str:
    return "; ".join(form.text for form in FORMS)


class _Term:
    """Parses the arguments of one term; a channel is checked against the layer and network parsed before it."""

    def __init__(self, text: str, networks: Networks, network: str = "") -> None:
        self.text, self.networks, self.name = text, networks, network
        self.layer = ""
        self.channels: int | None = None

    def build(self, form: Form, words: list[str]) -> Objective:
        pairs = zip(form.arguments, words, strict=True)
        objective = form.make(*(value for kind, word in pairs for value in self.parse(kind, word)))
        return _with_prefix(f"{self.name}/", objective) if self.name else objective

    def parse(self, kind: str, word: str) -> tuple[Any, ...]:
        match kind:
            case "LAYER":
                name, self.layer = _split(word)
                self.name = name or self.name
                self.channels = as_network(_network(self.name, self.networks)).channels(self.layer)
                return (self.layer,)
            case "CHANNEL":
                index = self.integer(word)
                if self.channels is not None and index >= self.channels:
                    raise SettingsError(f"{self.layer} has no channel {index}", f"the last one is {self.channels - 1}")
                return (index,)
            case "ROW" | "COLUMN":
                return (self.integer(word),)
            case "CLASS":
                return _class(word, _network(self.name, self.networks), self.text)
            case "VECTOR":
                return _vector(word), word
            case "IMAGE":
                return open_picture(word, at_least=_REFERENCE_SIDE).rgb, Path(word).name
            case "OBJECTIVE":
                return (parse(word, self.networks),)
        raise NotImplementedError(f"unknown kind of argument in a text form: {kind}")

    def integer(self, word: str) -> int:
        if not word.strip().isdecimal():
            raise SettingsError(f"'{self.text}': '{word}' is not a whole number", f"write {_forms()}")
        return int(word)


def _class(word: str, network: nn.Module, text: str) -> tuple[int, str]:
    """Index and name of a class."""
    net = as_network(network)
    if net.outputs == 0:
        raise SettingsError(f"{text}: this {net.name} has no classes", "load it with a head")
    if labels := labels_for(network):
        label = find_label(word, labels)
        return label.index, label.name
    number = word.removeprefix("index:").strip()
    if not number.isdecimal():
        raise SettingsError(
            f"{text}: the class names of this {net.name} are not known",
            "give the index of the output, class:3, or set the network's attribute classes to all names, in order",
        )
    return int(number), ""


def _with_prefix(prefix: str, objective: Objective) -> Objective:
    """The same objective for the layers of another network."""

    def inner(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): f for name, f in features.items() if name.startswith(prefix)}

    def score(activations: Activations) -> Tensor:
        references = {name: inner(features) for name, features in activations.references.items()}
        return objective.score(Activations(inner(activations.features), references))

    layers = frozenset(prefix + layer for layer in objective.layers)
    return Objective(layers, score, prefix + objective.text, objective.references)


def _network(name: str, networks: Networks) -> nn.Module:
    if name not in networks:
        raise unknown("network", name, [n for n in networks if n] or ["the main one, which needs no name"])
    return networks[name]


def _vector(file: str) -> Tensor:
    try:
        vector = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PictureError(f"{file} can't be read as a .npy file: {error}", "save it with numpy.save") from None
    if vector.ndim != 1 or not np.issubdtype(vector.dtype, np.number):
        raise SettingsError(f"{file} has shape {vector.shape}", "a direction is one row of numbers")
    return torch.from_numpy(vector).float()
