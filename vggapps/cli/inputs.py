"""Input pictures of a command: files, folders, patterns, shares of them, and mixtures of styles."""

from __future__ import annotations

import glob
import math
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from vggapps.cli.options import STREAM
from vggapps.cli.outcome import note, print_error_line
from vggapps.errors import PictureError, SettingsError

if TYPE_CHECKING:
    from vggapps.image._identity import Identity

T = TypeVar("T")
_MANY_STYLES = 4  # a longer list of styles was probably a pattern expanded by the shell
Mixture = Sequence[tuple[str, float]]  # paths of styles and their weights


class Input(NamedTuple):
    """A picture to read.

    Attributes:
        path: the file, or ``-`` for stdin.
        below: its folder relative to the folder that was given, "" for a file: results keep this structure.
        named: whether the user gave this file, rather than a folder or a pattern.
    """

    path: str
    below: str = ""
    named: bool = True

    @property
    def stem(self) -> str:
        """The stem of output names."""
        return "stdin" if self.path == STREAM else Path(self.path).stem


def expand(words: Iterable[str], *, quiet: bool = False) -> list[Input]:
    """The pictures given by files, folders with their subfolders, patterns, or ``-``.

    Files without the suffix of a picture and folders that can't be read are skipped with a message.

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
        return _matching(word) or [Input(word)]  # opening it raises the error
    except (OSError, ValueError):  # a name too long, a null byte: likewise
        return [Input(word)]


def _inside(word: str, *, quiet: bool) -> list[Input]:
    from vggapps.image import scan_folder

    folder = scan_folder(word)
    for path, reason in folder.unreadable:
        print_error_line(f"{path}: {reason}; this folder is skipped")
    if not folder.pictures:
        raise PictureError(f"{word}: this folder has no pictures", "give a folder of JPEG, PNG, WebP or TIFF files")
    if folder.others:
        kinds = Counter(path.suffix.lower() or "no suffix" for path in folder.others)
        listed = ", ".join(kind for kind, _ in kinds.most_common(5)) + (", ..." if len(kinds) > 5 else "")
        count = len(folder.others)
        note(f"{word}: {count} other file{'s are' if count > 1 else ' is'} skipped ({listed})", quiet=quiet)
    return [Input(str(path), _below(path, Path(word)), named=False) for path in folder.pictures]


def _matching(pattern: str) -> list[Input]:
    """Files that match a pattern, for shells that don't expand it; ``**`` matches any number of folders."""
    from vggapps.image import is_picture_file
    from vggapps.image._folders import is_hidden

    if not glob.has_magic(pattern):
        return []
    parts = Path(pattern).parts
    fixed = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    root = Path(*parts[:fixed]) if fixed else Path()
    # Path.glob does not accept absolute patterns.
    found = sorted(Path(p) for p in glob.glob(pattern, recursive=True))  # noqa: PTH207
    return [
        Input(str(path), _below(path, root), named=False)
        for path in found
        if is_picture_file(path) and path.is_file() and not any(map(is_hidden, path.relative_to(root).parts))
    ]


def _below(path: Path, root: Path) -> str:
    below = str(path.relative_to(root).parent)
    return "" if below == "." else below


def paths_of(words: Sequence[str], *, quiet: bool = False) -> list[str]:
    """The paths of all inputs without duplicates, for commands that make one result of them.

    Raises:
        As :func:`expand`.
    """
    return list(dict.fromkeys(found.path for found in expand(words, quiet=quiet)))


def _is_pipe(word: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(word).stat().st_mode)
    except (OSError, ValueError):
        return False


def read_input(word: str) -> tuple[bytes, Identity]:
    """The bytes of an input and its identity, which belong together even if the file changes later.

    Raises:
        PictureError: it can't be read.
    """
    from vggapps.image import _identity as identity

    return identity.opened(source_of(word))


def identify_inputs(words: Sequence[str]) -> tuple[Identity, ...]:
    """The identities of files and folders, for results that are made of many pictures.

    Raises:
        PictureError: one can't be read.
    """
    from vggapps.image._identity import identify

    named = [[word] if os.path.isdir(word) else paths_of([word], quiet=True) for word in words]  # noqa: PTH112
    return tuple(identify(path) for paths in named for path in paths)


def source_of(word: str) -> str | bytes:
    """The argument of ``open_picture`` for an input: a path, or the bytes of stdin or a pipe, which are read only once.

    Raises:
        PictureError: stdin is closed.
    """
    if word != STREAM:
        return Path(word).read_bytes() if _is_pipe(word) else word
    if sys.stdin is None:
        raise PictureError("stdin is closed", "pipe a picture into the command: < photo.jpg")
    return sys.stdin.buffer.read()


def parse_shard(word: str) -> tuple[int, int]:
    """Parse ``2/8``, the second of eight shares.

    Raises:
        SettingsError: it is not of the form I/N with 1 <= I <= N.

    >>> parse_shard("2/8")
    (2, 8)
    """
    found = re.fullmatch(r"\s*([0-9]+)\s*/\s*([0-9]+)\s*", word)
    if not found:
        raise SettingsError(f"--shard {word} is not I/N", "write 1/4 for the first of four shares")
    share, shares = map(int, found.groups())
    if not 1 <= share <= shares:
        hint = f"shares go from 1/{shares} to {shares}/{shares}" if shares else "write 1/1 for all of them"
        raise SettingsError(f"--shard {word}: there is no such share", hint)
    return share, shares


def take(items: Sequence[T], shard: tuple[int, int]) -> list[T]:
    """The items of one share: every N-th from the I-th on, so that the sizes of shares differ by at most one.

    >>> take("abcde", (2, 2))
    ['b', 'd']
    """
    share, shares = shard
    return list(items[share - 1 :: shares])


def mixtures_of(weighted: Mixture, *, each_style: bool, quiet: bool) -> list[Mixture]:
    """The styles and weights of each result: one mixture of all, or one result per style.

    Raises:
        SettingsError: a negative or infinite weight, or the weight of a style that is not mixed.
        PictureError: a folder without pictures.
    """
    if not all(0 <= weight < math.inf for _, weight in weighted):  # also true of NaN
        raise SettingsError("the styles' weights must be positive numbers", "style.jpg:0.7 other.jpg:0.3")
    if not each_style and not any(os.path.isdir(path) for path, _ in weighted):  # noqa: PTH112 - pathlib's may raise
        if len(weighted) > _MANY_STYLES and all(weight == 1 for _, weight in weighted):
            note(
                f"mixing {len(weighted)} styles. For many photos, give their folder or quote the pattern; for one "
                "picture per style, add --each-style",
                quiet=quiet,
            )
        return [weighted]
    found = dict.fromkeys(style.path for path in each_alone(weighted) for style in expand([path], quiet=quiet))
    return [[(path, 1.0)] for path in found]


def each_alone(weighted: Mixture) -> list[str]:
    """The styles, without duplicates, of results with one style each.

    Raises:
        SettingsError: one has a weight.
    """
    if style := next((style for style, weight in weighted if weight != 1), None):
        raise SettingsError(f"{style}: a weight has no effect on a style that is not mixed", "leave the weight out")
    return list(dict.fromkeys(style for style, _ in weighted))


def weighted_style(word: str) -> tuple[str, float]:
    """Split ``style.jpg:0.7`` into path and weight; a colon that is part of an existing file's name is kept."""
    path, colon, weight = word.rpartition(":")
    try:
        if not colon or Path(word).exists():
            return word, 1.0
        return path, float(weight)
    except (ValueError, OSError):  # not a number, or a name that is too long
        return word, 1.0
