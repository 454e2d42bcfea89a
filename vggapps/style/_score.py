"""The loss of style transfer: distances of a picture's features from those of styles and photo, and total variation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import unknown
from vggapps.losses._distance import DISTANCES, Distance, Measured
from vggapps.losses._moments import Moments
from vggapps.losses._variation import total_variation
from vggapps.optimize._engine import Score
from vggapps.vgg._network import VGG

Places = Mapping[str, tuple[slice, slice]]  # rows and columns of a tile's core in the map of each layer


@dataclass(frozen=True, eq=False)
class StyleTerm:
    """A distance of a picture's features from a fixed target, over some layers.

    Attributes:
        name: unique in a score; shown in the steps.
        weight: of the term.
        distance: of moments or of positions, which both can be added up over tiles.
        target: by layer; maps of 1 × c × h × w for a distance of positions.
        shares: weights of the layers in the term.
        units: divisors of the layers' distances, for each picture.
    """

    name: str
    weight: float
    distance: Distance
    target: Mapping[str, Measured]
    shares: Mapping[str, float]
    units: Mapping[str, Float[Tensor, " n"]] = field(default_factory=dict)

    @property
    def of_moments(self) -> bool:
        """Whether it needs the moments of the whole picture."""
        return self.distance.of == "moments"

    def measure(self, features: Mapping[str, Tensor]) -> dict[str, Measured]:
        """The maps or moments of the term's layers."""
        return {layer: self.distance.measure(features[layer]) for layer in self.target}

    def __call__(self, measured: Mapping[str, Measured], held: Mapping[str, float] | None = None) -> Float[Tensor, ""]:
        """The unweighted term.

        Args:
            measured: of the picture, by layer.
            held: for a tile, its fraction of each layer's positions, so that the terms of tiles add up.
        """
        layers = []
        for layer, target in self.target.items():
            distance = self.distance(measured[layer], target)
            distance = distance / self.units[layer] if layer in self.units else distance
            layers.append(self.shares[layer] * distance.mean() * (held or {}).get(layer, 1.0))
        return torch.stack(layers).sum()

    def part(self, places: Places) -> StyleTerm:
        """The term for a tile: its part of the target maps, with the units of the whole picture."""
        maps = {layer: target for layer, target in self.target.items() if isinstance(target, Tensor)}
        return replace(self, target={layer: map_[:, :, *places[layer]] for layer, map_ in maps.items()})


def style_term(
    target: Mapping[str, Moments],
    distance: str = "mean-covariance",
    layers: Mapping[str, float] | None = None,
    weight: float = 1.0,
) -> StyleTerm:
    """The weighted mean of the layers' distances from a style's moments.

    Args:
        target: moments by layer.
        distance: the name of a distance of moments in ``DISTANCES``.
        layers: relative weights of the layers; equal by default.
        weight: of the term.
    """
    of_moments = {name: one for name, one in DISTANCES.items() if one.of == "moments"}
    if distance not in of_moments:
        raise unknown("style loss", distance, of_moments)
    layers = layers or dict.fromkeys(target, 1.0)
    shares = {name: layers[name] / sum(layers.values()) for name in target}
    return StyleTerm("style", weight, of_moments[distance], dict(target), shares)


def content_term(target: Mapping[str, Float[Tensor, "n c h w"]], weight: float = 1.0) -> StyleTerm:
    """Squared error of features over the target's mean square: Gatys 2016, eq. 1, made relative.

    0 for equal features, 1 for zero features, at any size and layer; layers are averaged.
    """
    units = {name: t.float().square().mean((1, 2, 3)) + 1e-12 for name, t in target.items()}
    return StyleTerm("content", weight, DISTANCES["l2"], dict(target), dict.fromkeys(target, 1 / len(target)), units)


@dataclass(frozen=True, eq=False)
class StyleScore:
    """The sum of terms of features and total variation."""

    terms: Sequence[StyleTerm]
    tv_weight: float = 0.0

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of all terms."""
        return tuple(dict.fromkeys(layer for term in self.terms for layer in term.target))

    def weighted(self, image: Float[Tensor, "1 3 h w"], values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weighted terms by name, from their values; with total variation if it has a weight."""
        parts = {term.name: term.weight * values[term.name] for term in self.terms}
        if self.tv_weight:
            parts["tv"] = self.tv_weight * total_variation(image).mean()
        return parts


def whole(vgg: VGG, parts: StyleScore) -> Score:
    """The score of a picture in one forward pass."""

    def score(image: Float[Tensor, "1 3 h w"]) -> tuple[Tensor, Mapping[str, Tensor]]:
        features = vgg.features(image, parts.layers)
        terms = parts.weighted(image, {term.name: term(term.measure(features)) for term in parts.terms})
        return torch.stack(list(terms.values())).sum(), terms

    return score
