"""What the positions of a layer see of a picture, by arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vggapps.vgg._plan import Head, Plan, Pooled, Pooling, layer_facts, layers

Box = tuple[int, int, int, int]  # left, top, right, bottom
Sees = Callable[[int, int, tuple[int, int]], Box]  # row, column, (height, width) of the picture
LARGEST = 224  # pixels a side of the pictures that networks were trained on


class Reach(NamedTuple):
    """How far the positions of a layer see.

    Attributes:
        seen: side of what one position sees, in pixels; 0: all of the picture.
        stride: pixels from one position to the next; 0: there is only one.
        side: of the pictures that the network takes, where it takes one size only or sees everything.
    """

    seen: int
    stride: int
    side: int = LARGEST


def reach(plan: Plan, head: Head, pooled: Pooled, layer: str) -> Reach:
    """How far the positions of a layer of ours see; those of the network's output see everything."""
    facts = {one.name: one for one in layer_facts(plan, LARGEST, head, pooled=pooled)}
    return Reach(facts[layer].receptive_field, facts[layer].stride) if layer else Reach(0, 0)


def boxes(plan: Plan, head: Head, pooled: Pooled, pooling: Pooling, layer: str) -> Sees:
    """What each position of a layer of ours sees: kernels, strides and paddings add up."""
    start, field, jump = 0, 1, 1
    everything = False
    for one in layers(plan, head, pooled=pooled):
        kernel, padding = (3, 1) if one.kind == "pool" and pooling == "hann" else (one.kernel, one.padding)
        everything |= one.kind in ("flatten", "gap")
        start, field, jump = start - padding * jump, field + (kernel - 1) * jump, jump * one.stride
        if one.name == layer:
            break

    def sees(row: int, column: int, size: tuple[int, int]) -> Box:
        height, width = size
        if everything:
            return 0, 0, width, height
        left, top = start + column * jump, start + row * jump
        return max(0, left), max(0, top), min(width, left + field), min(height, top + field)

    return sees
