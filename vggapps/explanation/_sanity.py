"""Model parameter randomization test: does a saliency method depend on the learned weights?

J. Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018 (arXiv 1810.03292), section 3.1: weights are randomized
layer by layer, from the last layer to the first. A map that does not change shows edges of the picture rather than
evidence used by the network.
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
class RandomizedMap:
    """Similarity of a map to that of the trained network, by absolute values as in section 4.1.

    Attributes:
        layer: the first randomized part, ``head`` or ``block 5``; for other modules the name of a child.
        spearman: rank correlation over pixels, for each picture; 0 if a map is constant.
        ssim: structural similarity, each map scaled to a maximum of 1.
    """

    layer: str
    spearman: Float[Tensor, " n"]
    ssim: Float[Tensor, " n"]


def randomization_test(
    question: Question, image: Float[Tensor, "n 3 h w"], method: Method, seed: int = 0
) -> list[RandomizedMap]:
    """Compare the map of a network with those after cascading randomization of its weights, from the last layers on.

    Args:
        question: about the trained network, which is not changed.
        image: RGB in [0, 1], at least 11 pixels a side.
        method: a function of ``METHODS``, or any other function of question and pictures.
        seed: of the permutation of the weights.
    """
    expected = _magnitudes(method(question, image), image)
    found = []
    for layer, network in _randomized(question.network, seed):
        changed = _magnitudes(method(replace(question, network=network), image), image)
        found.append(RandomizedMap(layer, spearman(expected, changed), ssim(expected, changed)))
    return found


def spearman(x: Float[Tensor, "n ..."], y: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
    """Spearman's rank correlation; ties share their mean rank. 0 if all numbers are equal."""
    ranks = [torch.stack([_ranks(a), _ranks(b)]) for a, b in zip(x.flatten(1), y.flatten(1), strict=True)]
    return torch.stack([torch.corrcoef(pair)[0, 1].nan_to_num() for pair in ranks]).float()


def _randomized(network: nn.Module, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """The network with more and more randomized parts, the last first; intact parts are shared.

    Weights are permuted: this destroys the learned pattern, but keeps activations in their usual range.
    """
    generator = torch.Generator().manual_seed(seed)
    part = _part if isinstance(network, VGG) else str
    learned = [name for name, child in network.named_children() if any(p.ndim > 1 for p in child.parameters())]
    for layer, names in groupby(reversed(learned), part):
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
    """``conv5_3`` is part of block 5, ``fc7`` of the head."""
    kind, _, block = layer.partition("_")[0].partition("conv")
    return "head" if kind else f"block {block}"


def _magnitudes(map: Float[Tensor, "n c h2 w2"], image: Tensor) -> Float[Tensor, "n 1 h w"]:
    """Absolute values at the picture's size, scaled to a maximum of 1."""
    sizes = F.interpolate(map.sum(1, keepdim=True).abs(), image.shape[2:], mode="bilinear", align_corners=False)
    return sizes / sizes.amax((2, 3), keepdim=True).clamp(min=torch.finfo(sizes.dtype).tiny)


def _ranks(x: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    _, place, counts = torch.unique(x, return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
    ranks: Tensor = (counts.cumsum(0) - (counts - 1) / 2).double()
    return ranks[place]
