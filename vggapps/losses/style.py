"""Style losses: distances between the moments of two pictures' features.

Each is relative to the target, so that its weight means the same at any size, layer and network: 0 for equal
statistics, about 1 for a picture without any. They compare pictures of different sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import unknown
from vggapps.losses.moments import Moments

StyleDistance = Callable[[Moments, Moments], Float[Tensor, " n"]]

# What keeps a relative distance finite when the target has no features at all, as on a black picture.
_TINY = 1e-12


def _relative(x: Tensor, target: Tensor) -> Float[Tensor, " n"]:
    """Squared distance over the target's squared norm, one number a picture."""
    return (x - target).square().flatten(1).sum(1) / (target.square().flatten(1).sum(1) + _TINY)


def gram(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """‖G - A‖² / ‖A‖², G and A the Gram matrices over positions (Gatys 2016, eq. 4, made relative)."""
    return _relative(x.second, target.second)


def mean_covariance(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Half the relative squared distances of the covariances and of the means, each over its own norm.

    A Gram matrix leaves mean and variance ambiguous, which shows as drifting contrast (Risser 2017); matching both
    apart removes that.
    """
    return (_relative(x.covariance, target.covariance) + _relative(x.mean, target.mean)) / 2


def mean_std(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Means and standard deviations of the channels, each relative (AdaIN, Huang 2017, eq. 13)."""
    stds = [m.covariance.diagonal(dim1=1, dim2=2).clamp_min(0).add(1e-5).sqrt() for m in (x, target)]
    return (_relative(stds[0], stds[1]) + _relative(x.mean, target.mean)) / 2


STYLE_DISTANCES: dict[str, StyleDistance] = {
    "mean-covariance": mean_covariance,
    "gram": gram,
    "mean-std": mean_std,
}


def style_distance(name: str) -> StyleDistance:
    """The distance of that name, or an error that names the nearest."""
    if name not in STYLE_DISTANCES:
        raise unknown("style loss", name, STYLE_DISTANCES)
    return STYLE_DISTANCES[name]


class StyleLoss:
    """A style distance bound to its target: the mean of the layers' distances.

    Args:
        target: moments by layer.
        distance: a name in ``STYLE_DISTANCES``.
        weights: by layer; they are divided by their sum. Equal by default.
    """

    def __init__(
        self,
        target: Mapping[str, Moments],
        distance: str = "mean-covariance",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.target = dict(target)
        self.distance = style_distance(distance)
        weights = weights or dict.fromkeys(target, 1.0)
        self.weights = {name: weights[name] / sum(weights.values()) for name in target}

    def __call__(self, found: Mapping[str, Moments]) -> Float[Tensor, ""]:
        """The loss of a picture's moments by layer."""
        layers = [w * self.distance(found[name], self.target[name]).mean() for name, w in self.weights.items()]
        return torch.stack(layers).sum()
