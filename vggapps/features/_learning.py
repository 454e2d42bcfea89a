"""The kinds of head that can be learnt, and what strength of regularisation suits one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from vggapps.features import _radial as radial
from vggapps.features._fitting import Data, Index, Layers, beginning, logistic, loss_of, ridge, train
from vggapps.features._splits import split
from vggapps.vgg._radial import Radial

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


def choose(how: Recipe, data: Data, rows: Index, groups: Index) -> tuple[float | None, Radial | None]:
    """The strength that does best on a fifth of the rows, and the radial basis functions of all of them.

    Args:
        how: None is returned for a kind that has no strength, or no such functions.
        data: standardised.
        rows: that may be learnt from.
        groups: of all rows: those of one number are on one side.
    """
    if how.kind == "mlp":
        return None, None
    fit, held = (rows[part] for part in split(data.targets[rows], 0.2, how.seed, groups[rows]))
    if how.kind == "linear":
        solve = ridge(data, fit) if data.targets.ndim == 2 else partial(logistic, data, fit, how.classes)
        return min(STRENGTHS, key=lambda strength: loss_of(solve(strength), data, held)), None
    basis = _basis(how, data, rows)
    last = radial.ridge(data, fit, basis, how.classes)
    best = max(reversed(radial.STRENGTHS), key=lambda strength: radial.right(basis, last(strength), data, held))
    return best, basis


def learnt(
    how: Recipe, data: Data, rows: Index, strength: float | None, basis: Radial | None = None
) -> tuple[Radial | None, Layers]:
    """Layers learnt from rows, and the radial basis functions before them, if any.

    Args:
        how: the kind of head.
        data: standardised.
        rows: to learn from.
        strength: of regularisation, see :func:`choose`.
        basis: radial basis functions, if they are known.
    """
    is_taught = data.targets.ndim == 2
    if how.kind == "radial":
        basis = basis or _basis(how, data, rows)
        return basis, (radial.ridge(data, rows, basis, how.classes)(strength or 0),)
    if how.kind == "linear":
        strength = strength or 0
        layers = ridge(data, rows)(strength) if is_taught else logistic(data, rows, how.classes, strength)
        epochs = how.epochs if is_taught else 0
    else:
        layers = beginning(data.features.shape[1], how.hidden, how.classes, how.seed)
        epochs = 50 if how.epochs is None else how.epochs
    return None, train(layers, data, rows, epochs, how.seed) if epochs else layers


def _basis(how: Recipe, data: Data, rows: Index) -> Radial:
    return radial.layer_of(radial.centres(data, rows, how.hidden, how.seed))
