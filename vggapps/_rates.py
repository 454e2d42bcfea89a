"""Shares of pictures: in percent with a confidence interval, and as bins of confidence and accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Rate:
    """A share of the pictures in percent, and the 95 % confidence interval of what it would be on endlessly many."""

    percent: float
    low: float
    high: float


@dataclass(frozen=True)
class Bin:
    """The pictures whose first guess was made with a confidence in (low, high], all in [0, 1].

    Attributes:
        low: lower bound, excluded.
        high: upper bound, included.
        count: how many pictures.
        confidence: their mean; 0 without pictures.
        accuracy: the share of them that is right; 0 without pictures.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def rate(events: int, total: int) -> Rate:
    """A share in percent with Wilson's 95 % interval, which holds for few events and few pictures, too.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.
    """
    z = NormalDist().inv_cdf(0.975)
    share, part = events / total, z * z / total
    middle = (share + part / 2) / (1 + part)
    half = math.sqrt(share * (1 - share) * part + part * part / 4) / (1 + part)
    # Without events, and with nothing else, a bound is exactly 0 or 1; rounding would miss it.
    low = middle - half if events else 0.0
    high = middle + half if events < total else 1.0
    return Rate(100 * share, 100 * low, 100 * high)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error in percent: how far confidence and accuracy are apart, averaged over the pictures.

    Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On Calibration of Modern Neural Networks, ICML 2017
    (arXiv 1706.04599), equation 3.
    """
    total = sum(b.count for b in bins)
    return 100 * sum(b.count / total * abs(b.accuracy - b.confidence) for b in bins)
