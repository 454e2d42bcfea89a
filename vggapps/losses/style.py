"""Style losses: distances between the moments of two pictures' features.

Each is relative to the target, so that its weight means the same at any size, layer and network: 0 for equal
statistics, about 1 for a picture without any. They compare pictures of different sizes.

They are norms, not squared norms as in Gatys 2016. A squared error cares ten times as much for the layer that is worst
by a factor of three, so the last layers to be matched take all the attention; with norms each layer keeps pulling
until it is matched, and the same style is reached at a clearly smaller loss of content (docs/stylize.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import unknown
from vggapps.losses.moments import Moments

StyleDistance = Callable[[Moments, Moments], Float[Tensor, " n"]]

# Keeps the root's gradient finite at equality, and a distance finite where neither picture has features.
_TINY = 1e-9
# A style that is nearly flat at some layer would make that layer's relative distance huge, and all others nothing: a
# target's norm counts as at least this part of the picture's own.
_FLOOR = 0.1


def _relative(x: Tensor, target: Tensor) -> Float[Tensor, " n"]:
    """Frobenius distance over the target's norm, one number a picture."""
    own, wanted = (t.square().flatten(1).sum(1) for t in (x.detach(), target))
    scale = torch.maximum(wanted, _FLOOR**2 * own) + _TINY
    return ((x - target).square().flatten(1).sum(1) / scale + _TINY).sqrt()


def gram(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """‖G - A‖ / ‖A‖, G and A the Gram matrices over positions (Gatys 2016, eq. 4, made relative)."""
    return _relative(x.second, target.second)


def mean_covariance(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Mean of the covariances' and the means' relative distances.

    A Gram matrix leaves mean and variance ambiguous, which shows as drifting contrast (Risser 2017); matching both
    apart removes that.
    """
    return (_relative(x.covariance, target.covariance) + _relative(x.mean, target.mean)) / 2


def mean_std(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Mean of the means' and the standard deviations' relative distances (AdaIN, Huang 2017, eq. 13)."""
    stds = [m.covariance.diagonal(dim1=1, dim2=2).clamp_min(0).add(1e-5).sqrt() for m in (x, target)]
    return (_relative(stds[0], stds[1]) + _relative(x.mean, target.mean)) / 2


STYLE_DISTANCES: dict[str, StyleDistance] = {
    "mean-covariance": mean_covariance,
    "gram": gram,
    "mean-std": mean_std,
}


class StyleLoss:
    """A style distance bound to its target: the weighted mean of the layers' distances.

    Args:
        target: moments by layer.
        distance: a name in ``STYLE_DISTANCES``.
        weights: by layer, only their ratios count; equal by default.
    """

    def __init__(
        self,
        target: Mapping[str, Moments],
        distance: str = "mean-covariance",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        if distance not in STYLE_DISTANCES:
            raise unknown("style loss", distance, STYLE_DISTANCES)
        self.target = dict(target)
        self.distance = STYLE_DISTANCES[distance]
        weights = weights or dict.fromkeys(target, 1.0)
        self.weights = {name: weights[name] / sum(weights.values()) for name in target}

    def __call__(self, found: Mapping[str, Moments]) -> Float[Tensor, ""]:
        """The loss of a picture's moments by layer."""
        layers = [weight * self.distance(found[n], self.target[n]).mean() for n, weight in self.weights.items()]
        return torch.stack(layers).sum()
