"""Progress on stderr, a bar on a terminal and lines in logs, and a first Ctrl-C that loses nothing."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from types import FrameType

T = TypeVar("T")


@dataclass
class Stop:
    """Whether somebody asked to stop, and the exit code that tells how: 130 for Ctrl-C, 143 for SIGTERM, 129 for
    SIGHUP, which a closed terminal or a lost connection sends.
    """

    code: int = 0


@contextmanager
def stoppable(note: str = "stopping after this step and keeping the picture") -> Iterator[Stop]:
    """The first Ctrl-C, SIGTERM or SIGHUP is noted in ``code``, to be looked at between steps; the second leaves at
    once. What is ignored stays ignored, as under ``nohup``.
    """
    stop = Stop()

    def heard(number: int, _frame: FrameType | None) -> None:
        if stop.code:
            sys.exit(stop.code)
        stop.code = 128 + number
        typer.echo(f"\n{note}; once more leaves at once", err=True)

    heard_of = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    wanted = [number for number in heard_of if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, heard) for number in wanted}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def silence(quiet: bool) -> None:
    """``--quiet``: errors only."""
    if quiet:
        logging.getLogger("vggapps").setLevel(logging.ERROR)
