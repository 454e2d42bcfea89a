"""The exceptions that vggapps raises on purpose.

VggappsError                 exit code 1
├── SettingsError            2   a name, number or option that makes no sense
├── PictureError             3   a picture, or another file or stream, that can't be read or written
├── OutputExistsError        4   a file that would be overwritten
├── WeightsError             5   weights that are missing, damaged or not what they should be
├── OutOfMemoryError         6   more memory wanted than there is
└── DivergedError            1   numbers that became infinite or NaN

Each has a message that says what is wrong and a hint that says what to do. An argument is named by :func:`argument`:
Python reads ``size=512``, and the command line and the page put in their own names by :meth:`VggappsError.worded`.
The command line catches the family in one place (``vggapps.cli.app``) and exits with the class's code.
"""

from __future__ import annotations

import difflib
import errno
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Self

# Name, value and Python's form of the value, between Unicode's noncharacters, which are meant for internal use.
_ARGUMENT = re.compile("\ufdd0(\\w+)\ufdd0(.*?)\ufdd0(.*?)\ufdd1", re.DOTALL)
NameOf = Callable[[str, str], str]


def in_a_line(text: str) -> str:
    r"""The text with escapes for line breaks and control characters: names and values of users hold anything.

    >>> print(in_a_line("two\nlines"))
    two\nlines
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def argument(name: str, value: Any = None) -> str:
    """An argument of a function or a field of settings, for the text of an error.

    >>> print(SettingsError(f"{argument('size')} is 3", f"use {argument('size', 512)}"))
    size is 3 (use size=512)

    Args:
        name: of the argument, as in Python.
        value: what it is set to, where that is told.
    """
    return f"\ufdd0{name}\ufdd0\ufdd0\ufdd1" if value is None else f"\ufdd0{name}\ufdd0{value}\ufdd0{value!r}\ufdd1"


def _resolved(text: str, name_of: NameOf | None = None) -> str:
    """The text with arguments named, by default as in Python; in one line."""

    def named(found: re.Match[str]) -> str:
        name, value, in_python = found.groups()
        return name_of(name, value) if name_of else f"{name}={in_python}" if in_python else name

    return in_a_line(_ARGUMENT.sub(named, text))


class VggappsError(Exception):
    """Base of all exceptions that vggapps raises on purpose.

    Args:
        message: the thing and the reason, one line.
        hint: the remedy, one line; may be empty.
        run: a command that is a remedy too, for people with a terminal on this machine.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "", run: str = "") -> None:
        super().__init__(message)
        self._texts = message, hint, run

    @property
    def message(self) -> str:
        """What is wrong."""
        return _resolved(self._texts[0])

    @property
    def hint(self) -> str:
        """What to do."""
        _, hint, run = self._texts
        return _resolved("; or ".join(filter(None, [hint, run and f"run: {run}"])))

    def worded(self, name_of: NameOf, *, commands: bool = True) -> Self:
        """The same error with arguments as ``name_of(name, value)`` writes them.

        Args:
            name_of: gets the name of an argument and its value as text, which is empty where none is told.
            commands: whether a remedy may be a command.
        """
        message, hint, run = (_resolved(text, name_of) for text in self._texts)
        return type(self)(message, hint, run if commands else "")

    def about(self, what: object) -> Self:
        """The same error, said of something that it does not name: a file or a line of one."""
        message, hint, run = self._texts
        return type(self)(f"{what}: {message}", hint, run)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), self._texts


class SettingsError(VggappsError, ValueError):
    """A name, number or option that makes no sense."""

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


# What the messages of other errors say: those of torch's allocators for CPU, CUDA and MPS, of C++, of the system.
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
    """Whether another library's error says so: Python's, the operating system's, or that of torch's allocators."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    said = str(error).lower()
    return not isinstance(error, VggappsError) and any(words in said for words in _OUT_OF_MEMORY)


_REMEDIES = {
    errno.EACCES: "allow this account to use it, or choose a folder that you may write to",
    errno.EPERM: "allow this account to use it, or choose a folder that you may write to",
    errno.EBADF: "open stdin and stdout, or name files instead",
    errno.EDQUOT: "your quota on this disk is used up: free some space, or choose another disk",
    errno.EFBIG: "raise the limit on the size of files, or choose another disk",
    errno.EIO: "check the disk or the connection to it",
    errno.EISDIR: "name a file, not a folder",
    errno.ELOOP: "the name is a link to itself; choose another",
    errno.EMFILE: "close other files, or raise the limit: ulimit -n",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENFILE: "close other programs",
    errno.ENOENT: "check its name and folder",
    errno.ENOSPC: "make room on the disk, or choose one with space",
    errno.ENOTDIR: "a part of this path is a file: check its name",
    errno.EROFS: "choose a folder on a disk that can be written to",
}


def remedy(number: int | None, otherwise: str) -> str:
    """The hint for an operating system's error, by its ``errno``."""
    return _REMEDIES.get(number or 0, otherwise)


_LISTED = 50  # a longer list is no help
_WORD = 60  # letters of a wrong word that are shown


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
