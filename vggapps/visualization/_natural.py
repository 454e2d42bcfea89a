"""Natural pictures, and how far they take a network: what a synthetic picture's score is to be compared with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from vggapps.datasets._reading import scaled_pictures
from vggapps.errors import PictureError, SettingsError
from vggapps.image import center
from vggapps.objectives._objective import Objective, channel, class_score, neuron
from vggapps.vgg._any import as_network
from vggapps.vgg._hooks import OUTPUT
from vggapps.vgg._network import VGG
from vggapps.weights._labels import find_label, labels_for

SIDE = 224  # pixels of the square in the middle; the shorter side is scaled to 256 before
BATCH = 8  # pictures that run together
_CLASS = "class"  # what the network's output is called in files
_FILE = "vgg19-natural.safetensors"
_WEIGHTS = ("vgg19-installed", "vgg19-gap")
_CHANNEL = re.compile(r"(\w+):(\d+)(@center|@\d+,\d+)?")


@dataclass(frozen=True, eq=False)
class Natural:
    """How far natural pictures take each channel of a layer.

    Attributes:
        mean: the largest, over pictures, of the channel's mean over its positions.
        peak: the largest over pictures and positions.
    """

    mean: Float[Tensor, " c"]
    peak: Float[Tensor, " c"]


@torch.inference_mode()
def maxima(network: nn.Module, paths: Iterable[str | Path], layers: Sequence[str]) -> dict[str, Natural]:
    """The largest that natural pictures reach, for each channel of some layers.

    Of each picture the shorter side is scaled to 256 and the square of 224 in the middle is taken.

    Args:
        network: takes pictures in [0, 1].
        paths: pictures; those that can't be read are told and left out.
        layers: names, or paths in a module; ``OUTPUT`` is the network's own output.

    Raises:
        PictureError: no picture can be read.
        SettingsError: a layer that the network has not.
    """
    device = as_network(network).device
    found: dict[str, Natural] = {}
    for batch in _squares(paths):
        for layer, maps in as_network(network).look(batch.to(device), layers).items():
            positions = maps.float().flatten(2) if maps.ndim > 2 else maps.float()[..., None]
            now = Natural(positions.mean(2).amax(0).cpu(), positions.amax((0, 2)).cpu())
            old = found.get(layer, now)
            found[layer] = Natural(torch.maximum(old.mean, now.mean), torch.maximum(old.peak, now.peak))
    if not found:
        raise PictureError("there is no picture that can be read", "give photographs")
    return found


def save_natural(found: Mapping[str, Natural], path: str | Path, network: VGG, pictures: int) -> None:
    """Write maxima as safetensors, float16, with the network's names and the number of pictures."""
    named = {layer or _CLASS: natural for layer, natural in found.items()}
    tensors = {f"{layer}.{part}": getattr(n, part).half() for layer, n in named.items() for part in ("mean", "peak")}
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise SettingsError("these maxima are beyond float16", "nothing was written")
    about = {"network": network.plan.name, "weights": network.weights_name, "pictures": str(pictures)}
    save_file(tensors, path, about)


def load_natural(path: str | Path | None = None) -> dict[str, Natural]:
    """Maxima by layer, float32, from a file or those that come with vggapps: of vgg19 over 1,000 photographs.

    Raises:
        PictureError: the file can't be read.
    """
    try:
        data = (Path(path) if path else resources.files("vggapps") / "data" / _FILE).read_bytes()
        tensors = load(data)
    except (OSError, SafetensorError) as error:
        raise PictureError(f"{path}: these maxima can't be read: {error}", "make them again") from None
    layers = dict.fromkeys(name.rpartition(".")[0] for name in tensors)
    return {
        OUTPUT if layer == _CLASS else layer: Natural(
            tensors[f"{layer}.mean"].float(), tensors[f"{layer}.peak"].float()
        )
        for layer in layers
    }


def natural_maximum(text: str, network: nn.Module | None = None) -> tuple[Objective, float] | None:
    """What to measure of a picture made for an objective, and the most of it that any of 1,000 photographs has.

    >>> natural_maximum("conv4_3:12")[0].text, natural_maximum("conv4_3:12 + conv4_3:200")
    ('relu4_3:12', None)

    Args:
        text: one plain channel of a convolution or ReLU, ``conv4_3:12``: measured is its activation, the mean over
            positions behind the ReLU (before it the mean of most is negative for every photograph); one position of it,
            ``conv4_3:12@center``, is compared with the largest of all positions; ``class:tabby`` with that class's
            score. For sums, weights, directions and all else there is nothing to compare with.
        network: which sees the picture; None for vgg19 with the weights that are installed and, for classes, the head
            that comes with vggapps: what the photographs were shown to. Any other is compared with nothing.

    Returns:
        The objective and the photographs' maximum; None where there is none, or where it is not positive.
    """
    if network is not None and not _is_shipped(network):
        return None
    found, shipped = None, _shipped()
    if match := _CHANNEL.fullmatch(text):
        layer, index, place = match[1], int(match[2]), match[3]
        if layer in shipped and index < len(shipped[layer].mean):
            active = layer.replace("conv", "relu")
            found = (neuron(layer, index), shipped[layer].peak[index])
            if not place:
                found = (channel(active, index), shipped[active].mean[index])
            elif place != "@center":
                found = (neuron(layer, index, *map(int, place[1:].split(","))), shipped[layer].peak[index])
    elif text.startswith(f"{_CLASS}:"):
        with suppress(SettingsError):  # a sum, or none of ImageNet's classes
            index = find_label(text.partition(":")[2], labels_for(network) if network else None).index
            found = (class_score(index), shipped[OUTPUT].mean[index])
    return None if found is None or found[1] <= 0 else (found[0], float(found[1]))


def _is_shipped(network: nn.Module) -> bool:
    net = as_network(network)
    return net.weights_name in _WEIGHTS and net.pooling == "max"


@cache
def _shipped() -> Mapping[str, Natural]:
    return load_natural()


def _squares(paths: Iterable[str | Path]) -> Iterator[Float[Tensor, "n 3 s s"]]:
    """The squares in the middle of pictures, some at a time."""
    batch = []
    for _, image in scaled_pictures(paths, round(SIDE * 256 / 224)):
        if image is None:
            continue
        batch.append(center(image, SIDE))
        if len(batch) == BATCH:
            yield torch.cat(batch)
            batch = []
    if batch:
        yield torch.cat(batch)
