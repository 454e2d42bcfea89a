"""Fitting each kind of head: regularization, training and temperature scaling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from vggapps.features import _radial as radial
from vggapps.features._fitting import (
    Data,
    Index,
    Layers,
    Targets,
    initial_layers,
    logistic,
    mean_loss,
    probabilities,
    ridge,
    train,
)
from vggapps.features._settings import Kind
from vggapps.features._splits import split

KINDS: tuple[Kind, ...] = get_args(Kind)
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # candidates for the L2 penalty, per row

LEAST = 50  # pictures; with fewer, the temperature is mostly noise
LOWEST, HIGHEST = 1 / 20, 20.0  # bounds of the temperature
Logits = Float[Tensor, "n classes"]


@dataclass(frozen=True)
class Recipe:
    """Settings of a fit, see :func:`~vggapps.features.probe`."""

    kind: str
    classes: int
    hidden: int
    epochs: int | None
    seed: int


def prepare(how: Recipe, data: Data, rows: Index) -> Data:
    """The inputs of a head: standardized rows, or radial basis functions."""
    if how.kind != "radial":
        return data
    return radial.with_basis(data, radial.centers(data, rows, how.hidden, how.seed))


def choose(how: Recipe, data: Data, rows: Index, groups: Index) -> float | None:
    """The regularization strength that is best on a held-out fifth of the rows; None for ``mlp``."""
    if how.kind == "mlp":
        return None
    fit, held = (rows[part] for part in split(data.targets[rows], 0.2, how.seed, groups[rows]))
    solve = _solver(how, data, fit)
    if how.kind == "radial":
        return max(reversed(radial.STRENGTHS), key=lambda strength: radial.accuracy(solve(strength), data, held))
    return min(STRENGTHS, key=lambda strength: mean_loss(solve(strength), data, held))


def fit_layers(how: Recipe, data: Data, rows: Index, strength: float | None) -> Layers:
    """Fit a head to prepared rows."""
    if how.kind == "mlp":
        start = initial_layers(data.features.shape[1], how.hidden, how.classes, how.seed)
        return train(start, data, rows, 50 if how.epochs is None else how.epochs, how.seed)
    layers = _solver(how, data, rows)(strength or 0)
    distills = how.kind == "linear" and data.targets.ndim == 2
    return train(layers, data, rows, how.epochs, how.seed) if distills and how.epochs else layers


def _solver(how: Recipe, data: Data, rows: Index) -> Callable[[float], Layers]:
    if how.kind == "radial":
        return radial.ridge(data, rows, how.classes)
    return ridge(data, rows) if data.targets.ndim == 2 else logistic(data, rows, how.classes)


@dataclass(frozen=True)
class Calibration:
    """A temperature, the pictures it was fitted on and their number; the temperature is 1 if the source is ``none``."""

    temperature: float
    source: Literal["held-out", "cross-validation", "none"]
    pictures: int


def calibration(logits: Logits, targets: Targets, by_folds: Callable[[], tuple[Logits, Targets]]) -> Calibration:
    """Fit the temperature on the held-out pictures, else on all by cross-validation, else use 1.

    It is undetermined for fewer than ``LEAST`` pictures, and without mistakes: the likelihood then grows without bound.
    ``by_folds`` computes cross-validated logits and targets of all pictures; it is called only if needed.
    """
    if len(logits) >= LEAST and (found := calibrate(logits, targets)) > LOWEST * 1.01:
        return Calibration(found, "held-out", len(logits))
    logits, targets = by_folds()
    if len(logits) >= LEAST and (found := calibrate(logits, targets)) > LOWEST * 1.01:
        return Calibration(found, "cross-validation", len(logits))
    return Calibration(1.0, "none", len(logits))


def calibrate(logits: Logits, targets: Targets) -> float:
    """The temperature that minimizes the negative log-likelihood (Guo et al., ICML 2017, section 4.2).

    The loss is convex in 1/T; the zero of its derivative, the mean of E_p[z] - E_q[z] over rows, is found by bisection.
    A teacher's probabilities are used as soft targets.
    """
    logits = logits.double()
    expected = (probabilities(targets, logits.shape[1]) * logits).sum(1).mean()
    low, high = 1 / HIGHEST, 1 / LOWEST
    for _ in range(50):
        middle = (low * high) ** 0.5
        slope = ((middle * logits).softmax(1) * logits).sum(1).mean() - expected
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(1 / middle)
