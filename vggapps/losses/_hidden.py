"""The network of a loss, out of sight: in no list of parameters, in no state dict, and in memory once."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch

from vggapps.errors import SettingsError
from vggapps.losses._trunk import Network
from vggapps.vgg._moving import Apply, ordinary, relocated


class Hidden:
    """A frozen network that is never changed, only replaced by a moved one; so copies of a loss share it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._beside: dict[torch.device, Hidden] = {}

    @classmethod
    def of(cls, network: Network) -> Hidden:
        """A network that a loss is given; channels-last from now on.

        Raises:
            SettingsError: it has no weights.
        """
        if any(tensor.is_meta for tensor in network.parameters()):
            raise SettingsError(
                "the loss's network lies on meta: it has no weights",
                "give it a loaded one: load_vgg('vgg19', head='none')",
            )
        with ordinary():
            if any(tensor.is_inference() for tensor in network.parameters()):
                network = deepcopy(network)  # into tensors that can be trained with
            return cls(network.eval().to(memory_format=torch.channels_last))  # type: ignore[call-overload]

    def __deepcopy__(self, memo: dict[int, Any]) -> Hidden:
        return self

    def __reduce__(self) -> tuple[type[Hidden], tuple[Network]]:
        return Hidden, (self.network,)

    def moved(self, apply: Apply) -> Hidden:
        """Where ``Module._apply`` wants it: this one, or another."""
        network = relocated(self.network, apply)
        return self if network is self.network else Hidden(network)

    def beside(self, device: torch.device) -> Hidden:
        """On that device; kept, for DataParallel makes its replicas anew at each step."""
        if device not in self._beside:
            self._beside[device] = self.moved(lambda t: t.to(device))
        return self._beside[device]
