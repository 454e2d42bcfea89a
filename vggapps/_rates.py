"""Rates with confidence intervals, and calibration errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Rate:
    """A proportion in percent with its 95 % confidence interval."""

    percent: float
    low: float
    high: float


@dataclass(frozen=True)
class Bin:
    """The pictures whose top-1 confidence is in (low, high].

    Attributes:
        low: lower bound in [0, 1], excluded.
        high: upper bound in [0, 1], included.
        count: number of pictures.
        confidence: mean confidence in [0, 1]; 0 for an empty bin.
        accuracy: top-1 accuracy in [0, 1]; 0 for an empty bin.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def rate(events: int, total: int) -> Rate:
    """A proportion with Wilson's 95 % interval, which is valid for small counts, too.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.
    """
    z = NormalDist().inv_cdf(0.975)
    share, part = events / total, z * z / total
    middle = (share + part / 2) / (1 + part)
    half = math.sqrt(share * (1 - share) * part + part * part / 4) / (1 + part)
    # The bound is exactly 0 or 1 here; rounding would miss it.
    low = middle - half if events else 0.0
    high = middle + half if events < total else 1.0
    return Rate(100 * share, 100 * low, 100 * high)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error in percent: mean difference of confidence and accuracy, weighted by count.

    Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On Calibration of Modern Neural Networks, ICML 2017
    (arXiv 1706.04599), equation 3.
    """
    total = sum(b.count for b in bins)
    return 100 * sum(b.count / total * abs(b.accuracy - b.confidence) for b in bins)
