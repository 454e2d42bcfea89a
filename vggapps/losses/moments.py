"""First and second moments of features: all that the Gram-like style losses need to know of a picture.

Moments of tiles, weighted by their area, add up to those of the whole, and moments of several styles mix linearly, so
tiles and mixtures need no formula of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Raw moments of a feature map over its positions.

    Attributes:
        mean: E[f], n × c.
        second: E[f fᵀ], n × c × c: the Gram matrix divided by the number of positions.
    """

    mean: Float[Tensor, "n c"]
    second: Float[Tensor, "n c c"]

    @property
    def covariance(self) -> Float[Tensor, "n c c"]:
        """E[f fᵀ] - E[f] E[f]ᵀ."""
        return self.second - self.mean.unsqueeze(2) * self.mean.unsqueeze(1)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.mean + other.mean, self.second + other.second)

    def __mul__(self, weight: float) -> Moments:
        return Moments(self.mean * weight, self.second * weight)


def moments(features: Float[Tensor, "n c h w"]) -> Moments:
    """Moments over all positions, in float32 at least: sums of squares overflow or drown in half precision."""
    rows = features.flatten(2)
    rows = rows if rows.dtype.itemsize >= 4 else rows.float()
    return Moments(rows.mean(2), rows @ rows.mT / rows.shape[2])
