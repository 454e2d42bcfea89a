"""Inference mode: a network that is looked at answers the same each time, and stays as it is."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from vggapps.errors import SettingsError

_OTHERWISE = (_NormBase, _DropoutNd, nn.RReLU)  # modules of torch that do something else in training mode


def check_inference(network: nn.Module) -> None:
    """Refuse a network in training mode, or whose normalization or dropout is.

    There dropout makes every answer a matter of chance, and batch normalization depends on what else is in the batch
    and changes its statistics: looking would change the caller's network.

    Raises:
        SettingsError: the network, or one of its modules to which it matters, is in training mode.
    """
    if network.training:
        raise SettingsError("the network is in training mode", "call its eval() first, or freeze()")
    for name, module in network.named_modules():
        if module.training and isinstance(module, _OTHERWISE):
            raise SettingsError(f"the network's {name} is in training mode", "call the network's eval() first")
