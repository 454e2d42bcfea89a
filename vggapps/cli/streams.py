"""Standard streams that tolerate being closed, a full disk, and characters that the encoding lacks."""

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
    """A text stream whose errors do not stop the program.

    Text that can't be written is dropped, and the first error is kept; a broken pipe is raised as usual. File names
    are written as their bytes, other characters that the encoding lacks as escapes.
    """

    failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write the text, or drop it after an error."""
        with self._leniently():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, ignoring errors."""
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
    """Run a program with tolerant streams, and report at its end if its results could not be printed.

    Raises:
        SystemExit: of the program; with 3 instead of 0 if its results could not be printed.
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
    except KeyboardInterrupt:  # while printing an error
        code = 130
    with contextlib.suppress(BrokenPipeError):
        out.flush()
    if out.failure:
        typer.secho(f"error: the results can't be printed: {out.failure.strerror}", fg="red", err=True)
        typer.echo("hint: output files are written; redirect stdout to a disk with space", err=True)
        code = code or 3
    if out.failure or err.failure:
        # Python flushes again at exit, and would end with code 120.
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (out, err):
            if stream.failure:
                os.dup2(null, stream.fileno())
    sys.exit(code)


def _lenient(stream: Any) -> Lenient:
    how = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
    return Lenient(stream.buffer, stream.encoding, "vggapps", **how)


def _fill_closed() -> None:
    """Open closed streams on the null device, so that no other file gets their descriptors; using them still fails."""
    ways = {"stdin": ("r", os.O_WRONLY), "stdout": ("w", os.O_RDONLY), "stderr": ("w", os.O_WRONLY)}
    for name, (mode, flags) in ways.items():
        if getattr(sys, name) is None:
            number = os.open(os.devnull, flags)  # the lowest free descriptor, which is the stream's own
            stream = open(number, mode, closefd=False)  # noqa: SIM115 - stays open until exit
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
