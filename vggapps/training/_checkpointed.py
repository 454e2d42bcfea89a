"""Activation checkpointing: less memory for about a third more time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from vggapps.vgg._network import VGG
from vggapps.vgg._pooling import Pool


class Checkpointed(nn.Module):
    """A VGG of which only the maps after each pooling are kept for the backward pass; the others are recomputed.

    Its children, and so the names of its parameters, are those of the network. Statistics of batch norm are updated
    once. Source: T. Chen, B. Xu, C. Zhang, C. Guestrin, Training Deep Nets with Sublinear Memory Cost, 2016 (arXiv
    1604.06174).
    """

    def __init__(self, network: VGG) -> None:
        super().__init__()
        self.convention = network.convention
        self.blocks: list[list[nn.Module]] = [[]]
        for name, child in network.named_children():
            self.add_module(name, child)
            self.blocks[-1].append(child)
            if isinstance(child, Pool):
                self.blocks.append([])

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n classes"]:
        """The network's output."""
        x = self.convention(image)
        for block in self.blocks:
            x = checkpoint(_apply, block, x, use_reentrant=False, context_fn=partial(_contexts, block))
        return x


def _apply(block: list[nn.Module], x: Tensor) -> Tensor:
    for layer in block:
        x = layer(x)
    return x


def _contexts(block: list[nn.Module]) -> tuple[Any, Any]:
    """Those of the forward pass and of its repetition."""
    return nullcontext(), _again(block)


@contextmanager
def _again(block: list[nn.Module]) -> Iterator[Any]:
    """Keep the statistics of normalization layers, which the first forward pass has updated."""
    layers = [layer for layer in block if isinstance(layer, _NormBase)]
    before = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
        layer.num_batches_tracked = None if layer.num_batches_tracked is None else layer.num_batches_tracked.clone()
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, before, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count
