"""How far a run is: what optimising a picture and training a network have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One step of a run.

    Attributes:
        index: counts from 1 over the whole run.
        total: steps of the whole run.
        fraction: of the run's work that is done; of a picture counted in pixels: a step at twice the size is four
            times the work.
        loss: before this step's update.
        terms: the loss's parts by name; they add up to it.
        seconds: since the start of the run, without the time that the consumer took.
    """

    index: int
    total: int
    fraction: float
    loss: float
    terms: Mapping[str, float]
    seconds: float

    @property
    def seconds_left(self) -> float:
        """An estimate from the work that is done and the work that is left."""
        return self.seconds * (1 / self.fraction - 1)
