"""Modules for the layers of a plan."""

from __future__ import annotations

from copy import copy
from typing import Literal

from torch import nn

from vggapps.vgg._exact import ExactLinear, Radial, ResponseNorm
from vggapps.vgg._plan import Layer, Pooled
from vggapps.vgg._pooling import Flatten, Pool, Pooling, Sliding, Summarize

Padding = Literal["zeros", "replicate", "reflect", "replicate-first"]
PADDINGS: tuple[Padding, ...] = ("zeros", "replicate", "reflect", "replicate-first")


def make_layer(layer: Layer, pooling: Pooling, padding: Padding, pooled: Pooled) -> nn.Module:
    match layer.kind:
        case "conv":
            kind = Sliding if layer.name.startswith("fc") else nn.Conv2d
            mode = padding_of(layer.name, padding)
            return kind(layer.inputs, layer.channels, layer.kernel, padding=layer.padding, padding_mode=mode)
        case "linear":
            return (ExactLinear if pooled.radial else nn.Linear)(layer.inputs, layer.channels)
        case "bn":
            return nn.BatchNorm2d(layer.channels)
        case "relu":
            return nn.ReLU()
        case "lrn":
            # AlexNet's constants, as in the paper: n 5, alpha 1e-4, beta 0.75, k 2. torch divides alpha by n.
            return ResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
        case "pool":
            return Pool(pooling)
        case "drop":
            return nn.Dropout(0.5)
        case "flatten":
            return Flatten()
        case "gap":
            return Summarize(pooled)
        case "radial":
            return Radial(layer.inputs, layer.channels)
    raise ValueError(f"{layer.name} has an unknown kind, {layer.kind!r}")


def padding_of(layer: str, padding: Padding) -> Literal["zeros", "replicate", "reflect"]:
    """The padding mode of one convolution."""
    if padding == "replicate-first":
        return "replicate" if layer == "conv1_1" else "zeros"
    return padding


def with_padding(conv: nn.Conv2d, mode: Literal["zeros", "replicate", "reflect"]) -> nn.Conv2d:
    """A convolution that shares the weights, with another padding mode."""
    other = copy(conv)
    other._parameters = dict(conv._parameters)
    other.padding_mode = mode
    return other


def as_convolution(linear: nn.Linear, side: int) -> Sliding:
    """A linear layer on flattened maps of side × side positions, as a convolution that shares its weights."""
    outputs, inputs = linear.out_features, linear.in_features // side**2
    conv = Sliding(inputs, outputs, side, device="meta", exact=isinstance(linear, ExactLinear))
    conv.weight = nn.Parameter(linear.weight.view(outputs, inputs, side, side), linear.weight.requires_grad)
    conv.bias = linear.bias
    return conv.train(linear.training)
