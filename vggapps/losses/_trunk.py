"""The convolutions of AlexNet and SqueezeNet with named layers: the other networks of LPIPS."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from pathlib import Path
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.vgg._names import as_names, unknown_layer
from vggapps.vgg._network import VGG
from vggapps.vgg._normalize import IMAGENET, Convention
from vggapps.weights._trunk import TrunkName, load_trunk

# Names of the outputs that LPIPS uses, by their index in torchvision's ``features``.
LAYERS: dict[TrunkName, dict[int, str]] = {
    "alexnet": {1: "relu1", 4: "relu2", 7: "relu3", 9: "relu4", 11: "relu5"},
    "squeezenet1_1": {1: "relu1", 4: "fire3", 7: "fire5", 9: "fire6", 10: "fire7", 11: "fire8", 12: "fire9"},
}
# Shorter side in pixels of the smallest picture that the last layer can pool.
_SIDES: dict[TrunkName, int] = {"alexnet": 31, "squeezenet1_1": 17}


class Trunk(nn.Module):
    """A frozen network other than VGG with the same interface: ``trunk.features(image, layers)``.

    Args:
        name: of the network.
        modules: the layers in torchvision's order.
        weights_name: origin of the weights.
        convention: preprocessing of the input.
    """

    frozen = True

    def __init__(
        self, name: TrunkName, modules: nn.Sequential, weights_name: str = "", convention: Convention = IMAGENET
    ) -> None:
        super().__init__()
        self.name: TrunkName = name
        self.layers = modules.eval().requires_grad_(False)
        self.weights_name = weights_name
        self.convention = convention
        self.layer_names = tuple(LAYERS[name].values())

    @classmethod
    def load(cls, name: TrunkName, weights: str | Path = "auto") -> Self:
        """With weights; see :func:`vggapps.weights.load_trunk`."""
        found = f"{name}-convolutions" if weights == "auto" else Path(weights).name
        return cls(name, load_trunk(name, weights), found)

    def features(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> dict[str, Float[Tensor, "n c h2 w2"]]:
        """Outputs of the named layers for RGB pictures in [0, 1]; deeper layers are not run."""
        requested = set(self.check(layers))
        found: dict[str, Tensor] = {}
        x = self.convention(image).to(next(self.layers.parameters()).dtype)
        for index, module in enumerate(self.layers):
            if len(found) == len(requested):
                break
            x = module(x)
            name = LAYERS[self.name].get(index)
            if name in requested:
                found[name] = x
        return found

    def variant(self, *, convention: Convention) -> Trunk:
        """The same network, with shared weights and another input convention."""
        other = copy(self)
        other.convention = convention
        return other

    def check(self, layers: Iterable[str]) -> tuple[str, ...]:
        """The names as a tuple; an unknown name is an error that suggests the nearest."""
        names = as_names(layers)
        for name in names:
            if name not in self.layer_names:
                indexed = {f"features.{index}": layer for index, layer in LAYERS[self.name].items()}
                raise unknown_layer(name, self.layer_names, indexed)
        return names

    def smallest_side(self, layers: Iterable[str]) -> int:
        """Shorter side in pixels of the smallest picture for these layers."""
        return _SIDES[self.name]

    @property
    def title(self) -> str:
        """Network, weights and input convention in one line."""
        return f"{self.name} ({self.weights_name or 'own weights'}, {self.convention.name} input)"

    def train(self, mode: bool = True) -> Self:
        """Has no effect: the network stays in eval mode."""
        return super().train(False)


Network = VGG | Trunk


def equal(a: Network, b: Network) -> bool:
    """Whether two networks compute the same: equal layers (as printed), input convention and weights."""
    if a is b:
        return True
    if repr(a) != repr(b) or a.convention != b.convention:
        return False
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(p.dtype == q.dtype and p.device == q.device and torch.equal(p, q) for p, q in pairs)
