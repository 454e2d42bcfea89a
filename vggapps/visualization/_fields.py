"""What the positions of a layer can see of a picture."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.figures._sheet import Bounds
from vggapps.objectives._looking import device_of, look
from vggapps.objectives._text import Networks
from vggapps.vgg._hooks import replaced
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import layer_facts, layers

Sees = Callable[[int, int, tuple[int, int]], Bounds]  # row, column, (height, width) of the picture
SMALLEST = 64  # pixels a side, by default: less shows a patch of what repeats
LARGEST = 224  # pixels a side, by default: what the networks were trained on
_SIDES = (LARGEST, 32, 28, 64, 96, 128, 256, 299, 384, 512)  # that fixed inputs usually have, tried in this order
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
    """What each position of a layer can see: (row, column, size of the picture) to a box, clipped at its border.

    For ours that is arithmetic: kernels, strides and paddings add up. For any other module it is where the position
    has a gradient, after ReLUs have become linear and maximum poolings averages, which hide nothing; what a module
    does in functions is taken as it is, for one picture of noise. Layers without positions see everything.
    """
    if isinstance(network, VGG):
        return _by_arithmetic(network, layer)
    return _by_gradient(network, layer)


def _field(network: nn.Module, layer: str, size: int | None) -> Field:
    seen = stride = 0
    if isinstance(network, VGG):
        if layer:
            facts = {f.name: f for f in layer_facts(network.plan, LARGEST, network.head, pooled=network.pooled)}
            seen, stride = facts[layer].receptive_field or 0, facts[layer].stride or 0
        return _of_positions(seen, stride) if seen else _of_everything(LARGEST)
    for side in (size,) if size else _SIDES:
        with torch.no_grad(), suppress(SettingsError):
            maps = look(network, torch.zeros(1, 3, side, side, device=device_of(network)), (layer,))[layer]
            return _measured(network, layer, side, maps)
    return _of_everything(size or LARGEST)  # looking will say why


def _measured(network: nn.Module, layer: str, side: int, maps: Tensor) -> Field:
    if maps.ndim < 4 or max(maps.shape[2:]) == 1:
        return _of_everything(side)
    row, column = maps.shape[2] // 2, maps.shape[3] // 2
    sees = sees_of(network, layer)
    (left, top, right, bottom), before = sees(row, column, (side, side)), sees(row, column - 1, (side, side))
    return _of_positions(max(right - left, bottom - top), left - before[0] or round(side / maps.shape[3]))


def _of_positions(seen: int, stride: int) -> Field:
    return Field(min(LARGEST, max(SMALLEST, seen)), seen, max(1, stride))


def _of_everything(side: int) -> Field:
    return Field(side, side, max(1, side // _STRIDES))


def _by_arithmetic(network: VGG, layer: str) -> Sees:
    start, field, jump = 0, 1, 1
    everything = False
    for one in layers(network.plan, network.head, pooled=network.pooled):
        kernel, padding = (3, 1) if one.kind == "pool" and network.pooling == "hann" else (one.kernel, one.padding)
        everything |= one.kind in ("flatten", "gap")
        start, field, jump = start - padding * jump, field + (kernel - 1) * jump, jump * one.stride
        if one.name == layer:
            break

    def sees(row: int, column: int, size: tuple[int, int]) -> Bounds:
        height, width = size
        if everything:
            return 0, 0, width, height
        left, top = start + column * jump, start + row * jump
        return max(0, left), max(0, top), min(width, left + field), min(height, top + field)

    return sees


def _by_gradient(network: nn.Module, layer: str) -> Sees:
    linear = network
    for kind, other in ((nn.ReLU, _nothing), (nn.MaxPool2d, _average)):
        with suppress(SettingsError):  # it has none
            linear = replaced(linear, kind, other)

    @cache
    def sees(row: int, column: int, size: tuple[int, int]) -> Bounds:
        noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(device_of(network))
        with torch.inference_mode(False), torch.enable_grad():
            image = noise.clone().requires_grad_()
            maps = look(linear, image, (layer,))[layer]
            seen = maps.flatten(1) if maps.ndim < 4 else maps[:, :, row, column]
            (slope,) = torch.autograd.grad(seen.sum(), image)
        moves = slope[0].ne(0).any(0)
        rows, columns = moves.any(1).nonzero().flatten().tolist(), moves.any(0).nonzero().flatten().tolist()
        if not rows:
            return 0, 0, size[1], size[0]
        return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1

    return sees


def _nothing(relu: nn.Module) -> nn.Module:
    return nn.Identity().train(relu.training)


def _average(pool: nn.Module) -> nn.Module:
    assert isinstance(pool, nn.MaxPool2d)
    return nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode).train(pool.training)
