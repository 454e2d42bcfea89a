"""``--shard I/N``: one of N processes or machines that share the work, without a word between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, TypeVar

import typer

from vggapps.errors import SettingsError

T = TypeVar("T")

Shard = Annotated[str, typer.Option("--shard", metavar="I/N", help="Take the I-th of N shares of the pictures.")]


def parse_shard(word: str) -> tuple[int, int]:
    """``2/8``, the second of eight shares, as ``(2, 8)``.

    Raises:
        SettingsError: it is not two whole numbers, or the share is not between 1 and their number.

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
    """The items of one share: every N-th from the I-th on, so that shares differ by one item at most.

    >>> take("abcde", (2, 2))
    ['b', 'd']
    """
    share, shares = shard
    return list(items[share - 1 :: shares])
