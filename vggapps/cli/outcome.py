"""What went wrong though the work was done: said at once, and told by the exit code at the end.

A result that had to be kept under another name is no reason to stop, and no success either.
"""

from __future__ import annotations

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
    """Say in one line what stopped one of several pictures."""
    typer.secho(f"error: {in_a_line(str(error))}", fg="red", err=True)


def trouble(error: VggappsError) -> None:
    """Say it on stderr; a command that would end with 0 ends with the first such error's code."""
    _codes.append(error.exit_code)
    tell(error)


def failure(error: Exception, about: str) -> VggappsError:
    """What stopped one of several pictures, told to people; a defect, which would stop the others too, is raised.

    Args:
        error: ours, or somebody else's.
        about: the picture.
    """
    if (told := known(error, about)) is None:
        raise error
    return told


def exit_code() -> int:
    """The code of the first trouble since it was last asked, or 0."""
    first = next(iter(_codes), 0)
    _codes.clear()
    return first
