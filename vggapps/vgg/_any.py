"""What rooms ask of a network, whoever made it: one of ours, or any module."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.vgg._foreign import Foreign
from vggapps.vgg._moving import check_differentiable
from vggapps.vgg._network import VGG
from vggapps.vgg._normalize import Convention
from vggapps.vgg._seen import Reach, Sees


class Network(Protocol):
    """A network with named layers. A VGG is one; :class:`~vggapps.vgg._foreign.Foreign` makes one of any module."""

    @property
    def name(self) -> str:
        """Of the kind of network: ``vgg19``, ``ResNet``."""

    @property
    def weights_name(self) -> str:
        """Where its weights come from; empty where that is not known."""

    @property
    def title(self) -> str:
        """In a few words, for people."""

    @property
    def pooling(self) -> str:
        """How it pools; empty where that is not known."""

    @property
    def convention(self) -> Convention | None:
        """What it does to RGB in [0, 1] before its first convolution; None for a module, which takes what it takes."""

    @property
    def layer_names(self) -> tuple[str, ...]:
        """In order; of a module the paths of ``named_modules()``."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs, in order; none where they are not known."""

    @property
    def outputs(self) -> int | None:
        """How many classes it tells apart; 0 without a head, None where only running it would tell."""

    @property
    def temperature(self) -> float:
        """What class scores are divided by for calibrated probabilities."""

    @property
    def device(self) -> torch.device:
        """Where its weights are; the CPU for a network without any."""

    @property
    def dtype(self) -> torch.dtype | None:
        """Of its weights; None for a network without any."""

    def check(self, layers: Iterable[str]) -> tuple[str, ...]:
        """The names as a tuple; a SettingsError for one that is no layer."""

    def channels(self, layer: str) -> int | None:
        """How many channels a layer has; None where only running the network would tell."""

    def features(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> dict[str, Tensor]:
        """The outputs of layers in one forward pass, no deeper than needed; ``OUTPUT`` is the network's own."""

    def look(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> dict[str, Tensor]:
        """The same in inference mode for RGB in [0, 1], in the dtype and the number of colours that it takes."""

    def is_grey(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> bool:
        """Whether it takes grey pictures only; the picture is one of a size that it takes."""

    def reach(self, layer: str, size: int | None = None) -> Reach:
        """How far the positions of a layer see; modules are tried with pictures of ``size``."""

    def sees(self, layer: str) -> Sees:
        """What each position of a layer sees: (row, column, size of the picture) to a box, clipped at its border."""

    def prepared(self, image: Float[Tensor, "n 3 h w"]) -> Tensor:
        """What its first layer is given for pictures."""

    def blank(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The picture that says nothing: the mean colour, zero to the convolutions, of ours; black for a module."""


def as_network(module: nn.Module) -> Network:
    """A module as rooms ask it."""
    return module if isinstance(module, VGG) else Foreign(module)


def features(network: nn.Module, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> dict[str, Tensor]:
    """The outputs of the named layers of our network or of any module, in one forward pass.

    Args:
        network: ours runs no deeper than the deepest layer; so does a module, which is left by an exception.
        image: what the network takes: ours RGB in [0, 1].
        layers: ``relu4_2``; in a module a path of ``named_modules()``. ``OUTPUT`` is the network's own output.

    Raises:
        SettingsError: the network has no such layer.
    """
    if image.requires_grad:
        check_differentiable(network)
    return as_network(network).features(image, layers)
