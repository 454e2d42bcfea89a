"""Steps on their way to a file: a bar for people, lines for logs, and a first Ctrl-C that loses nothing."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress

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


def tracked(items: Iterable[T], total: int, title: str, *, shown: bool) -> Iterator[T]:
    """A bar on stderr, unless results go to the terminal, which show themselves how far it is."""
    console = Console(stderr=True)
    if not shown or sys.stdout.isatty() or not console.is_terminal:
        yield from items
        return
    # Left to itself the bar would take what is printed to stdout, and show it on stderr.
    with Progress(console=console, transient=True, redirect_stdout=False) as bar:
        yield from bar.track(items, total, description=title)


def silence(quiet: bool) -> None:
    """``--quiet``: errors only."""
    if quiet:
        logging.getLogger("vggapps").setLevel(logging.ERROR)
