"""The exceptions of vggapps.

VggappsError                 exit code 1
├── SettingsError            2   an invalid argument
├── PictureError             3   a picture, or another file or stream, that can't be read or written
├── OutputExistsError        4   a file that would be overwritten
├── WeightsError             5   weights that are missing, damaged or of another network
├── OutOfMemoryError         6   not enough memory
└── DivergedError            1   a loss that became infinite or NaN

Each has a message (what is wrong) and a hint (what to do). Arguments in them are written by :func:`argument`: Python
shows ``size=512``; the command line and the page replace it by their own names with :meth:`VggappsError.worded`. The
command line catches these exceptions in ``vggapps.cli.app`` and exits with the class's code.
"""

from __future__ import annotations

import difflib
import errno
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Self

# Name, value and repr of the value, between Unicode noncharacters, which are reserved for internal use.
_ARGUMENT = re.compile("\ufdd0(\\w+)\ufdd0(.*?)\ufdd0(.*?)\ufdd1", re.DOTALL)
NameOf = Callable[[str, str], str]


def in_a_line(text: str) -> str:
    r"""The text with line breaks and control characters escaped, which file names and other user input may contain.

    >>> print(in_a_line("two\nlines"))
    two\nlines
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def argument(name: str, value: Any = None) -> str:
    """A function's argument or a settings field, in the text of an error.

    >>> print(SettingsError(f"{argument('size')} is 3", f"use {argument('size', 512)}"))
    size is 3 (use size=512)

    Args:
        name: of the argument, as in Python.
        value: its value, if shown.
    """
    return f"\ufdd0{name}\ufdd0\ufdd0\ufdd1" if value is None else f"\ufdd0{name}\ufdd0{value}\ufdd0{value!r}\ufdd1"


def _resolved(text: str, name_of: NameOf | None = None) -> str:
    """The text in one line with arguments as ``name_of`` writes them, by default as in Python."""

    def named(found: re.Match[str]) -> str:
        name, value, in_python = found.groups()
        return name_of(name, value) if name_of else f"{name}={in_python}" if in_python else name

    return in_a_line(_ARGUMENT.sub(named, text))


class VggappsError(Exception):
    """Base of all exceptions of vggapps.

    Args:
        message: the subject and the reason, one line.
        hint: the remedy, one line; may be empty.
        run: a command that is a remedy, too.
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
        """The error with arguments as ``name_of(name, value)`` writes them.

        Args:
            name_of: called with the name of an argument and its value as text, empty if there is none.
            commands: include the command in the hint.
        """
        message, hint, run = (_resolved(text, name_of) for text in self._texts)
        return type(self)(message, hint, run if commands else "")

    def about(self, what: object) -> Self:
        """The error with ``what`` in front of its message: a file, or a line of one."""
        message, hint, run = self._texts
        return type(self)(f"{what}: {message}", hint, run)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), self._texts


class SettingsError(VggappsError, ValueError):
    """An invalid argument: a name, a number or a combination of options."""

    exit_code = 2


class PictureError(VggappsError, OSError):
    """A picture, or another file or stream, that can't be read or written."""

    exit_code = 3


class OutputExistsError(VggappsError, FileExistsError):
    """A file that would be overwritten."""

    exit_code = 4


class WeightsError(VggappsError, RuntimeError):
    """Weights that are missing, damaged or of another network."""

    exit_code = 5


class OutOfMemoryError(VggappsError, MemoryError):
    """Not enough memory."""

    exit_code = 6


class DivergedError(VggappsError, ArithmeticError):
    """A loss that became infinite or NaN."""

    exit_code = 1


# Parts of error messages of torch's allocators (CPU, CUDA, MPS), of C++ and of operating systems.
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
    """Whether an error of Python, the operating system or torch means that memory is exhausted."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return not isinstance(error, VggappsError) and any(words in text for words in _OUT_OF_MEMORY)


_REMEDIES = {
    errno.EACCES: "change its permissions, or choose a folder that you may write to",
    errno.EPERM: "change its permissions, or choose a folder that you may write to",
    errno.EBADF: "open stdin and stdout, or name files instead",
    errno.EDQUOT: "your disk quota is used up: free some space, or choose another disk",
    errno.EFBIG: "raise the limit on file sizes, or choose another disk",
    errno.EIO: "check the disk or the connection to it",
    errno.EISDIR: "name a file, not a folder",
    errno.ELOOP: "the name is a link to itself; choose another",
    errno.EMFILE: "close other files, or raise the limit: ulimit -n",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENFILE: "close other programs",
    errno.ENOENT: "check its name and folder",
    errno.ENOSPC: "free space on the disk, or choose another one",
    errno.ENOTDIR: "a part of this path is a file: check its name",
    errno.EROFS: "choose a folder on a writable disk",
}


def remedy(number: int | None, otherwise: str) -> str:
    """The hint for an operating system error, by its ``errno``."""
    return _REMEDIES.get(number or 0, otherwise)


_LISTED = 50  # choices; longer lists are only counted
_WORD = 60  # characters of the wrong word that are shown


def unknown(kind: str, word: object, choices: Iterable[str], meant: str = "") -> SettingsError:
    """The error for an unknown name, with the nearest valid name and the list of choices.

    >>> print(unknown("layer", "relu41", ["relu3_1", "relu4_1"]))
    there is no layer 'relu41' (did you mean 'relu4_1'? the choices are: relu3_1, relu4_1)

    Args:
        kind: what the name stands for.
        word: the unknown name.
        choices: the valid names.
        meant: the name to suggest; default the one with the most similar spelling.
    """
    choices, word = list(choices), str(word)
    word = word if len(word) <= _WORD else word[: _WORD - 3] + "..."
    lower = {choice.lower(): choice for choice in choices}
    near = [meant] if meant else [lower[n] for n in difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)]
    listed = f"the choices are: {', '.join(choices)}"
    if len(choices) > _LISTED:
        listed = f"there are {len(choices)} to choose from"
    return SettingsError(f"there is no {kind} '{word}'", f"did you mean '{near[0]}'? {listed}" if near else listed)


_INNER = {"vggapps", "torch", "torchmetrics", "contextlib"}  # packages whose frames are not the user's code


def warn(message: str) -> None:
    """Issue a warning at the line of user code that called into the package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _INNER:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
