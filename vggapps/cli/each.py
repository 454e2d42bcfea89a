"""One picture after another, each to its own file: what breaks one does not keep the others from being made."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import typer

from vggapps.cli.outcome import failure, tell_in_passing
from vggapps.cli.progress import Stop, stoppable
from vggapps.cli.saving import Target

T = TypeVar("T")


def each(
    inputs: Sequence[T],
    targets: Sequence[Target | None],
    make: Callable[[T, Target, Stop], dict[str, Any]],
    *,
    as_json: bool,
    named: Callable[[T], str] = attrgetter("path"),
) -> None:
    """Make a file of every picture; tell on stdout what has been written.

    Ends the program with 129, 130 or 143 where somebody stopped it, with 1 where some of several failed.

    Args:
        inputs: what is read.
        targets: an output for each; None where nothing is to be made.
        make: ``(input, target, stop)`` writes the output; what it returns is what ``--json`` prints.
        as_json: print that, not only the output's name.
        named: what to call an input in errors.

    Raises:
        Exception: what broke the only one, and defects.
    """
    wanted = [(one, target) for one, target in zip(inputs, targets, strict=True) if target is not None]
    failed = 0
    with stoppable() as stop:
        for one, target in wanted:
            try:
                made = make(one, target, stop)
            except Exception as error:
                problem = failure(error, named(one))
                if len(wanted) == 1:
                    raise
                failed += 1
                tell_in_passing(problem)
                if stop.code:
                    break
                continue
            if not target.is_stream:
                typer.echo(json.dumps(made) if as_json else made["output"])
            if stop.code:
                break
    if failed:
        typer.echo(f"{failed} of {len(wanted)} pictures failed", err=True)
    if stop.code or failed:
        sys.exit(stop.code or 1)
