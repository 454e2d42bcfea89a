"""How far a run is, shown on stderr, for commands and for people at a prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn, track

if TYPE_CHECKING:
    from vggapps.optimize._step import Step

T = TypeVar("T")


def watched(steps: Iterator[Step], title: str, *, quiet: bool = False) -> Iterator[Step]:
    """Pass the steps on and show on stderr how far they are: a bar on a terminal, else a line each tenth."""
    console = Console(stderr=True)
    if quiet:
        yield from steps
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(title, total=1.0, note="")
            for step in steps:
                note = f"{step.size[1]}x{step.size[0]}  loss {step.loss:.4f}"
                progress.update(task, completed=step.fraction, note=note)
                yield step
    else:
        tenth = 0
        for step in steps:
            if int(step.fraction * 10) > tenth:
                tenth = int(step.fraction * 10)
                console.print(
                    f"{title}: {10 * tenth} %, step {step.index} of {step.total}, loss {step.loss:.4f}, "
                    f"{step.seconds_left:.0f} s left",
                    highlight=False,
                    markup=False,
                    soft_wrap=True,
                )
            yield step


def counted(title: str, *, quiet: bool = False) -> Callable[[Sequence[T]], Iterable[T]]:
    """What passes items on and shows a bar on a terminal meanwhile, which goes with the last one."""
    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    return lambda items: track(items, escape(title), console=console, transient=True, disable=hidden)


def advanced(
    items: Iterable[T], done: Callable[[T], float], total: float, title: str, *, quiet: bool = False
) -> Iterator[T]:
    """Pass items on and show a bar on a terminal, which goes with the last one; ``done`` says how far an item is."""
    console = Console(stderr=True, quiet=quiet)
    # Left to itself the bar would take what is printed to stdout, and show it on stderr.
    with Progress(console=console, transient=True, redirect_stdout=False, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        for item in items:
            bar.update(task, completed=done(item))
            yield item
