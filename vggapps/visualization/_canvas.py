"""Canvas sizes for layers, and the photos that dreams and inversions start from."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from os import PathLike
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, argument
from vggapps.image import Picture, open_picture, resize, rgb_of, scaled
from vggapps.objectives._text import Networks
from vggapps.optimize._pyramid import cropped
from vggapps.optimize._step import Step
from vggapps.vgg._moving import as_normal_tensor
from vggapps.vgg._receptive_field import TRAINING_SIDE
from vggapps.vgg._wrapped import as_network

Source = str | PathLike[str] | Picture | Tensor

SMALLEST = 64  # pixels; smaller canvases show only a part of a repeating pattern
_STRIDES = 7  # strides per side for a layer that sees the whole image: 32 pixels at 224


class Field(NamedTuple):
    """The largest receptive field of some layers, in pixels."""

    side: int  # of the canvas: the receptive field clipped to 64 to 224; the input size of a module that has only one
    seen: int  # side of the receptive field
    stride: int  # distance of neighbouring positions


def field_of(networks: Networks, layers: Collection[str], size: int | None = None) -> Field:
    """The largest receptive field of some layers, of further networks with a prefix: ``vgg16/conv4_3``.

    Modules are measured at input ``size``; by default at one that they accept, 224 first.
    """
    found = [_field(networks[name], own, size) for name, _, own in (layer.rpartition("/") for layer in layers)]
    return Field(*(max(numbers) for numbers in zip(*found, strict=True)))


def _field(network: nn.Module, layer: str, size: int | None) -> Field:
    seen, stride, side = as_network(network).receptive_field(layer, size)
    if seen:
        return Field(min(TRAINING_SIDE, max(SMALLEST, seen)), seen, max(1, stride))
    return Field(side, side, max(1, side // _STRIDES))


def load_photo(source: Source, longer_side: int) -> Float[Tensor, "1 3 h w"]:
    """RGB in [0, 1] of a file, a picture or a tensor, scaled to that longer side.

    Raises:
        PictureError: the file can't be read.
        SettingsError: a tensor that is not an image.
    """
    rgb = rgb_of(open_picture(source, at_least=2 * longer_side) if isinstance(source, str | PathLike) else source)
    rgb = as_normal_tensor(rgb)
    return resize(rgb, scaled(rgb.shape[2], rgb.shape[3], longer_side))


def check_size(size: tuple[int, int], stride: int) -> None:
    """Check that an image of (height, width) is no smaller than the stride of the deepest layer.

    Raises:
        SettingsError: it is smaller.
    """
    if min(size) < stride:
        raise SettingsError(
            f"{size[1]} x {size[0]} px is too narrow: the deepest layer has a stride of {stride} px",
            f"use a {argument('size')} of at least {math.ceil(stride * max(size) / min(size))}",
        )


def crop_step(step: Step, size: tuple[int, int]) -> Step:
    """The step with the centre of its image, (height, width)."""
    return replace(step, size=size, _image=lambda: cropped(step.image(), size))
