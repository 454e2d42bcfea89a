"""The table of distances between two pictures' features at a layer.

Perceptual losses, style transfer and the command line select them by name. To add one, write a function of two maps or
of two ``Moments`` and add a line to the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, unknown
from vggapps.losses import _contextual as contextual
from vggapps.losses import _criteria as criteria
from vggapps.losses import _distribution as distribution
from vggapps.losses import _style as style
from vggapps.losses._moments import Moments, moments
from vggapps.losses._wasserstein import wasserstein

Measured = Tensor | Moments


@dataclass(frozen=True)
class Distance:
    """A distance between the features of two pictures at one layer.

    Attributes:
        function: of the picture's and the target's maps or moments, in this order.
        of: inputs and output of the function. ``positions``: maps of one size, one value per position; ``moments``:
            moments, one value per picture; ``maps``: maps, one value per picture.
        formula: in one line, with features x and y, m positions and c channels.
        name: in ``DISTANCES``, with the options that differ from the defaults.
        one_size: whether the two maps must have the same size.
    """

    function: Callable[..., Tensor]
    of: Literal["positions", "moments", "maps"]
    formula: str
    name: str = ""
    one_size: bool = False

    def measure(self, features: Float[Tensor, "n c h w"], mask: Float[Tensor, "#n 1 h w"] | None = None) -> Measured:
        """The maps or moments of a picture, in at least float32."""
        if self.of == "moments":
            return moments(features, mask)
        return features.to(torch.promote_types(features.dtype, torch.float32))

    def __call__(self, x: Measured, y: Measured, mask: Float[Tensor, "#n 1 h w"] | None = None) -> Float[Tensor, " n"]:
        """The distance of each picture; the mask weights positions, for distances of ``positions``.

        Raises:
            SettingsError: a custom function does not return one value per picture.
        """
        values = self.function(x, y)
        if self.of == "positions":
            return average(values, mask)
        if values.shape != (len(x.mean if isinstance(x, Moments) else x),):
            raise SettingsError(
                f"{self.name} gives values of shape {tuple(values.shape)}, not one per picture",
                "take the mean of each picture separately: .mean((1, 2, 3))",
            )
        return values


def average(values: Float[Tensor, "n h w"], mask: Float[Tensor, "#n 1 h w"] | None = None) -> Float[Tensor, " n"]:
    """Mean over positions, weighted by the mask; 0 if the mask is 0 everywhere."""
    if mask is None:
        return values.mean((1, 2))
    weights = mask[:, 0].to(values.dtype)
    return (weights * values).sum((1, 2)) / weights.sum((1, 2)).clamp_min(torch.finfo(values.dtype).tiny)


def maps_of_one_size(name: str, x: Measured, y: Measured) -> tuple[Tensor, Tensor]:
    """Both maps, refused if their sizes differ."""
    assert isinstance(x, Tensor)
    assert isinstance(y, Tensor)
    if x.shape[2:] != y.shape[2:]:
        sizes = " and ".join(f"{t.shape[3]}×{t.shape[2]}" for t in (x, y))
        raise SettingsError(
            f"{name} compares position by position, and the maps are {sizes}",
            "make both pictures the same size, or use a distance of moments or distributions",
        )
    return x, y


def _gram(normalize: style.Normalization, formula: str) -> Distance:
    return Distance(partial(style.published_gram, normalize=normalize), "moments", formula)


_TABLE = {
    # at the same position
    "l1": Distance(criteria.l1, "positions", "mean |x - y|"),
    "l2": Distance(criteria.l2, "positions", "mean (x - y)²"),
    "charbonnier": Distance(criteria.charbonnier, "positions", "mean √((x - y)² + ε²) - ε, ε = 1e-3"),
    "huber": Distance(criteria.huber, "positions", "mean ½ d² for d = |x - y| ≤ δ, else δ (d - δ/2); δ = 1"),
    "cosine": Distance(criteria.cosine, "positions", "mean 1 - cos(x, y) over channels"),
    "frobenius": Distance(criteria.frobenius, "maps", "√Σ (x - y)²", one_size=True),
    "squared-error": Distance(criteria.squared_error, "maps", "½ Σ (x - y)²", one_size=True),
    "self-similarity": Distance(
        contextual.self_similarity, "maps", "m · mean |D(x) - D(y)|, D cosine distances, columns divided by their sums",
        one_size=True,
    ),
    # of moments, relative to the target
    "mean-covariance": Distance(style.mean_covariance, "moments", "½ (‖Σx - Σy‖ / ‖Σy‖ + ‖μx - μy‖ / ‖μy‖)"),
    "gram": Distance(style.gram, "moments", "‖Gx - Gy‖ / ‖Gy‖, G = F Fᵀ / m"),
    "mean-std": Distance(style.mean_std, "moments", "½ (‖σx - σy‖ / ‖σy‖ + ‖μx - μy‖ / ‖μy‖)"),
    # of moments, as published
    "gram-gatys": _gram("gatys", "Σ (Gx - Gy)² / (4 c² m²), G = F Fᵀ"),
    "gram-positions": _gram("positions", "mean (Gx - Gy)², G = F Fᵀ / m"),
    "gram-johnson": _gram("johnson", "mean (Gx - Gy)², G = F Fᵀ / (c m)"),
    "gram-johnson-paper": _gram("johnson-paper", "Σ (Gx - Gy)², G = F Fᵀ / (c m)"),
    "gram-raw": _gram("raw", "mean (Gx - Gy)², G = F Fᵀ"),
    "gram-scaled": _gram("scaled", "Σ (Gx - Gy)² / (Σ |Gx - Gy| + 1e-8), G = F Fᵀ / m"),
    "adain": Distance(style.adain, "moments", "mean (μx - μy)² + mean (σx - σy)², σ² unbiased + 1e-5"),
    "mean-covariance-l1": Distance(style.mean_covariance_l1, "moments", "mean |μx - μy| + mean |Σx - Σy|"),
    "wasserstein": Distance(wasserstein, "moments", "mean (μx - μy)² + tr(Σx + Σy - 2 (Σx Σy)^½) / c"),
    # of distributions
    "sliced": Distance(distribution.sliced, "maps", "mean (sort(x v) - sort(y v))² over c random unit directions v"),
    "histogram": Distance(distribution.histogram, "maps", "mean (sort(x) - sort(y))² by channel"),
    "mmd": Distance(distribution.mmd, "maps", "mean k(x, x) + mean k(y, y) - 2 mean k(x, y), k Gaussian"),
    "relaxed-emd": Distance(
        distribution.relaxed_emd, "maps", "max(mean_i min_j D, mean_j min_i D), D = 1 - cos(x_i, y_j)"
    ),
    "contextual": Distance(
        contextual.contextual, "maps", "-log mean_j max_i CX_ij, CX = softmax_j of (1 - d/min_j d)/h, h = 0.5"
    ),
    "cobi": Distance(contextual.cobi, "maps", "as contextual with CX = 0.9 CX(features) + 0.1 CX(positions)"),
    "id-mrf": Distance(contextual.id_mrf, "maps", "as contextual, centred on the target's channel mean", one_size=True),
}  # fmt: skip
DISTANCES: dict[str, Distance] = {
    name: replace(d, name=name, one_size=d.one_size or d.of == "positions") for name, d in _TABLE.items()
}
"""The criteria of losses, by name."""


# Their names in other libraries.
_SYNONYMS = {"mse": "l2", "mae": "l1", "smooth_l1": "huber", "smooth-l1": "huber", "fro": "frobenius", "swd": "sliced"}
_TORCH_NAMES: dict[object, str] = {
    **{nn.L1Loss: "l1", nn.MSELoss: "l2", nn.SmoothL1Loss: "huber", nn.HuberLoss: "huber"},
    **{F.l1_loss: "l1", F.mse_loss: "l2", F.smooth_l1_loss: "huber", F.huber_loss: "huber"},
    **{nn.CosineSimilarity: "cosine", nn.CosineEmbeddingLoss: "cosine", F.cosine_similarity: "cosine"},
}


def get_distance(criterion: str | Callable[..., Tensor] | Distance) -> Distance:
    """A distance from its name, from a function of the table with bound options, or from a custom function.

    >>> from functools import partial
    >>> get_distance(partial(contextual.contextual, bandwidth=0.1)).name
    'contextual(bandwidth=0.1)'

    Args:
        criterion: a name; ``functools.partial`` of a function of ``vggapps.losses.functional``; or a function of two
            maps, N × C × H × W, that returns one value per picture.
    """
    if isinstance(criterion, Distance):
        return criterion
    if isinstance(criterion, str):
        if criterion not in DISTANCES:
            raise unknown("criterion", criterion, DISTANCES, meant=_SYNONYMS.get(criterion.lower(), ""))
        return DISTANCES[criterion]
    if not callable(criterion):
        raise SettingsError(
            f"the criterion is {criterion!r}", "pass a name such as 'l1' or a function of two feature maps"
        )
    function, options = _unbound(criterion)
    name = getattr(function, "__name__", type(function).__name__)
    if equivalent := _TORCH_NAMES.get(function if function in _TORCH_NAMES else type(function)):
        raise SettingsError(
            f"torch's {name} takes the mean of the whole batch or none, and a criterion is per picture",
            f"use criterion='{equivalent}'",
        )
    for known in reversed(DISTANCES.values()):
        known_function, bound = _unbound(known.function)
        if known_function is function and bound.items() <= options.items():
            more = ", ".join(f"{key}={value!r}" for key, value in options.items() if key not in bound)
            if not more:
                return replace(known, function=criterion)
            return replace(known, function=criterion, name=f"{known.name}({more})", formula=f"{known.formula}; {more}")
    return Distance(criterion, "maps", f"{name}(x, y)", name)


def _unbound(function: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    if isinstance(function, partial):
        return function.func, function.keywords
    return function, {}
