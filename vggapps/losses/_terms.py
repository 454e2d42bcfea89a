"""What a perceptual loss adds up: distances at layers, each with its weight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from torch import Tensor

from vggapps.errors import unknown
from vggapps.losses._distance import Distance, get_distance
from vggapps.losses._weights import weights_of

Criterion = str | Callable[..., Tensor] | Distance
Layers = str | Iterable[str] | Mapping[str, float]
Role = Literal["content", "style"]


@dataclass(frozen=True)
class Term:
    """Σ weight · distance over layers.

    Attributes:
        layers: a name, names, or weights by name; ``image`` is the picture itself, RGB in [0, 1].
        criterion: a name in ``DISTANCES``, a function of two maps, or a ``Distance``.
        role: which target it is compared with, where ``prepare`` is given two.
        normalize: bring each position's features to length 1 first.
        joined: take all layers together as hypercolumns, at 1,024 positions, with the sum of their weights.

    Raises:
        SettingsError: a role that does not exist; a weight that is no number, negative or not finite.
    """

    layers: Layers
    criterion: Criterion
    role: Role = "content"
    normalize: bool = False
    joined: bool = False

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise unknown("role of a term", self.role, get_args(Role))
        object.__setattr__(self, "layers", weights_of(self.layers))

    @property
    def weights(self) -> dict[str, float]:
        """Of each layer."""
        return cast(dict[str, float], self.layers)


@dataclass(frozen=True)
class Part:
    """One layer of a term, or all layers of a joined one."""

    name: str
    layers: tuple[str, ...]
    weight: float
    term: Term
    distance: Distance


def parts_of(terms: Sequence[Term]) -> dict[str, Part]:
    """By name: the layer's, after the term's where there are several."""
    parts: dict[str, Part] = {}
    for index, term in enumerate(terms):
        earlier = sum(other.role == term.role for other in terms[:index])
        own = f"{term.role}{earlier + 1}" if earlier else term.role
        distance = get_distance(term.criterion)
        if term.joined:
            parts[own] = Part(own, tuple(term.weights), sum(term.weights.values()), term, distance)
            continue
        for layer, weight in term.weights.items():
            name = f"{own}.{layer}" if len(terms) > 1 else layer
            parts[name] = Part(name, (layer,), weight, term, distance)
    return parts
