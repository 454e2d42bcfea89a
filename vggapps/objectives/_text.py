"""Objectives as people type them: ``conv4_3:12 + 0.5*conv4_3:200``, ``class:tabby``, ``caricature(conv4_3, cat.jpg)``.

TERM + TERM - TERM, with spaces around the sign, since names of classes have hyphens; a term may have a weight in front,
``0.5*``. Terms:

    conv4_3               a whole layer
    conv4_3:12            a channel
    conv4_3:12@center     its position in the middle; @3,5 that of row 3, column 5
    class:tabby           a class, by name, WordNet id or index
    vgg16/conv4_3:12      of another network than the first
    direction(conv4_3, v.npy)  caricature(conv4_3, cat.jpg)  likeness(conv4_3, cat.jpg)
    diversity(conv4_3)  alignment(conv4_3)  interpolate(conv4_3:12, conv4_3:200)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vggapps.errors import PictureError, SettingsError, unknown
from vggapps.image import open_picture
from vggapps.objectives import _objective as objectives
from vggapps.objectives._objective import Objective
from vggapps.vgg._any import as_network
from vggapps.weights._labels import find_label, labels_for

Networks = Mapping[str, nn.Module]  # by name; the first one's is empty
_CALL = re.compile(r"(\w+)\s*\((.*)\)\s*", re.S)
_CLASS = re.compile(r"((\w+)/)?class:(.+)", re.S)  # a name may hold any sign
_RANGE = re.compile(r"((?:\w+/)?[\w.]+):(\d+)-(\d+)")
_HOW = "write LAYER, LAYER:CHANNEL, LAYER:CHANNEL@center, class:NAME, or a sum of them"


def parse(text: str, networks: Networks | nn.Module) -> Objective:
    """The objective that a text means, its layers, channels and classes checked.

    >>> parse("conv1_2:3 - 0.5*conv2_1:7@center", VGG("vgg16", head="none")).text
    'conv1_2:3 - 0.5*conv2_1:7@center'

    Args:
        text: see :mod:`vggapps.objectives._text`.
        networks: the network that it is about, or several by name, the first of them by an empty one.

    Raises:
        SettingsError: a text that makes no sense, or a layer, channel or class that the network has not.
        PictureError: a file that it names can't be read.
    """
    known = {"": networks} if isinstance(networks, nn.Module) else networks
    first, *rest = [weight * _term(term, known) for weight, term in objectives.terms(text)]
    return sum(rest, first)


_COMPARED = 4096  # pixels of the shorter side: more than any picture has that is made to be like it


def expand(text: str, networks: Networks, every: bool = False) -> list[str]:
    """``conv3_1:0-63`` as a text for each channel; with ``every`` also ``conv3_1``, for all of its channels.

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
    if not every or ":" in text or _CALL.fullmatch(text) or len(objectives.terms(text)) > 1:
        return [text]
    channels = check_layer(_network(name, networks), layer)
    if channels is None:
        raise SettingsError(f"{layer} does not say how many channels it has", f"write {layer}:0-63")
    return [f"{text}:{index}" for index in range(channels)]


def _term(text: str, networks: Networks) -> Objective:
    if match := _CALL.fullmatch(text):
        return _call(match[1], re.split(r",\s+", match[2].strip()), networks)
    return _plain(text, networks)


def _plain(text: str, networks: Networks) -> Objective:
    if match := _CLASS.fullmatch(text):
        return _of(match[1] or "", _class(match[3], _network(match[2] or "", networks), text))
    name, slash, rest = text.rpartition("/")
    prefix, network = name + slash, _network(name, networks)
    layer, colon, index = rest.partition(":")
    if not rest or (colon and not index):
        raise SettingsError(f"'{text}' is no objective", _HOW)
    channels = check_layer(network, layer)
    if not colon:
        return _of(prefix, objectives.layer(layer))
    number, at, place = index.partition("@")
    channel = _whole(number, text)
    if channels is not None and channel >= channels:
        raise SettingsError(f"{layer} has no channel {channel}", f"the last one is {channels - 1}")
    if not at:
        return _of(prefix, objectives.channel(layer, channel))
    if place == "center":
        return _of(prefix, objectives.neuron(layer, channel))
    row, comma, column = place.partition(",")
    if not comma:
        raise SettingsError(f"'{text}': the place is '{place}'", "write @center, or @ROW,COLUMN")
    return _of(prefix, objectives.neuron(layer, channel, _whole(row, text), _whole(column, text)))


def _class(word: str, network: nn.Module, text: str) -> Objective:
    """A class, by the names that its network has."""
    net = as_network(network)
    if net.outputs == 0:
        raise SettingsError(f"{text}: this {net.name} has no classes", "load it with a head")
    if labels := labels_for(network):
        label = find_label(word, labels)
        return objectives.class_score(label.index, f"class:{label.name}")
    number = word.removeprefix("index:").strip()
    if not number.isdecimal():
        raise SettingsError(
            f"{text}: this {net.name} does not say what its classes are called",
            "give the number of the output, class:3, or set the network's attribute classes to all names, in order",
        )
    return objectives.class_score(int(number))


def _call(name: str, words: list[str], networks: Networks) -> Objective:
    if name == "interpolate":
        if len(words) != 2:
            raise SettingsError(f"interpolate takes two objectives, not {len(words)}", "interpolate(A, B)")
        return objectives.interpolate(*(parse(word, networks) for word in words))
    on_files: dict[str, Callable[[str, str], Objective]] = {
        "direction": lambda layer, file: objectives.direction(layer, _vector(file), text=f"direction({layer}, {file})"),
        "caricature": partial(_compared, objectives.caricature),
        "likeness": partial(_compared, objectives.likeness),
    }
    on_layers = {"diversity": objectives.diversity, "alignment": objectives.alignment}
    if name not in on_files and name not in on_layers:
        raise unknown("objective", name, [*on_files, *on_layers, "interpolate"])
    if len(words) != (2 if name in on_files else 1):
        takes = "a layer and a file" if name in on_files else "a layer"
        raise SettingsError(f"{name} takes {takes}", f"{name}(conv4_3{', FILE' * (name in on_files)})")
    prefix, slash, layer = words[0].rpartition("/")
    check_layer(_network(prefix, networks), layer)
    made = on_files[name](layer, words[1]) if name in on_files else on_layers[name](layer)
    return _of(prefix + slash, made)


def _of(prefix: str, objective: Objective) -> Objective:
    """The same objective, looking at another network's layers."""
    if not prefix:
        return objective

    def inner(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): f for name, f in features.items() if name.startswith(prefix)}

    def score(seen: objectives.Seen) -> Tensor:
        references = {name: inner(features) for name, features in seen.references.items()}
        return objective.score(objectives.Seen(inner(seen.features), references))

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


def _compared(objective: Callable[[str, Tensor, str], Objective], layer: str, file: str) -> Objective:
    return objective(layer, open_picture(file, at_least=_COMPARED).rgb, Path(file).name)


def _vector(file: str) -> Tensor:
    try:
        vector = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PictureError(f"{file}: it can't be read as a .npy file: {error}", "save it with numpy.save") from None
    if vector.ndim != 1 or not np.issubdtype(vector.dtype, np.number):
        raise SettingsError(f"{file} has shape {vector.shape}", "a direction is one row of numbers")
    return torch.from_numpy(vector).float()


def _whole(word: str, text: str) -> int:
    if not word.strip().isdecimal():
        raise SettingsError(f"'{text}': '{word}' is no whole number", _HOW)
    return int(word)
