"""Messages of a command and its exit code.

An input that fails does not stop the others. A result that had to be saved under another name does not stop the command
either, but its exit code is not 0.
"""

from __future__ import annotations

import errno
import json
import sys
from typing import Any

import typer

from vggapps.errors import OutOfMemoryError, PictureError, VggappsError, argument, in_a_line, out_of_memory, remedy

_OPTIONS = {"metrics": "--metric", "overwrite": "--force", "table": "--labels"}  # named differently in Python
_codes: list[int] = []


def option(name: str, value: str = "") -> str:
    """The command-line option for a Python argument: ``--style-weight 2`` for ``style_weight`` and ``2``."""
    typed = _OPTIONS.get(name, "--" + name.replace("_", "-"))
    if value == "False":
        return typed.replace("--", "--no-", 1)
    return f"{typed} {value}" if value not in ("", "True") else typed


def to_vggapps_error(error: Exception, about: str = "") -> VggappsError | None:
    """The error with command-line options for arguments; None if it can only be a bug in vggapps.

    Args:
        error: a VggappsError, or an error of another library.
        about: the picture that was processed, which errors of other libraries do not name.
    """
    if isinstance(error, VggappsError):
        return error.worded(option)
    found = _from_other_library(error)
    return (found.about(about) if about else found).worded(option) if found else None


def _from_other_library(error: Exception) -> VggappsError | None:
    if out_of_memory(error):
        return OutOfMemoryError(
            "there is not enough memory", f"use a smaller {argument('size')}, or close other programs"
        )
    if isinstance(error, RuntimeError) and "Symlink loop" in str(error):  # pathlib before Python 3.13
        return PictureError(" ".join(str(error).split()), remedy(errno.ELOOP, ""))
    if isinstance(error, OSError):
        what = " ".join(str(error.strerror or error or type(error).__name__).split())
        stream = "stdin or stdout is closed: " if error.errno == errno.EBADF else ""
        named = f"{error.filename}: " if error.filename is not None else stream
        return PictureError(f"{named}{what}", remedy(error.errno, "check the files, the disk and the network"))
    return None


def expected(error: Exception, about: str) -> VggappsError:
    """The error to report for one of several inputs; raises it if it is a bug, which would stop the others, too.

    Args:
        error: what was raised.
        about: the input.
    """
    if (found := to_vggapps_error(error, about)) is None:
        raise error
    return found


def print_error(error: VggappsError) -> None:
    """Print an error and its hint to stderr, a line each."""
    error = error.worded(option)
    typer.secho(f"error: {error.message}", fg="red", err=True)
    if error.hint:
        typer.echo(f"hint: {error.hint}", err=True)


def print_error_line(error: VggappsError | str) -> None:
    """Print an error that stopped one of several inputs to stderr, in one line."""
    typer.secho(f"error: {in_a_line(str(error))}", fg="red", err=True)


def print_error_and_continue(error: VggappsError) -> None:
    """Print an error. A command that would exit with 0 exits with the code of the first such error."""
    _codes.append(error.exit_code)
    print_error(error)


def note(text: str, *, quiet: bool) -> None:
    """Print a message to stderr that is neither a result nor an error."""
    if not quiet:
        typer.echo(in_a_line(text), err=True)


def print_json(**facts: Any) -> None:
    """Print a result to stdout as a JSON object in one line."""
    typer.echo(json.dumps({"schema": 1, **facts}, allow_nan=False))


def print_totals(**totals: Any) -> None:
    """The last line of JSON Lines: totals over the lines before."""
    print_json(total=totals)


class Failures:
    """Counts the inputs that failed.

    Args:
        total: number of inputs. The error of a single input is raised.
        what: the inputs, in the plural.
        count: how many have failed already, and were reported.
    """

    def __init__(self, total: int, what: str = "pictures", count: int = 0) -> None:
        self.total, self.what, self.count = total, what, count

    def add(self, error: Exception, about: str) -> None:
        """Report an input that failed.

        Raises:
            Exception: the error of a single input, and bugs.
        """
        problem = expected(error, about)
        if self.total == 1:
            raise error
        self.count += 1
        print_error_line(problem)

    def end(self, code: int = 0) -> None:
        """Print how many inputs failed. Exits with the code, or with 1 after failures; otherwise returns."""
        if self.count:
            typer.echo(f"{self.count} of {self.total} {self.what} failed", err=True)
        if code or self.count:
            sys.exit(code or 1)


def exit_code() -> int:
    """The code of the first error that was printed by ``print_error_and_continue`` since the last call, or 0."""
    first = next(iter(_codes), 0)
    _codes.clear()
    return first
