"""Convolutions of networks that are no VGG, which some perceptual distances are made on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch
from torch import nn

from vggapps.errors import WeightsError, unknown
from vggapps.vgg._moving import ordinary
from vggapps.weights._files import check_finite
from vggapps.weights._layout import misfit
from vggapps.weights._load import find_weights
from vggapps.weights._opening import open_weights

TrunkName = Literal["alexnet", "squeezenet1_1"]


@ordinary()
def load_trunk(name: TrunkName, weights: str | Path = "auto") -> nn.Sequential:
    """torchvision's ``features`` of a network, frozen, with weights; never with random ones.

    Args:
        name: the network.
        weights: ``auto`` for torchvision's own, of which the convolutions alone are downloaded; a name from
            ``vggapps weights list``; or a file (.pth, .pt, .safetensors) of torchvision's network, whole or its
            ``features`` only.

    Returns:
        The layers as torchvision numbers them, float32, on the CPU. They take N × 3 × H × W pictures of which
        torchvision's mean was subtracted and that were divided by its deviation, ``imagenet`` of
        ``CONVENTIONS``.

    Raises:
        WeightsError: the weights can't be had, are damaged, or do not fit.
        SettingsError: a wrong name.
    """
    if name not in get_args(TrunkName):
        raise unknown("trunk", name, get_args(TrunkName))
    from torchvision import models  # type: ignore[import-untyped]

    with torch.device("meta"):  # no numbers are made that the file's would replace
        trunk: nn.Sequential = getattr(models, name)(weights=None).features
    record, path = find_weights(f"{name}-convolutions" if weights == "auto" else weights, name)
    state = {
        _named(key): value for key, value in open_weights(path).tensors.items() if not key.startswith("classifier.")
    }
    if problem := misfit(state, {_named(key): value for key, value in trunk.state_dict().items()}):
        raise WeightsError(f"{path.name} does not fit {name}: {problem}", "give torchvision's file of that network")
    if record is None:  # those on record have been checked
        check_finite(path, state)
    # Copied, for a tensor of a mapped file lives and dies with it.
    trunk.load_state_dict(
        {key: state[_named(key)].to(torch.float32, copy=True) for key in trunk.state_dict()}, assign=True
    )
    return trunk.eval().requires_grad_(False)


def _named(key: str) -> str:
    """As in the whole network: the state of ``features`` alone goes without the word."""
    return f"features.{key.removeprefix('features.')}"
