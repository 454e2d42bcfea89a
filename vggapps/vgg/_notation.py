"""Plan notation: the blocks of a network as text, ``64x2-128x2-256x3_bn``; see :func:`~vggapps.vgg.get_plan`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from vggapps.errors import SettingsError

Blocks = tuple[tuple[int, ...], ...]

_RUN = r"[1-9]\d{0,4}(?:x[1-9]\d?)?"
_BLOCK = rf"{_RUN}(?:\+{_RUN})*"
_NOTATION = re.compile(rf"(?!\d+(?:_bn)?$){_BLOCK}(?:-{_BLOCK})*(?:_bn)?")  # a number alone is a misspelt vgg16
_MEANT = re.compile(r"\d+(x|[-+]\d)", re.IGNORECASE)  # the start of a word that can only be meant as notation


def is_notation(word: str) -> bool:
    """Whether a word is meant as plan notation, valid or not.

    >>> [is_notation(word) for word in ("64x2-128", "64x2-128y2", "vgg16", "16_bn")]
    [True, True, False, False]
    """
    return _MEANT.match(word) is not None


def read_notation(word: str) -> tuple[Blocks, bool]:
    """The channels of the convolutions of each block, and whether there is batch normalization.

    >>> read_notation("64x2-200+256x2_bn")
    (((64, 64), (200, 256, 256)), True)

    Raises:
        SettingsError: it is not plan notation.
    """
    text = word.lower()
    if not _NOTATION.fullmatch(text):
        raise _invalid(f"'{word}' is not plan notation")
    runs = [[run.partition("x") for run in block.split("+")] for block in text.removesuffix("_bn").split("-")]
    blocks = tuple(tuple(int(c) for c, _, count in block for _ in range(int(count or 1))) for block in runs)
    return blocks, text.endswith("_bn")


def write_notation(blocks: Sequence[Sequence[int]], batch_norm: bool = False) -> str:
    """The inverse of :func:`read_notation`.

    Raises:
        SettingsError: a block without convolutions, or a number that is out of range.
    """
    runs = [[(channels, len(tuple(same))) for channels, same in groupby(block)] for block in blocks]
    text = "-".join("+".join(f"{c}x{count}" if count > 1 else f"{c}" for c, count in block) for block in runs)
    text += "x1" * text.isdecimal() + "_bn" * batch_norm
    if not _NOTATION.fullmatch(text):
        raise _invalid(f"{tuple(blocks)} are not the blocks of a network")
    return text


def _invalid(problem: str) -> SettingsError:
    return SettingsError(
        problem,
        "write 64x2-128x2-200+256x2_bn: blocks separated by -, in each the channels x the number of convolutions "
        "(1 to 99), and _bn for batch norm",
    )
