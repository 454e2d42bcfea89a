"""Check that a network is in evaluation mode, where its output is deterministic and its state does not change."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from vggapps.errors import SettingsError

_MODE_DEPENDENT = (_NormBase, _DropoutNd, nn.RReLU)  # modules that behave differently in training mode


def check_inference(network: nn.Module) -> None:
    """Raise a SettingsError for a network in training mode, or one with a normalization or dropout layer in it.

    In training mode dropout is random, and batch normalization depends on the rest of the batch and updates its
    statistics, which would change the caller's network.
    """
    if network.training:
        raise SettingsError("the network is in training mode", "call its eval() first, or freeze()")
    for name, module in network.named_modules():
        if module.training and isinstance(module, _MODE_DEPENDENT):
            raise SettingsError(f"the network's {name} is in training mode", "call the network's eval() first")
