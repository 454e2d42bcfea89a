"""The terms of a perceptual loss: weighted distances at layers."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, unknown
from vggapps.losses._distance import Distance, get_distance
from vggapps.vgg._names import as_names

Criterion = str | Callable[..., Tensor] | Distance
Layers = str | Iterable[str] | Mapping[str, float]
Role = Literal["content", "style"]


_GRID = 32  # rows and columns of the grid of hypercolumns: the 1,024 positions of STROTSS


@dataclass(frozen=True)
class Term:
    """Σ weight · distance over layers.

    Attributes:
        layers: a name, names, or weights by name; ``image`` is the picture itself, RGB in [0, 1].
        criterion: a name in ``DISTANCES``, a function of two maps, or a ``Distance``.
        role: which target to compare with, if ``prepare`` gets a style picture.
        normalize: normalise the features of each position to length 1 first.
        joined: concatenate all layers to hypercolumns at 1,024 positions, with the sum of their weights.

    Raises:
        SettingsError: an unknown role; a weight that is not a finite number of at least 0.
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
        """The weight of each layer."""
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
    """By name: that of the layer, prefixed by that of the term if there are several."""
    parts: dict[str, Part] = {}
    for index, term in enumerate(terms):
        earlier = sum(other.role == term.role for other in terms[:index])
        prefix = f"{term.role}{earlier + 1}" if earlier else term.role
        distance = get_distance(term.criterion)
        if term.joined:
            parts[prefix] = Part(prefix, tuple(term.weights), sum(term.weights.values()), term, distance)
            continue
        for layer, weight in term.weights.items():
            name = f"{prefix}.{layer}" if len(terms) > 1 else layer
            parts[name] = Part(name, (layer,), weight, term, distance)
    return parts


def hypercolumns(maps: Sequence[Float[Tensor, "n _ _ _"]]) -> Float[Tensor, "n c g g"]:
    """Features of all layers at the positions of a 32 × 32 grid (STROTSS samples as many at random)."""
    coordinates = (torch.arange(_GRID, device=maps[0].device, dtype=torch.float32) + 0.5) / _GRID * 2 - 1
    grid = torch.stack(torch.meshgrid(coordinates, coordinates, indexing="xy"), 2)[None]
    columns = []
    for map_ in maps:
        map_ = map_.to(torch.promote_types(map_.dtype, torch.float32))
        map_grid = grid.to(map_.dtype).expand(len(map_), -1, -1, -1)
        columns.append(F.grid_sample(map_, map_grid, padding_mode="border", align_corners=False))
    return torch.cat(columns, 1)


def check_weight(name: str, weight: object) -> float:
    """The weight of ``name`` as a float, from a Python or NumPy number or a constant scalar tensor."""
    if getattr(weight, "ndim", None) == 0:
        if getattr(weight, "requires_grad", False):
            raise SettingsError(
                f"the weight of '{name}' is a tensor that requires a gradient", "multiply the parts of breakdown()"
            )
        weight = weight.item()  # type: ignore[attr-defined]
    if not isinstance(weight, numbers.Real) or isinstance(weight, bool):
        shown = repr(weight) if isinstance(weight, str | bool | None) else f"a {type(weight).__name__}"
        raise SettingsError(f"the weight of '{name}' is {shown}", _remedy(weight))
    number = float(weight)
    if not 0 <= number < math.inf:
        raise SettingsError(f"the weight of '{name}' is {number:g}", "use a finite number of at least 0")
    return number


def weights_of(layers: str | Iterable[str] | Mapping[str, float]) -> dict[str, float]:
    """Weights by layer, 1 if only names are given. The network checks later whether it has these layers."""
    if isinstance(layers, Mapping):
        return {layer: check_weight(str(layer), weight) for layer, weight in layers.items()}
    names = as_names(layers)
    for name in names:
        if not isinstance(name, str | int):
            raise SettingsError(
                f"a layer is given as {type(name).__name__}: {name!r}",
                "use names, ['relu3_3', 'relu4_3'], or weights by name, {'relu3_3': 1.0, 'relu4_3': 0.5}",
            )
        if names.count(name) > 1:
            raise SettingsError(f"layer '{name}' is named more than once", f"give it a weight: {{'{name}': 2.0}}")
    return dict.fromkeys(names, 1.0)


def _remedy(weight: object) -> str:
    try:
        number = float(weight) if isinstance(weight, str) else math.nan
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return f"use the number {number:g}, not text; YAML reads 1e-2 as text and 1.0e-2 as a number"
    return "use a number"
