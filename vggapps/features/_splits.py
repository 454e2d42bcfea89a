"""Rows that are learnt from and rows that are held out: every class alike, and copies of one picture together."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from vggapps.errors import SettingsError
from vggapps.features._fitting import Index, Targets

_ROWS = 4096  # that are in memory at once


def copies(features: NDArray[np.float32]) -> Index:
    """For each row the index of the first one that equals it: copies of a picture have equal rows.

    Args:
        features: (n, d), perhaps in a file.
    """
    first: dict[bytes, int] = {}
    found = np.empty(len(features), np.int64)
    for start in range(0, len(features), _ROWS):
        block = np.ascontiguousarray(features[start : start + _ROWS], np.float32) + 0.0  # 0 for -0, which equals it
        for row, numbers in enumerate(block, start):
            found[row] = first.setdefault(hashlib.blake2b(numbers.tobytes(), digest_size=16).digest(), row)
    return found


def firsts(rows: Index, groups: Index) -> Index:
    """Of some rows the first of each group, sorted."""
    found: Index = rows[np.sort(np.unique(groups[rows], return_index=True)[1])]
    return found


def split(targets: Targets, share: float, seed: int = 0, groups: Index | None = None) -> tuple[Index, Index]:
    """Indices of two parts, sorted: the rest, and about this share of the rows, of each class (logits: of all) alike.

    A class of one group stays with the rest, one of two gives one group.

    Args:
        targets: of the rows.
        share: of the groups of each class, in (0, 1).
        seed: of the choice.
        groups: a number for each row; rows of one number stay together, and count as one row of the first one's class.
            None: each row by itself.

    Raises:
        SettingsError: so few groups that a part would be empty.
    """
    generator = np.random.default_rng(seed)
    of_row, classes = _strata(targets, groups)
    held = [generator.permutation(g)[: max(round(share * len(g)), 1) if len(g) > 1 else 0] for g in classes]
    is_held = np.isin(of_row, np.concatenate(held))
    if is_held.all() or not is_held.any():
        raise SettingsError(
            f"{len(np.unique(of_row))} pictures are too few to hold some back", "give two of a class at least"
        )
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def folds(targets: Targets, count: int, seed: int = 0, groups: Index | None = None) -> list[Index]:
    """Indices of so many parts, sorted, each class dealt out evenly; those of classes of one group are in none.

    Args:
        targets: of the rows.
        count: of the parts.
        seed: of the choice.
        groups: see :func:`split`.
    """
    generator = np.random.default_rng(seed)
    of_row, classes = _strata(targets, groups)
    dealt = np.concatenate([np.empty(0, np.int64), *(generator.permutation(g) for g in classes if len(g) > 1)])
    return [np.flatnonzero(np.isin(of_row, dealt[start::count])) for start in range(count)]


def untested(targets: Targets, groups: Index) -> list[int]:
    """The classes of one group: it is learnt from, and nothing is left to be tested. None of logits."""
    if targets.ndim == 2:
        return []
    first = np.unique(groups, return_index=True)[1]
    classes, counts = np.unique(targets.numpy()[first], return_counts=True)
    return [int(index) for index in classes[counts == 1]]


def _strata(targets: Targets, groups: Index | None) -> tuple[Index, list[Index]]:
    """For each row the number of its group, from 0, and for each class the numbers of its groups."""
    groups = np.arange(len(targets)) if groups is None else groups
    _, first, of_row = np.unique(groups, return_index=True, return_inverse=True)
    if targets.ndim == 2:
        return of_row, [np.arange(len(first))]
    classes = targets.numpy()[first]
    order = np.argsort(classes, kind="stable")
    return of_row, np.split(order, np.flatnonzero(np.diff(classes[order])) + 1)
