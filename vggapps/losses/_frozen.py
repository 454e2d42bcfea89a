"""The network of a loss: not among its parameters, not in its state dict, and in memory only once."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch

from vggapps.errors import SettingsError
from vggapps.losses._trunk import Network
from vggapps.vgg._moving import Apply, moved_network, normal_tensors


class FrozenNetwork:
    """An immutable reference to a network: moving a loss replaces it, so copies of a loss can share it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._beside: dict[torch.device, FrozenNetwork] = {}

    @classmethod
    def of(cls, network: Network) -> FrozenNetwork:
        """The network in eval mode and channels-last, refused if it has no weights."""
        if any(tensor.is_meta for tensor in network.parameters()):
            raise SettingsError(
                "the loss's network is on the meta device and has no weights",
                "pass a loaded network: load_vgg('vgg19', head='none')",
            )
        with normal_tensors():
            if any(tensor.is_inference() for tensor in network.parameters()):
                network = deepcopy(network)  # inference tensors can't be used in training
            return cls(network.eval().to(memory_format=torch.channels_last))  # type: ignore[call-overload]

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenNetwork:
        return self

    def __reduce__(self) -> tuple[type[FrozenNetwork], tuple[Network]]:
        return FrozenNetwork, (self.network,)

    def moved(self, apply: Apply) -> FrozenNetwork:
        """After ``Module._apply``: itself if nothing moved."""
        network = moved_network(self.network, apply)
        return self if network is self.network else FrozenNetwork(network)

    def beside(self, device: torch.device) -> FrozenNetwork:
        """A copy on that device, cached because DataParallel makes new replicas at each step."""
        if device not in self._beside:
            self._beside[device] = self.moved(lambda t: t.to(device))
        return self._beside[device]
