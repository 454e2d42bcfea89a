"""The numbers of many pairs of pictures in a few."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from vggapps.losses._comparison import get_metrics, rounded


@dataclass(frozen=True)
class Summary:
    """One metric over many pairs.

    Attributes:
        mean: over finite values: the PSNR of one equal pair would make that of all infinite. Infinite if all are.
        median: over all values.
        worst: of all values.
        at: the index of the worst.
        count: pairs that have a value.
        infinite: of them those whose value is infinite: equal pictures, by PSNR.
    """

    mean: float
    median: float
    worst: float
    at: int
    count: int
    infinite: int


def summarize(rows: Sequence[Mapping[str, float | None]]) -> dict[str, Summary]:
    """Of the values that ``measure`` gave for each pair, by metric; pairs without a value do not count in it."""
    found = {}
    for metric in get_metrics(rows[0]) if rows else ():
        values = {index: value for index, row in enumerate(rows) if (value := row[metric.name]) is not None}
        if not values:
            continue
        finite = [value for value in values.values() if math.isfinite(value)]
        at = (max if metric.lower_is_better else min)(values, key=values.__getitem__)
        found[metric.name] = Summary(
            mean=rounded(fmean(finite or values.values())),
            median=rounded(median(values.values())),
            worst=values[at],
            at=at,
            count=len(values),
            infinite=len(values) - len(finite),
        )
    return found
