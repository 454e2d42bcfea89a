"""First and second moments of features: everything that Gram-like style losses need of a picture.

The moments of tiles, weighted by area, add up to those of the whole picture, and moments of several styles can be mixed
linearly, so tiles and mixtures need no separate formula.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.vgg._derivatives import is_transformed
from vggapps.vgg._exact import without_autocast


@dataclass(frozen=True)
class Moments:
    """Raw moments of a feature map over its positions.

    Attributes:
        mean: E[f], n × c.
        second: E[f fᵀ], n × c × c: the Gram matrix divided by the number of positions.
        positions: their number; of a sum, that of all its parts.
    """

    mean: Float[Tensor, "n c"]
    second: Float[Tensor, "n c c"]
    positions: int

    @property
    def covariance(self) -> Float[Tensor, "n c c"]:
        """E[f fᵀ] - E[f] E[f]ᵀ."""
        return self.second - self.mean.unsqueeze(2) * self.mean.unsqueeze(1)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.mean + other.mean, self.second + other.second, self.positions + other.positions)

    def __mul__(self, weight: float) -> Moments:
        return replace(self, mean=self.mean * weight, second=self.second * weight)


def moments(features: Float[Tensor, "n c h w"], mask: Float[Tensor, "#n 1 h w"] | None = None) -> Moments:
    """Moments over all positions, in at least float32: sums of squares overflow or lose precision in half.

    Args:
        features: of one layer.
        mask: weight of each position; where a picture's mask is 0 everywhere, its moments are 0.
    """
    positions = features.shape[2] * features.shape[3]
    with without_autocast(features):
        if mask is None and not is_transformed(features):
            mean, second = _Moments.apply(features)  # type: ignore[no-untyped-call]
            return Moments(mean, second, positions)
        rows = features.flatten(2).mT.to(torch.promote_types(features.dtype, torch.float32))
        if mask is None:
            return Moments(rows.mean(1), rows.mT @ rows / positions, positions)
        share = mask.flatten(2).mT.to(rows.dtype)
        weighted = rows * (share / share.sum(1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny))
        return Moments(weighted.sum(1), rows.mT @ weighted, positions)


def add_up(parts: Iterable[Mapping[str, Moments]]) -> dict[str, Moments]:
    """The sum by layer: of tiles weighted by area, or of styles weighted by their share of a mixture."""
    total: dict[str, Moments] = {}
    for part in parts:
        for name, m in part.items():
            total[name] = total[name] + m if name in total else m
    return total


class _Moments(torch.autograd.Function):
    """Mean and second moment with an explicit backward pass.

    Autograd of ``rows @ rows.mT`` computes two products where symmetry needs one, keeps a float32 copy of the features,
    and returns a gradient in another memory layout than the convolutions'. Together this took a third of the time of a
    stylize step.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(features: Tensor) -> tuple[Tensor, Tensor]:
        rows = features.flatten(2).mT  # n × positions × c, contiguous where the features are channels-last
        rows = rows if rows.dtype.itemsize >= 4 else rows.float()
        return rows.mean(1), rows.mT @ rows / rows.shape[1]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, mean: Tensor, second: Tensor) -> Tensor:  # type: ignore[override]
        (features,) = ctx.saved_tensors
        # bfloat16 features get a bfloat16 gradient anyway; float16 has too small a range for a sum over all positions.
        dtype = torch.float32 if features.dtype == torch.float16 else features.dtype
        rows = features.flatten(2).mT.to(dtype)
        both, mean = ((g / rows.shape[1]).to(dtype) for g in (second + second.mT, mean))
        with without_autocast(rows):  # it may be enabled again in the backward pass
            gradient = torch.baddbmm(mean.unsqueeze(1), rows, both)
        return gradient.mT.reshape(features.shape).to(features.dtype)
