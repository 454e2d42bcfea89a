"""The temperature that makes probabilities of a head's logits, and whether the pictures suffice to fit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from vggapps.features._fitting import Targets, probabilities

LEAST = 50  # pictures: on fewer, the temperature is mostly chance
LOWEST, HIGHEST = 1 / 20, 20.0  # between which it is sought
Logits = Float[Tensor, "n classes"]


@dataclass(frozen=True)
class Calibration:
    """A temperature, and how it was found.

    Attributes:
        temperature: what logits are to be divided by; 1 where it could not be fitted.
        source: ``held-out`` pictures, all pictures by ``cross-validation``, or ``none``.
        pictures: how many it was fitted on, or could not be; 0 where there are too few to try.
    """

    temperature: float
    source: Literal["held-out", "cross-validation", "none"]
    pictures: int


def calibration(logits: Logits, targets: Targets, by_folds: Callable[[], tuple[Logits, Targets]]) -> Calibration:
    """The temperature of the held-out pictures, or of all by cross-validation, or 1.

    Fewer than ``LEAST`` pictures do not determine it. Nor do pictures that are told without a mistake: the smaller the
    temperature, the better they are explained.

    Args:
        logits, targets: of the held-out pictures.
        by_folds: gives logits and targets of all pictures, each by a head that has not seen it; called if need be.
    """
    if len(logits) >= LEAST and (found := calibrate(logits, targets)) > LOWEST * 1.01:
        return Calibration(found, "held-out", len(logits))
    logits, targets = by_folds()
    if len(logits) >= LEAST and (found := calibrate(logits, targets)) > LOWEST * 1.01:
        return Calibration(found, "cross-validation", len(logits))
    return Calibration(1.0, "none", len(logits))


def calibrate(logits: Logits, targets: Targets) -> float:
    """The temperature that minimises the negative log likelihood (Guo et al., ICML 2017, section 4.2).

    The likelihood is convex in 1/T, so that its slope, the mean of E_p[z] - E_q[z] over rows, is halved to its zero.
    Between 0.05 and 20: what is told perfectly would go to 0. A teacher's probabilities stand for its classes.
    """
    logits = logits.double()
    wanted = (probabilities(targets, logits.shape[1]) * logits).sum(1).mean()
    low, high = 1 / HIGHEST, 1 / LOWEST
    for _ in range(50):
        middle = (low * high) ** 0.5
        slope = ((middle * logits).softmax(1) * logits).sum(1).mean() - wanted
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(1 / middle)
