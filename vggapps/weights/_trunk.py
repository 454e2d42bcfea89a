"""Convolutions of networks other than VGG, which some perceptual distances use."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch
from torch import nn

from vggapps.errors import WeightsError, unknown
from vggapps.vgg._moving import normal_tensors
from vggapps.weights._files import check_finite
from vggapps.weights._layout import mismatch
from vggapps.weights._load import find_weights
from vggapps.weights._opening import open_weights

TrunkName = Literal["alexnet", "squeezenet1_1"]


@normal_tensors()
def load_trunk(name: TrunkName, weights: str | Path = "auto") -> nn.Sequential:
    """Load the ``features`` of a network of torchvision, frozen.

    Args:
        name: the network.
        weights: ``auto`` for torchvision's, of which only the convolutions are downloaded; a name from
            ``vggapps weights list``; or a file (.pth, .pt, .safetensors) of torchvision's network or its ``features``.

    Returns:
        The layers numbered as in torchvision, float32, on the CPU. Their input is N × 3 × H × W, normalized by
        torchvision's mean and standard deviation, ``imagenet`` of ``CONVENTIONS``.

    Raises:
        WeightsError: the weights are not available, are damaged, or do not fit.
        SettingsError: a wrong name.
    """
    if name not in get_args(TrunkName):
        raise unknown("trunk", name, get_args(TrunkName))
    from torchvision import models  # type: ignore[import-untyped]

    with torch.device("meta"):  # no initialization
        trunk: nn.Sequential = getattr(models, name)(weights=None).features
    record, path = find_weights(f"{name}-convolutions" if weights == "auto" else weights, name)
    state = {
        _full_name(key): value for key, value in open_weights(path).tensors.items() if not key.startswith("classifier.")
    }
    if problem := mismatch(state, {_full_name(key): value for key, value in trunk.state_dict().items()}):
        raise WeightsError(f"{path.name} does not fit {name}: {problem}", "use torchvision's file of that network")
    if record is None:  # files on record are checked by their digest
        check_finite(path, state)
    # Copied, because mapped tensors depend on the file.
    trunk.load_state_dict(
        {key: state[_full_name(key)].to(torch.float32, copy=True) for key in trunk.state_dict()}, assign=True
    )
    return trunk.eval().requires_grad_(False)


def _full_name(key: str) -> str:
    """The name in the whole network: the state of ``features`` has no prefix."""
    return f"features.{key.removeprefix('features.')}"
