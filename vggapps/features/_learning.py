"""The kinds of head that can be learnt, and what strength of regularisation suits one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from vggapps.features import _radial as radial
from vggapps.features._fitting import Data, Index, Layers, beginning, logistic, loss_of, ridge, train
from vggapps.features._splits import split

Kind = Literal["linear", "mlp", "radial", "knn"]
KINDS: tuple[Kind, ...] = get_args(Kind)
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of L2, per row: what is chosen from


@dataclass(frozen=True)
class Recipe:
    """How a head is learnt; see :func:`~vggapps.features.probe`."""

    kind: str
    classes: int
    hidden: int
    epochs: int | None
    seed: int


def prepared(how: Recipe, data: Data, rows: Index) -> Data:
    """What the kind of head learns from: standardised rows, or radial basis functions around centres of some."""
    if how.kind != "radial":
        return data
    return radial.with_basis(data, radial.centres(data, rows, how.hidden, how.seed))


def choose(how: Recipe, data: Data, rows: Index, groups: Index) -> float | None:
    """The strength that does best on a fifth of the rows; None for a kind that has none.

    Args:
        how: the kind of head.
        data: prepared.
        rows: that may be learnt from.
        groups: of all rows: those of one number are on one side.
    """
    if how.kind == "mlp":
        return None
    fit, held = (rows[part] for part in split(data.targets[rows], 0.2, how.seed, groups[rows]))
    solve = _solver(how, data, fit)
    if how.kind == "radial":
        return max(reversed(radial.STRENGTHS), key=lambda strength: radial.accuracy(solve(strength), data, held))
    return min(STRENGTHS, key=lambda strength: loss_of(solve(strength), data, held))


def learnt(how: Recipe, data: Data, rows: Index, strength: float | None) -> Layers:
    """Layers learnt from rows.

    Args:
        how: the kind of head.
        data: prepared.
        rows: to learn from.
        strength: of regularisation, see :func:`choose`.
    """
    if how.kind == "mlp":
        start = beginning(data.features.shape[1], how.hidden, how.classes, how.seed)
        return train(start, data, rows, 50 if how.epochs is None else how.epochs, how.seed)
    layers = _solver(how, data, rows)(strength or 0)
    is_taught = how.kind == "linear" and data.targets.ndim == 2
    return train(layers, data, rows, how.epochs, how.seed) if is_taught and how.epochs else layers


def _solver(how: Recipe, data: Data, rows: Index) -> Callable[[float], Layers]:
    """The layer for a strength."""
    if how.kind == "radial":
        return radial.ridge(data, rows, how.classes)
    return ridge(data, rows) if data.targets.ndim == 2 else logistic(data, rows, how.classes)
