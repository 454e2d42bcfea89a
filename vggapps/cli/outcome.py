"""What went wrong though the work was done: said at once, and told by the exit code at the end.

A result that had to be kept under another name is no reason to stop, and no success either.
"""

from __future__ import annotations

import typer

from vggapps.errors import OutOfMemoryError, VggappsError, out_of_memory

_codes: list[int] = []


def trouble(error: VggappsError) -> None:
    """Say it on stderr; a command that would end with 0 ends with the first such error's code."""
    _codes.append(error.exit_code)
    typer.secho(f"error: {error.message}", fg="red", err=True)
    if error.hint:
        typer.echo(f"hint: {error.hint}", err=True)


def failure(error: Exception) -> VggappsError:
    """What stopped one of several pictures, told to people; what would stop the others, too, is raised.

    Raises:
        Exception: the error itself, unless it is one of ours or a lack of memory.
    """
    if isinstance(error, VggappsError):
        return error
    if out_of_memory(error):
        return OutOfMemoryError("there is not enough memory", "use a smaller --size, or close other programs")
    raise error


def exit_code() -> int:
    """The code of the first trouble since it was last asked, or 0."""
    first = next(iter(_codes), 0)
    _codes.clear()
    return first
