"""Progress on stderr: a bar on a terminal, otherwise lines for logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

if TYPE_CHECKING:
    from vggapps.optimize._step import Step

T = TypeVar("T")
S = TypeVar("S", bound="Progressing")


class Progressing(Protocol):
    """A step of a run."""

    @property
    def fraction(self) -> float:
        """The share of the run that is done."""


@contextmanager
def _shown(title: str, *, quiet: bool, logged: bool) -> Iterator[Callable[[float, str], None]]:
    """A function that shows progress, a fraction and a note: as a bar on a terminal; otherwise, if ``logged``, as a
    line for each 10 %.
    """
    console, tenth, start = Console(stderr=True), 0, time.monotonic()

    def log(fraction: float, note: str) -> None:
        nonlocal tenth
        if int(fraction * 10) > tenth:
            tenth = int(fraction * 10)
            left = (time.monotonic() - start) * (1 - fraction) / fraction
            line = f"{title}: {10 * tenth} %, {note}, {left:.0f} s left"
            console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)

    if quiet or not (console.is_terminal or logged):
        yield lambda *_: None
    elif not console.is_terminal:
        yield log
    else:
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
            TextColumn("{task.fields[note]}", markup=False), TimeRemainingColumn(),
        )  # fmt: skip
        # By default the bar redirects stdout to its own console, which is stderr.
        with Progress(*columns, console=console, transient=not logged, redirect_stdout=False) as bar:
            task = bar.add_task(title, total=1.0, note="")
            yield lambda fraction, note: bar.update(task, completed=fraction, note=note)


def _note(step: Step) -> str:
    return f"step {step.index} of {step.total} at {step.size[1]}x{step.size[0]}, loss {step.loss:.4f}"


def watched(
    steps: Iterator[S],
    title: str,
    *,
    quiet: bool = False,
    note: Callable[[S], str] = _note,  # type: ignore[assignment]
) -> Iterator[S]:
    """Yield the steps of a run and show progress, with a ``note`` on each."""
    with _shown(title, quiet=quiet, logged=True) as show:
        for step in steps:
            show(step.fraction, note(step))
            yield step


def tracked(
    items: Iterable[T],
    title: str,
    total: int | None = None,
    *,
    quiet: bool,
    done: Callable[[T], int] | None = None,
    logged: bool = False,
    printing: bool = False,
) -> Iterator[T]:
    """Yield items and show progress.

    Args:
        items: of any kind.
        title: of the bar.
        total: the number of items; default their length.
        quiet: show nothing.
        done: the number of finished items after an item; default the items yielded so far.
        logged: also write lines to logs.
        printing: whether items are printed to stdout; on a terminal this replaces the bar.
    """
    total = total or len(items)  # type: ignore[arg-type]
    with _shown(title, quiet=quiet or (printing and sys.stdout.isatty()), logged=logged) as show:
        for number, item in enumerate(items, 1):
            yield item
            count = done(item) if done else number
            show(count / total, f"{count} of {total}")


@contextmanager
def downloading(name: str, *, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar for a download, as a function of the received and the total bytes."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
        tasks: list[TaskID] = []

        def show(done: int, total: int | None) -> None:
            if not tasks:  # bytes of an earlier download do not count for the speed
                tasks.append(bar.add_task(name, completed=done, total=total))
            bar.update(tasks[0], completed=done, total=total)

        yield show
