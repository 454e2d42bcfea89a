"""Stratified splits of rows, which keep copies of a picture together."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from vggapps.errors import SettingsError
from vggapps.features._fitting import Index, Targets

_ROWS = 4096  # rows in memory at once


def copies(features: NDArray[np.float32]) -> Index:
    """For each row the index of the first equal row; copies of a picture have equal rows."""
    first: dict[bytes, int] = {}
    found = np.empty(len(features), np.int64)
    for start in range(0, len(features), _ROWS):
        block = np.ascontiguousarray(features[start : start + _ROWS], np.float32) + 0.0  # turns -0 into 0
        for row, numbers in enumerate(block, start):
            found[row] = first.setdefault(hashlib.blake2b(numbers.tobytes(), digest_size=16).digest(), row)
    return found


def one_per_group(rows: Index, groups: Index) -> Index:
    """The first of these rows in each group, sorted."""
    found: Index = rows[np.sort(np.unique(groups[rows], return_index=True)[1])]
    return found


def split(targets: Targets, share: float, seed: int = 0, groups: Index | None = None) -> tuple[Index, Index]:
    """Split rows at random into a training and a held-out part, stratified by class; sorted indices of both.

    A class with a single group stays in the training part; otherwise at least one group is held out. Logits are not
    stratified. ``share`` is the held-out fraction of each class. Rows with the same number in ``groups`` stay together
    and count once, with the class of the first.
    """
    generator = np.random.default_rng(seed)
    of_row, classes = _strata(targets, groups)
    held = [generator.permutation(g)[: max(round(share * len(g)), 1) if len(g) > 1 else 0] for g in classes]
    is_held = np.isin(of_row, np.concatenate(held))
    if is_held.all() or not is_held.any():
        raise SettingsError(
            f"{len(np.unique(of_row))} pictures are too few to hold some out", "give at least two of a class"
        )
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def folds(targets: Targets, count: int, seed: int = 0, groups: Index | None = None) -> list[Index]:
    """Sorted indices of stratified folds, see :func:`split`; classes with a single group are left out."""
    generator = np.random.default_rng(seed)
    of_row, classes = _strata(targets, groups)
    dealt = np.concatenate([np.empty(0, np.int64), *(generator.permutation(g) for g in classes if len(g) > 1)])
    return [np.flatnonzero(np.isin(of_row, dealt[start::count])) for start in range(count)]


def untested(targets: Targets, groups: Index) -> list[int]:
    """Classes with a single group, which is used for training; empty for logits."""
    if targets.ndim == 2:
        return []
    first = np.unique(groups, return_index=True)[1]
    classes, counts = np.unique(targets.numpy()[first], return_counts=True)
    return [int(index) for index in classes[counts == 1]]


def _strata(targets: Targets, groups: Index | None) -> tuple[Index, list[Index]]:
    """The group of each row, numbered from 0, and the groups of each class."""
    groups = np.arange(len(targets)) if groups is None else groups
    _, first, of_row = np.unique(groups, return_index=True, return_inverse=True)
    if targets.ndim == 2:
        return of_row, [np.arange(len(first))]
    classes = targets.numpy()[first]
    order = np.argsort(classes, kind="stable")
    return of_row, np.split(order, np.flatnonzero(np.diff(classes[order])) + 1)
