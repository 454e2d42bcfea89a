"""Turns of two workers of one device: quick jobs run between the operations of a long one, which is not starved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Literal

Lane = Literal["long", "quick"]

BURST = 1.0  # the most seconds for which quick jobs may hold up a long one before they alternate
SLICE = 0.25  # seconds of a turn when they alternate
_POLL = 0.05  # seconds between two checks whether a waiting job must end


class Turns:
    """Who may compute, of the running jobs of two lanes.

    While the other lane is idle, a job need not wait. Else a quick job comes first, until it and those before it have
    held up the long one for :data:`BURST` seconds; then both alternate. So in any w seconds the long job has at least
    half of w − :data:`BURST`, however many quick jobs follow one another, and a quick job waits for one turn at a time.
    Turns end by the clock: a job that computes nothing for a while, because it writes a file, holds up nobody.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = Condition()
        self._running: dict[Lane, int] = {"long": 0, "quick": 0}
        self._turn: Lane = "quick"
        self._held_up, self._counted = 0.0, clock()  # how long the long lane was held up, less what was repaid; until

    @contextmanager
    def running(self, lane: Lane) -> Iterator[None]:
        """While a job of the lane runs."""
        self._count(lane, 1)
        try:
            yield
        finally:
            self._count(lane, -1)

    def wait(self, lane: Lane, should_end: Callable[[], bool]) -> float:
        """Wait for the lane's turn, or until the job ``should_end``; returns how many seconds it took.

        To be called before each operation of a running job.
        """
        if not self._shared:
            return 0.0
        began = self._clock()
        with self._changed:
            while (left := self._left(lane)) and not should_end():
                self._changed.wait(min(left, _POLL))
        return self._clock() - began

    @property
    def _shared(self) -> bool:
        return all(self._running.values())

    def _count(self, lane: Lane, more: int) -> None:
        with self._changed:
            self._account()
            self._running[lane] += more
            self._changed.notify_all()

    def _left(self, lane: Lane) -> float:
        """Seconds until the lane's turn."""
        self._account()
        if not self._shared or self._turn == lane:
            return 0.0
        return max(1e-3, BURST - self._held_up if lane == "long" else self._held_up - (BURST - SLICE))

    def _account(self) -> None:
        """Count the time since the last call, and give the turn to the other lane if it is due."""
        now = self._clock()
        passed, self._counted = now - self._counted, now
        held_up = self._shared and self._turn == "quick"
        self._held_up = min(BURST, self._held_up + passed) if held_up else max(0.0, self._held_up - passed)
        limit = BURST if self._turn == "quick" else BURST - SLICE
        turn: Lane = "long" if self._held_up >= limit else "quick"
        if turn != self._turn:
            self._turn = turn
            self._changed.notify_all()
