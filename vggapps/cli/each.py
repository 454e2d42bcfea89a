"""One picture after another, each to its own file: what breaks one does not keep the others from being made."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer

from vggapps.cli.foreign import known
from vggapps.cli.outputs import STREAM
from vggapps.cli.progress import Stop, stoppable


def each(
    photos: Sequence[str], targets: Sequence[str], make: Callable[[str, str, Stop], dict[str, Any]], *, as_json: bool
) -> None:
    """Make a file of every picture; tell on stdout what has been written.

    Ends the program with 130 or 143 where somebody stopped it, with 1 where some of several failed.

    Args:
        photos: the inputs.
        targets: an output for each.
        make: ``(photo, target, stop)`` writes the output; what it returns is what ``--json`` prints.
        as_json: print that, not only the output's name.

    Raises:
        Exception: what broke the only one, and defects.
    """
    failed = 0
    with stoppable() as stop:
        for photo, target in zip(photos, targets, strict=True):
            try:
                made = make(photo, target, stop)
            except Exception as error:
                told = known(error, photo)
                if told is None or len(photos) == 1:
                    raise
                failed += 1
                typer.secho(f"error: {told}", fg="red", err=True)
                continue
            if target != STREAM:
                typer.echo(json.dumps(made) if as_json else target)
            if stop.code:
                sys.exit(stop.code)
    if failed:
        typer.echo(f"{failed} of {len(photos)} pictures failed", err=True)
        sys.exit(1)
