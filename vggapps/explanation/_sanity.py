"""Whether a method heeds what the network has learnt.

J. Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018 (arXiv 1810.03292), section 3.1: weights are made
random, the last layers first, then more and more of those before them. A map that stays as it was shows edges of the
picture, not reasons of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from itertools import groupby

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.explanation._question import Question
from vggapps.losses.functional import ssim
from vggapps.vgg._network import VGG

Method = Callable[[Question, Float[Tensor, "n 3 h w"]], Float[Tensor, "n c h2 w2"]]


@dataclass(frozen=True, eq=False)
class Randomised:
    """How alike a map still is to that of the trained network; without signs, as section 4.1 has it.

    Attributes:
        layer: this, and all that follows, is random: ``head``, ``block 5``; in a module the name of a child.
        spearman: correlation of the ranks of the pixels, one for each picture; 0 if a map is the same everywhere.
        ssim: structural similarity, each map scaled to a maximum of 1.
    """

    layer: str
    spearman: Float[Tensor, " n"]
    ssim: Float[Tensor, " n"]


def randomised(question: Question, image: Float[Tensor, "n 3 h w"], method: Method, seed: int = 0) -> list[Randomised]:
    """Compare maps of a network that forgets, from its last layers on, with that of the network itself.

    Args:
        question: about the trained network, which stays as it is.
        image: RGB in [0, 1], at least 11 pixels a side.
        method: a function of ``METHODS``, or any other of question and pictures.
        seed: of the random order in which weights are put.

    Returns:
        From the last layers to the first.
    """
    expected = _sizes(method(question, image), image)
    found = []
    for layer, network in _forgetting(question.network, seed):
        changed = _sizes(method(replace(question, network=network), image), image)
        found.append(Randomised(layer, spearman(expected, changed), ssim(expected, changed)))
    return found


def spearman(x: Float[Tensor, "n ..."], y: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
    """The correlation of ranks; equal numbers share the mean of their ranks. 0 where all numbers are equal."""
    return torch.stack([_correlation(_ranks(a), _ranks(b)) for a, b in zip(x.flatten(1), y.flatten(1), strict=True)])


def _forgetting(network: nn.Module, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """The network with more and more of its parts random, the last ones first; the others are shared.

    Weights are put in a random order: the learnt pattern is gone, and their size, which keeps the layers that follow
    in the range they are made for, is not.
    """
    generator = torch.Generator().manual_seed(seed)
    part = _part if isinstance(network, VGG) else str
    learnt = [name for name, child in network.named_children() if any(p.ndim > 1 for p in child.parameters())]
    for layer, names in groupby(reversed(learnt), part):
        network = copy(network)
        network._modules = dict(network._modules)
        for name in names:
            child = deepcopy(network._modules[name])
            assert child is not None
            for weight in child.parameters():
                if weight.ndim > 1:
                    order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
                    weight.data = weight.data.flatten()[order].view_as(weight)
            network._modules[name] = child
        yield layer, network


def _part(layer: str) -> str:
    """``conv5_3`` is of block 5, ``fc7`` of the head."""
    return f"block {layer[4]}" if layer.startswith("conv") else "head"


def _sizes(map: Float[Tensor, "n c h2 w2"], image: Tensor) -> Float[Tensor, "n 1 h w"]:
    """Values without signs, at the picture's size; the largest is 1."""
    sizes = F.interpolate(map.sum(1, keepdim=True).abs(), image.shape[2:], mode="bilinear", align_corners=False)
    return sizes / sizes.amax((2, 3), keepdim=True).clamp(min=torch.finfo(sizes.dtype).tiny)


def _ranks(x: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    _, place, counts = torch.unique(x, return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
    ranks: Tensor = (counts.cumsum(0) - (counts - 1) / 2).double()
    return ranks[place]


def _correlation(x: Float[Tensor, " k"], y: Float[Tensor, " k"]) -> Float[Tensor, ""]:
    x, y = x - x.mean(), y - y.mean()
    lengths = torch.linalg.vector_norm(x) * torch.linalg.vector_norm(y)
    return torch.dot(x, y).div(lengths.clamp(min=1e-12)).float()
