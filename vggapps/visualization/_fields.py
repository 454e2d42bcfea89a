"""What the positions of a layer can see of a picture."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from torch import nn

from vggapps.objectives._text import Networks
from vggapps.vgg._any import as_network
from vggapps.vgg._seen import LARGEST
from vggapps.vgg._seen import Sees as Sees

SMALLEST = 64  # pixels a side, by default: less shows a patch of what repeats
_STRIDES = 7  # that a side has for what sees everything: the 32 pixels of networks for 224


class Field(NamedTuple):
    """What the deepest of some layers sees.

    Attributes:
        side: of a picture to look at it by, in pixels: what it sees, from 64 to 224; for a module that takes pictures
            of one size, that size.
        seen: the side of what it sees, in pixels.
        stride: pixels from one of its positions to the next.
    """

    side: int
    seen: int
    stride: int


def field_of(networks: Networks, wanted: Collection[str], size: int | None = None) -> Field:
    """The largest numbers of some layers.

    Args:
        networks: by name.
        wanted: layers, of another network than the first with its name in front: ``vgg16/conv4_3``.
        size: of the pictures that modules are tried with; None for what they take, first of all 224.
    """
    found = [_field(networks[name], own, size) for name, _, own in (layer.rpartition("/") for layer in wanted)]
    return Field(*(max(numbers) for numbers in zip(*found, strict=True)))


def sees_of(network: nn.Module, layer: str) -> Sees:
    """What each position of a layer can see: (row, column, size of the picture) to a box, clipped at its border."""
    return as_network(network).sees(layer)


def _field(network: nn.Module, layer: str, size: int | None) -> Field:
    seen, stride, side = as_network(network).reach(layer, size)
    if seen:
        return Field(min(LARGEST, max(SMALLEST, seen)), seen, max(1, stride))
    return Field(side, side, max(1, side // _STRIDES))
