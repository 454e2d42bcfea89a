"""Sizes and costs of the layers of a plan, by arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from vggapps.errors import SettingsError
from vggapps.vgg._plan import AVERAGED, Head, Plan, Pooled, get_plan, layers


@dataclass(frozen=True)
class LayerFacts:
    """Size and cost of one layer for one image of a given size.

    Attributes:
        shape: of the output, without the batch: (channels, height, width) or (channels,).
        parameters: number of trainable parameters.
        multiply_adds: of convolutions and linear layers; by convention 0 for other layers.
        receptive_field: its side in pixels of the image; 0: the whole image.
        stride: pixels of the image between neighbouring output positions; 0: there is only one position.
        bytes: of the output in float32.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: int
    stride: int
    bytes: int


def layer_facts(
    plan: str | Plan,
    size: int | tuple[int, int] = 224,
    head: Head = "fc",
    classes: int = 1000,
    pooled: Pooled = AVERAGED,
) -> list[LayerFacts]:
    """Shape, parameters, multiply-adds, receptive field, stride and memory of every layer.

    Args:
        plan: a network or its name.
        size: side of a square image, or (height, width), in pixels.
        head: see :func:`layers`. ``fc`` has the multiply-adds of one 7×7 position at any size.
        classes: outputs of the last layer.
        pooled: input of the head ``gap``.

    Raises:
        SettingsError: unknown network, or an image too small for it.
    """
    plan = get_plan(plan)
    h, w = height, width = (size, size) if isinstance(size, int) else size
    field, jump, facts = 1, 1, []
    is_map = True
    for layer in layers(plan, head, classes, pooled):
        weights = layer.channels * layer.inputs * layer.kernel**2
        parameters = weights + layer.channels if weights else 2 * layer.channels * (layer.kind == "bn")
        if layer.kind == "radial":
            parameters = weights + 2 * layer.inputs
        if layer.kind in ("flatten", "gap"):
            is_map, field, jump = False, 0, 0
        if is_map:
            h = (h + 2 * layer.padding - layer.kernel) // layer.stride + 1
            w = (w + 2 * layer.padding - layer.kernel) // layer.stride + 1
            if h < 1 or w < 1:
                raise SettingsError(
                    f"{width} × {height} pixels are too few for {plan.name}: {layer.name} would be empty",
                    f"use at least {minimum_side(plan, head)} pixels on each side",
                )
            field, jump = field + (layer.kernel - 1) * jump, jump * layer.stride
        shape = (layer.channels, h, w) if is_map else (layer.channels,)
        positions = h * w if is_map else 1
        if layer.kind != "flatten":
            cost = weights * positions, field, jump, 4 * layer.channels * positions
            facts.append(LayerFacts(layer.name, layer.kind, shape, parameters, *cost))
    return facts


def minimum_side(plan: Plan, head: Head = "none") -> int:
    """The smallest side of an image, in pixels, for which the last layer has an output."""
    halvings = 1 << len(plan.blocks)
    return 7 * halvings if head == "conv" else halvings
