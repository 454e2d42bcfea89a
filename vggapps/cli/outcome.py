"""How a command ends: what failed is reported at once, counted, and decides the exit code.

One input that fails does not keep the others from being worked on. A result that had to be kept under another name is
no reason to stop, and no success either.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import typer

from vggapps.cli.foreign import known, option
from vggapps.errors import VggappsError, in_a_line

_codes: list[int] = []


def tell(error: VggappsError) -> None:
    """Say on stderr what is wrong and what to do, a line each."""
    error = error.worded(option)
    typer.secho(f"error: {error.message}", fg="red", err=True)
    if error.hint:
        typer.echo(f"hint: {error.hint}", err=True)


def tell_in_passing(error: VggappsError | str) -> None:
    """Say in one line what stopped one of several inputs."""
    typer.secho(f"error: {in_a_line(str(error))}", fg="red", err=True)


def note(text: str, *, quiet: bool) -> None:
    """Say something on stderr that is neither a result nor an error."""
    if not quiet:
        typer.echo(in_a_line(text), err=True)


def print_json(**facts: Any) -> None:
    """A result, as an object in a line on stdout."""
    typer.echo(json.dumps({"schema": 1, **facts}, allow_nan=False))


def print_totals(**totals: Any) -> None:
    """The last line of results that list rows: what they come to."""
    print_json(total=totals)


def trouble(error: VggappsError) -> None:
    """Say it on stderr; a command that would end with 0 ends with the first such error's code."""
    _codes.append(error.exit_code)
    tell(error)


def failure(error: Exception, about: str) -> VggappsError:
    """What stopped one of several inputs, told to people; a defect, which would stop the others too, is raised.

    Args:
        error: ours, or somebody else's.
        about: the input.
    """
    if (told := known(error, about)) is None:
        raise error
    return told


class Failures:
    """Which of several inputs failed.

    Args:
        of: how many inputs there are. What stops a single one is raised.
        what: they are.
        count: how many have failed already, and were reported.
    """

    def __init__(self, of: int, what: str = "pictures", count: int = 0) -> None:
        self.of, self.what, self.count = of, what, count

    def add(self, error: Exception, about: str) -> None:
        """Report an input that failed.

        Raises:
            Exception: what broke the only one, and defects.
        """
        problem = failure(error, about)
        if self.of == 1:
            raise error
        self.count += 1
        tell_in_passing(problem)

    def end(self, code: int = 0) -> None:
        """Say how many failed, and end the program with the code, or with 1 where some did; go on where all is well."""
        if self.count:
            typer.echo(f"{self.count} of {self.of} {self.what} failed", err=True)
        if code or self.count:
            sys.exit(code or 1)


def exit_code() -> int:
    """The code of the first trouble since it was last asked, or 0."""
    first = next(iter(_codes), 0)
    _codes.clear()
    return first
