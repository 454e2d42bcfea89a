"""What can go wrong, told to people.

VggappsError                 exit code 1
├── SettingsError            2   a word, number or option that makes no sense
├── PictureError             3   a picture, or another file or stream, that can't be read or written
├── OutputExistsError        4   a file that would be overwritten
├── WeightsError             5   weights that are missing, damaged or not what they should be
├── OutOfMemoryError         6   more memory wanted than there is
└── DivergedError            1   numbers that stopped being numbers

Each carries one line that says what is wrong, and a hint that says what to do. The command line catches the
family in one place (``vggapps.cli.app``) and exits with the class's code.
"""

from __future__ import annotations

import difflib
import errno
import sys
import warnings
from collections.abc import Iterable


def in_a_line(text: str) -> str:
    r"""With escapes for what would break the line or speak to the terminal: names and values of users hold anything.

    >>> print(in_a_line("two\nlines"))
    two\nlines
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class VggappsError(Exception):
    """Base of all errors that vggapps raises on purpose.

    Args:
        message: the thing and the reason, one line.
        hint: the remedy, one line; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        message, hint = in_a_line(message), in_a_line(hint)
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.message, self.hint)


class SettingsError(VggappsError, ValueError):
    """A word, number or option that makes no sense."""

    exit_code = 2


class PictureError(VggappsError, OSError):
    """A picture, or another file or stream, that can't be read or written."""

    exit_code = 3


class OutputExistsError(VggappsError, FileExistsError):
    """A file that would be overwritten."""

    exit_code = 4


class WeightsError(VggappsError, RuntimeError):
    """Weights that are missing, damaged or not what they should be."""

    exit_code = 5


class OutOfMemoryError(VggappsError, MemoryError):
    """More memory wanted than there is."""

    exit_code = 6


class DivergedError(VggappsError, ArithmeticError):
    """A loss that became infinite or not a number."""

    exit_code = 1


# How those say it who raise no MemoryError: torch's allocators for the processor, CUDA and MPS, C++, the system.
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED and its siblings
    "alloc_cpu.cpp",
    "unable to mmap",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether that is what somebody else's error says: Python's, the system's, or the allocators' of torch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    said = str(error).lower()
    return not isinstance(error, VggappsError) and any(words in said for words in _OUT_OF_MEMORY)


_LISTED = 50  # more are no help
_WORD = 60  # letters of a wrong word that are told


def unknown(kind: str, word: object, choices: Iterable[str], meant: str = "") -> SettingsError:
    """The error for a wrong name: says which right one is nearest, or lists them.

    >>> print(unknown("layer", "relu41", ["relu3_1", "relu4_1"]))
    there is no layer 'relu41' (did you mean 'relu4_1'? the choices are: relu3_1, relu4_1)

    Args:
        kind: of thing.
        word: what was given.
        choices: the right names.
        meant: the one that the word stands for elsewhere; the one that is spelt most like it by default.
    """
    choices, word = list(choices), str(word)
    word = word if len(word) <= _WORD else word[: _WORD - 3] + "..."
    lower = {choice.lower(): choice for choice in choices}
    near = [meant] if meant else [lower[n] for n in difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)]
    listed = f"the choices are: {', '.join(choices)}"
    if len(choices) > _LISTED:
        listed = f"there are {len(choices)} to choose from"
    return SettingsError(f"there is no {kind} '{word}'", f"did you mean '{near[0]}'? {listed}" if near else listed)


_INNER = {"vggapps", "torch", "torchmetrics", "contextlib"}  # whose lines are not what a user can change


def warn(message: str) -> None:
    """A warning at the line of the caller's own code, however deep in this package it is noticed."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _INNER:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
