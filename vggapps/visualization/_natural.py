"""Statistics of natural pictures: the largest activations, to compare scores with, and the mean spectrum."""

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
from vggapps.image import center_crop, open_picture, scan_folder, with_shorter_side
from vggapps.objectives._objective import Objective, channel, class_score, neuron
from vggapps.optimize._parameterize import spectrum_of
from vggapps.vgg._hooks import OUTPUT
from vggapps.vgg._network import VGG
from vggapps.vgg._wrapped import as_network
from vggapps.weights._labels import find_label, labels_for

SPECTRUM_SIDE = 128
"""Side of the central crop for spectra, in pixels, after the shorter side is scaled to twice that."""
_SIDE = 224  # pixels; central crop for maxima, after the shorter side is scaled to 256
_BATCH = 8
_CLASS = "class"  # name of the network's output in files
_FILE = "vgg19-natural.safetensors"
_WEIGHTS = ("vgg19-installed", "vgg19-gap")
_CHANNEL = re.compile(r"(\w+):(\d+)(@center|@\d+,\d+)?")


@dataclass(frozen=True, eq=False)
class Natural:
    """The largest activations of each channel of a layer over natural pictures."""

    mean: Float[Tensor, " c"]  # maximum over pictures of the mean over positions
    peak: Float[Tensor, " c"]  # maximum over pictures and positions


@torch.inference_mode()
def maxima(network: nn.Module, paths: Iterable[str | Path], layers: Sequence[str]) -> dict[str, Natural]:
    """The largest activations over natural pictures, for each channel of some layers.

    The shorter side of each picture is scaled to 256, and the central square of 224 is used.

    Args:
        network: takes pictures in [0, 1].
        paths: pictures; unreadable ones are reported and skipped.
        layers: names, or paths in a module; ``OUTPUT`` is the network's own output.

    Raises:
        PictureError: no picture can be read.
        SettingsError: the network has no such layer.
    """
    device = as_network(network).device
    found: dict[str, Natural] = {}
    for batch in _squares(paths):
        for layer, maps in as_network(network).eval_features(batch.to(device), layers).items():
            positions = maps.float().flatten(2) if maps.ndim > 2 else maps.float()[..., None]
            now = Natural(positions.mean(2).amax(0).cpu(), positions.amax((0, 2)).cpu())
            old = found.get(layer, now)
            found[layer] = Natural(torch.maximum(old.mean, now.mean), torch.maximum(old.peak, now.peak))
    if not found:
        raise PictureError("none of the pictures can be read", "give photographs")
    return found


def save_natural(found: Mapping[str, Natural], path: str | Path, network: VGG, pictures: int) -> None:
    """Write maxima to a safetensors file as float16, with network, weights and number of pictures as metadata."""
    named = {layer or _CLASS: natural for layer, natural in found.items()}
    tensors = {f"{layer}.{part}": getattr(n, part).half() for layer, n in named.items() for part in ("mean", "peak")}
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise SettingsError("these maxima exceed the range of float16", "nothing was written")
    about = {"network": network.plan.name, "weights": network.weights_name, "pictures": str(pictures)}
    save_file(tensors, path, about)


def load_natural(path: str | Path | None = None) -> dict[str, Natural]:
    """Maxima by layer, float32, from a file; by default those shipped with vggapps, of vgg19 over 1,000 photographs.

    Raises:
        PictureError: the file can't be read.
    """
    try:
        data = (Path(path) if path else resources.files("vggapps") / "data" / _FILE).read_bytes()
        tensors = load(data)
    except (OSError, SafetensorError) as error:
        raise PictureError(f"{path} can't be read as maxima: {error}", "make them again") from None
    layers = dict.fromkeys(name.rpartition(".")[0] for name in tensors)
    return {
        OUTPUT if layer == _CLASS else layer: Natural(
            tensors[f"{layer}.mean"].float(), tensors[f"{layer}.peak"].float()
        )
        for layer in layers
    }


def natural_maximum(text: str, network: nn.Module | None = None) -> tuple[Objective, float] | None:
    """What to measure of a visualization, and the maximum of this measure over 1,000 photographs.

    >>> natural_maximum("conv4_3:12")[0].text, natural_maximum("conv4_3:12 + conv4_3:200")
    ('relu4_3:12', None)

    Args:
        text: the objective. For a channel, ``conv4_3:12``, the measure is the mean after the ReLU (before it, the
            mean of most channels is negative for all photographs); for a position, ``conv4_3:12@center``, the
            activation, compared with the maximum over positions; for ``class:tabby`` the logit. Nothing is known
            for sums, weights, directions and other objectives.
        network: the network of the visualization. Maxima are known only for vgg19 with the installed weights and,
            for classes, the head shipped with vggapps, which is the default.

    Returns:
        The measure and the maximum over the photographs; None if it is not known or not positive.
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
        with suppress(SettingsError):  # a sum, or not a class of ImageNet
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
    """Batches of the central squares of pictures."""
    batch = []
    for _, image in scaled_pictures(paths, 256):
        if image is None:
            continue
        batch.append(center_crop(image, _SIDE))
        if len(batch) == _BATCH:
            yield torch.cat(batch)
            batch = []
    if batch:
        yield torch.cat(batch)


def load_spectrum(folder: str | Path | None = None) -> Float[Tensor, "3 h w"]:
    """The mean spectrum of the pictures in a folder; by default the one shipped with vggapps.

    Raises:
        PictureError: the folder contains no pictures, or one of them can't be read.
    """
    if folder is None:
        data = (resources.files("vggapps") / "data" / "spectrum.safetensors").read_bytes()
        return load(data)["spectrum"].float()
    paths = scan_folder(folder).pictures
    if not paths:
        raise PictureError(f"{folder}: there is no picture in this folder", "give a folder of photographs")
    return torch.stack(
        [spectrum_of(spectrum_square(open_picture(path, at_least=2 * SPECTRUM_SIDE).rgb)) for path in paths]
    ).mean(0)


def spectrum_square(image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 s s"]:
    """The central crop for a spectrum: half of the shorter side, :data:`SPECTRUM_SIDE` pixels."""
    return center_crop(with_shorter_side(image, 2 * SPECTRUM_SIDE), SPECTRUM_SIDE)
