"""Receptive fields of a VGG's layers, computed from kernels, strides and paddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vggapps.vgg._facts import layer_facts, minimum_side
from vggapps.vgg._plan import Head, Plan, Pooled, Pooling, layers

Box = tuple[int, int, int, int]  # left, top, right, bottom
BoxAt = Callable[[int, int, tuple[int, int]], Box]  # row, column, (height, width) of the image; clipped to the image
TRAINING_SIDE = 224  # side in pixels of the images that most published networks were trained on


class ReceptiveField(NamedTuple):
    """The receptive field of a layer's positions.

    Attributes:
        size: its side in pixels; 0: the whole image.
        stride: pixels from one position to the next; 0: there is only one.
        image_side: side of the images that the network takes, if it takes one size or the field is the whole image.
    """

    size: int
    stride: int
    image_side: int = TRAINING_SIDE


def receptive_field(plan: Plan, head: Head, pooled: Pooled, layer: str, image_side: int) -> ReceptiveField:
    """The receptive field of a layer of a VGG; that of the network's output, "", is the whole image."""
    facts = {one.name: one for one in layer_facts(plan, minimum_side(plan, head), head, pooled=pooled)}
    field, stride = (facts[layer].receptive_field, facts[layer].stride) if layer else (0, 0)
    return ReceptiveField(field, stride, image_side)


def receptive_boxes(plan: Plan, head: Head, pooled: Pooled, pooling: Pooling, layer: str) -> BoxAt:
    """The receptive field of each position of a layer of a VGG."""
    start, field, jump = 0, 1, 1
    is_global = False
    for one in layers(plan, head, pooled=pooled):
        kernel, padding = (3, 1) if one.kind == "pool" and pooling == "hann" else (one.kernel, one.padding)
        is_global |= one.kind in ("flatten", "gap")
        start, field, jump = start - padding * jump, field + (kernel - 1) * jump, jump * one.stride
        if one.name == layer:
            break

    def box_at(row: int, column: int, size: tuple[int, int]) -> Box:
        height, width = size
        if is_global:
            return 0, 0, width, height
        left, top = start + column * jump, start + row * jump
        return max(0, left), max(0, top), min(width, left + field), min(height, top + field)

    return box_at
