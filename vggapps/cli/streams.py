"""stdin, stdout and stderr where they are closed, or lead to a full disk, or can't write every letter."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

import typer


class Lenient(io.TextIOWrapper):
    """Text out, which never breaks the work that it tells of.

    What can't be written is dropped, and the first reason kept; but for a pipe that its reader has closed, which is
    how ``head`` says that it has seen enough. File names go out as the bytes that they are, other letters that the
    encoding lacks as escapes.
    """

    failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write, or drop it."""
        with self._leniently():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or drop what is waiting."""
        with self._leniently():
            super().flush()

    @contextlib.contextmanager
    def _leniently(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            self.failure = self.failure or error


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    for way in ("surrogateescape", "backslashreplace"):
        with contextlib.suppress(UnicodeError):
            return codecs.lookup_error(way)(error)
    raise error


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Run a program with streams that hold, and tell at its end if its results could not be printed.

    Raises:
        SystemExit: of the program; with 3 instead of 0 where its results could not be printed.
    """
    codecs.register_error("vggapps", _escaped)
    _fill_closed()
    out, err = _lenient(sys.stdout), _lenient(sys.stderr)
    sys.stdout, sys.stderr = out, err
    code: Any = 0
    try:
        yield
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:  # while an error was told
        code = 130
    with contextlib.suppress(BrokenPipeError):  # as at any other time
        out.flush()
    if out.failure:
        typer.secho(f"error: the results can't be printed: {out.failure.strerror}", fg="red", err=True)
        typer.echo("hint: files that were named are written; give the command an open stdout with space", err=True)
        code = code or 3
    if out.failure or err.failure:
        # Python flushes once more at its end, and would exit with 120.
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (out, err):
            if stream.failure:
                os.dup2(null, stream.fileno())
    sys.exit(code)


def _lenient(stream: Any) -> Lenient:
    how = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
    return Lenient(stream.buffer, stream.encoding, "vggapps", **how)


def _fill_closed() -> None:
    """Open what is closed on nothing, so that it fails as before, but is no file that is opened later."""
    ways = {"stdin": ("r", os.O_WRONLY), "stdout": ("w", os.O_RDONLY), "stderr": ("w", os.O_WRONLY)}
    for name, (mode, flags) in ways.items():
        if getattr(sys, name) is None:
            number = os.open(os.devnull, flags)  # the lowest that is free, which is its own
            stream = open(number, mode, closefd=False)  # noqa: SIM115 - open as long as the program runs
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
