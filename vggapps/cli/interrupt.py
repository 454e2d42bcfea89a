"""Signals: the first Ctrl-C stops a run between two steps and keeps its result."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from types import FrameType


@dataclass
class Stop:
    """A request to stop.

    Attributes:
        code: 0, or the exit code: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP (a closed terminal or connection).
    """

    code: int = 0


@contextmanager
def stoppable(note: str = "stopping after this step and keeping the picture") -> Iterator[Stop]:
    """Set ``code`` at the first Ctrl-C, SIGTERM or SIGHUP, to be checked between steps; exit at the second.

    A signal that is ignored, as under ``nohup``, stays ignored.
    """
    stop = Stop()

    def request(number: int, _frame: FrameType | None) -> None:
        if stop.code:
            sys.exit(stop.code)
        stop.code = 128 + number
        typer.echo(f"\n{note}; press Ctrl-C again to exit at once", err=True)

    signals = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    active = [number for number in signals if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, request) for number in active}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
