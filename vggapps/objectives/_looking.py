"""What any network sees of a picture: ours, and other people's, which may want grey pictures, or one size only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain

import torch
from jaxtyping import Float
from kornia.color import rgb_to_grayscale
from torch import Tensor, nn

from vggapps.errors import SettingsError, VggappsError, out_of_memory
from vggapps.optimize._engine import Render
from vggapps.vgg._hooks import features
from vggapps.vgg._inference import check_inference
from vggapps.vgg._network import VGG

_COLOURS = re.compile("channels|running_mean")  # what torch's errors about the wrong number of colours have in common
_Found = dict[str, Tensor]


def look(network: nn.Module, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> _Found:
    """The outputs of layers for pictures.

    Args:
        network: ours, or any module in inference mode that takes pictures in [0, 1], RGB or grey. A module that
            refuses three channels and takes one gets the luminance (ITU-R BT.601). A module gets the pictures in the
            dtype of its weights.
        image: RGB in [0, 1].
        layers: as ``features`` has them.

    Raises:
        SettingsError: a network in training mode, a layer that it has not, or pictures that it does not take.
    """
    if isinstance(network, VGG):
        check_inference(network)
        return features(network, image, layers)
    layers = tuple(layers)
    found = _attempt(network, image, layers)
    if isinstance(found, dict):
        return found
    grey = _attempt(network, luminance(image), layers)
    if isinstance(grey, dict):
        return grey
    # Of the two errors the one that is not about the number of colours is what is wrong.
    raise _refused(network, image, found if _COLOURS.search(str(grey)) else grey) from found


def is_grey(network: nn.Module, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> bool:
    """Whether a network takes grey pictures only; the picture is one of a size that it takes."""
    if isinstance(network, VGG):
        return False
    layers = tuple(layers)
    attempts = (_attempt(network, shown, layers) for shown in (image, luminance(image)))
    return [isinstance(found, dict) for found in attempts] == [False, True]


def luminance(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """What is grey of pictures."""
    grey: Tensor = rgb_to_grayscale(image)
    return grey


def in_grey(render: Render) -> Render:
    """The same pictures without colours, of three equal channels."""
    return lambda leaves: luminance(render(leaves)).expand(-1, 3, -1, -1)


def device_of(network: nn.Module) -> torch.device:
    """Where a network is; the CPU for one without numbers."""
    first = next(chain(network.parameters(), network.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def _attempt(network: nn.Module, image: Tensor, layers: Iterable[str]) -> _Found | Exception:
    check_inference(network)
    numbers = next((p for p in network.parameters() if p.is_floating_point()), image)
    try:
        return features(network, image.to(numbers.dtype), layers)
    except VggappsError:
        raise
    except (RuntimeError, ValueError, AssertionError) as error:  # what modules raise for shapes that they don't take
        if out_of_memory(error):
            raise
        return error


def _refused(network: nn.Module, image: Tensor, error: Exception) -> SettingsError:
    height, width = image.shape[2:]
    why = next(iter(str(error).splitlines()), type(error).__name__)
    hint = "a network with linear layers takes one size: give it as size=, or choose a layer before them"
    if _COLOURS.search(why):
        hint = "wrap it in a module that takes RGB pictures in [0, 1]"
    return SettingsError(f"{type(network).__name__} can't look at a picture of {width} x {height} px: {why}", hint)
