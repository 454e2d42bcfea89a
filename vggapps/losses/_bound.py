"""Losses bound to their targets, of which a picture may be seen in tiles: what the stylizing minimises."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import unknown
from vggapps.losses._distance import DISTANCES
from vggapps.losses._moments import Moments


class StyleLoss:
    """A style distance bound to its target: the weighted mean of the layers' distances.

    Args:
        target: moments by layer.
        distance: the name of a distance of moments, see ``DISTANCES``.
        weights: by layer, only their ratios count; equal by default.
    """

    def __init__(
        self,
        target: Mapping[str, Moments],
        distance: str = "mean-covariance",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        of_moments = {name: d for name, d in DISTANCES.items() if d.of == "moments"}
        if distance not in of_moments:
            raise unknown("style loss", distance, of_moments)
        self.target = dict(target)
        self.distance = of_moments[distance].function
        weights = weights or dict.fromkeys(target, 1.0)
        self.weights = {name: weights[name] / sum(weights.values()) for name in target}

    def __call__(self, found: Mapping[str, Moments]) -> Float[Tensor, ""]:
        """The loss of a picture's moments by layer."""
        layers = [weight * self.distance(found[n], self.target[n]).mean() for n, weight in self.weights.items()]
        return torch.stack(layers).sum()


class ContentLoss:
    """Squared error of features over the target's mean square: Gatys 2016, eq. 1, made relative.

    0 for the same features, 1 for a picture without any, at any size and layer; layers are averaged.
    """

    def __init__(
        self, target: Mapping[str, Float[Tensor, "1 c h w"]], power: Mapping[str, Tensor] | None = None
    ) -> None:
        self.target = dict(target)
        self.power = power or {name: t.float().square().mean() + 1e-12 for name, t in target.items()}

    def __call__(
        self, found: Mapping[str, Float[Tensor, "1 c h w"]], shares: Mapping[str, float] | None = None
    ) -> Float[Tensor, ""]:
        """The loss of a picture's features by layer.

        Args:
            found: features by layer.
            shares: for a tile, what part of each layer's positions it holds; tiles' losses then add up.
        """
        layers = [
            (found[name].float() - target.float()).square().mean() / self.power[name] * (shares or {}).get(name, 1.0)
            for name, target in self.target.items()
        ]
        return torch.stack(layers).mean()

    def part(self, place: Mapping[str, tuple[slice, slice]]) -> ContentLoss:
        """The same loss for a tile: its piece of the target, relative to the whole picture's mean square.

        Args:
            place: rows and columns of each layer's map.
        """
        return ContentLoss({name: t[:, :, *place[name]] for name, t in self.target.items()}, self.power)
