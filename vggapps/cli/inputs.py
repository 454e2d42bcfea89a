"""Which pictures the words of a command line mean."""

from __future__ import annotations

import glob
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from vggapps.cli.outcome import tell_in_passing
from vggapps.errors import PictureError

STREAM = "-"


class Input(NamedTuple):
    """A picture to read.

    Attributes:
        path: the file, or ``-`` for stdin.
        below: its folder below the one that was named, "" if it was named itself: results keep this structure.
        named: whether the user named this very file, rather than a folder or a pattern.
    """

    path: str
    below: str = ""
    named: bool = True

    @property
    def stem(self) -> str:
        """What outputs are named after."""
        return "stdin" if self.path == STREAM else Path(self.path).stem


def expand(words: Iterable[str], *, quiet: bool = False) -> list[Input]:
    """The pictures meant by files, folders with all that is below them, patterns, or ``-``.

    What is left out (files that are no pictures by their names, folders that can't be read) is said on stderr.

    Raises:
        PictureError: a folder without pictures.
    """
    return [found for word in words for found in _expanded(word, quiet=quiet)]


def _expanded(word: str, *, quiet: bool) -> list[Input]:
    if word == STREAM:
        return [Input(word)]
    try:
        if Path(word).is_file():
            return [Input(word)]
        if Path(word).is_dir():
            return _inside(word, quiet=quiet)
        return _matching(word) or [Input(word)]  # opening it tells what is wrong
    except (OSError, ValueError):  # a name too long, a null byte: likewise
        return [Input(word)]


def _inside(word: str, *, quiet: bool) -> list[Input]:
    from vggapps.image import look_into

    folder = look_into(word)
    for path, reason in folder.closed:
        tell_in_passing(f"{path}: {reason}; what is in it is left out")
    if not folder.pictures:
        raise PictureError(
            f"{word}: there is no picture in this folder", "give a folder of JPEG, PNG, WebP or TIFF files"
        )
    if folder.others and not quiet:
        kinds = Counter(path.suffix.lower() or "no suffix" for path in folder.others)
        listed = ", ".join(kind for kind, _ in kinds.most_common(5)) + (", ..." if len(kinds) > 5 else "")
        count = len(folder.others)
        typer.echo(f"{word}: {count} other file{'s are' if count > 1 else ' is'} left out ({listed})", err=True)
    return [Input(str(path), _below(path, Path(word)), named=False) for path in folder.pictures]


def _matching(pattern: str) -> list[Input]:
    """Files that match, for shells that don't expand patterns; ``**`` means any number of folders."""
    from vggapps.image import is_picture_file
    from vggapps.image._folders import is_passed_over

    if not glob.has_magic(pattern):
        return []
    parts = Path(pattern).parts
    fixed = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    root = Path(*parts[:fixed]) if fixed else Path()
    # Path.glob can't take a pattern with folders or a drive in front.
    found = sorted(Path(p) for p in glob.glob(pattern, recursive=True))  # noqa: PTH207
    return [
        Input(str(path), _below(path, root), named=False)
        for path in found
        if is_picture_file(path) and path.is_file() and not any(map(is_passed_over, path.relative_to(root).parts))
    ]


def _below(path: Path, root: Path) -> str:
    below = str(path.relative_to(root).parent)
    return "" if below == "." else below


def paths_of(words: Sequence[str], *, quiet: bool = False) -> list[str]:
    """The files that words mean, each once, in a fixed order, for commands that make one thing of them all.

    Raises:
        As :func:`expand`.
    """
    return list(dict.fromkeys(found.path for found in expand(words, quiet=quiet)))


def _is_pipe(word: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(word).stat().st_mode)
    except (OSError, ValueError):
        return False


def read(word: str) -> str | bytes:
    """What ``open_picture`` takes for an input: its path; or the bytes of stdin or a pipe, which can be read once only.

    Raises:
        PictureError: stdin is closed.
    """
    if word != STREAM:
        return Path(word).read_bytes() if _is_pipe(word) else word
    if sys.stdin is None:
        raise PictureError("stdin is closed", "pipe a picture into the command: < photo.jpg")
    return sys.stdin.buffer.read()
