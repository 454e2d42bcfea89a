"""Pairs of pictures to compare: finding partners in folders, and opening them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from vggapps.cli.inputs import Input, expand
from vggapps.cli.outcome import note
from vggapps.cli.outputs import plan_outputs
from vggapps.cli.saving import Target
from vggapps.errors import PictureError, SettingsError

if TYPE_CHECKING:
    from torch import Tensor

PatternA = Annotated[str, typer.Option(metavar="NAME", help="Names in folder A; {} is the part that partners share.")]
PatternB = Annotated[str, typer.Option(metavar="NAME", help="Names in folder B.")]
ANY = "{}"  # in a pattern, the part of the name that partners share


class Pair(NamedTuple):
    """Two files to compare, and their name in reports; one file is "" for a picture without a partner."""

    name: str
    a: str
    b: str


class _Named(NamedTuple):
    """A picture and the keys for its partner: its path below the folder without the suffix, and the suffix."""

    input: Input
    common: str
    suffix: str


# Keys that partners have in common, from the strictest to the loosest.
_KEYS: Sequence[Callable[[_Named], str]] = (
    lambda one: one.common + one.suffix,
    lambda one: _normalized(one.common + one.suffix),
    lambda one: one.common,
    lambda one: _normalized(one.common),
)


def find_pairs(
    a: str, b: str, patterns: Sequence[str] = (ANY, ANY), *, quiet: bool = False
) -> tuple[list[Pair], list[Pair]]:
    """The pairs of two files, of two folders, or of a file and a folder; and the pictures without a partner.

    In folders, partners have the same relative path. A picture without such a partner is paired with the only one
    whose path differs in the suffix, or in upper and lower case.

    Args:
        a: a file or a folder.
        b: another.
        patterns: for the names in both folders: the part that matches `ANY` is the same for partners. Pictures with
            other names are skipped.
        quiet: do not print what is skipped.

    Raises:
        PictureError: a file or folder does not exist, or no picture has a partner.
        SettingsError: a partner is ambiguous; a pattern without `ANY`, or without two folders.
    """
    for word in (a, b):
        _check_exists(word)
    if not (Path(a).is_dir() and Path(b).is_dir()):
        if [*patterns] != [ANY, ANY]:
            raise SettingsError("--pattern-a and --pattern-b need two folders", "leave them out")
        lefts, rights = (expand([word], quiet=quiet) if Path(word).is_dir() else [Input(word)] for word in (a, b))
        return [Pair(_name(x if Path(a).is_dir() else y), x.path, y.path) for x, y in product(lefts, rights)], []
    left, right = (
        _named(word, other, option, pattern, quiet=quiet)
        for word, other, option, pattern in ((a, b, "--pattern-a", patterns[0]), (b, a, "--pattern-b", patterns[1]))
    )
    partners = _matched(left, right)
    if not partners:
        raise PictureError(
            f"no picture of {a} has a partner in {b}",
            "partners are a.png and a.png, or a.png and a.jpg; if their names differ: "
            "--pattern-a '{}_gt' --pattern-b '{}_sr'",
        )
    taken = set(partners.values())
    pairs = [Pair(_name(x.input), x.input.path, partners[x].input.path) for x in left if x in partners]
    alone = [Pair(_name(x.input), x.input.path, "") for x in left if x not in partners]
    return pairs, alone + [Pair(_name(y.input), "", y.input.path) for y in right if y not in taken]


def _check_exists(word: str) -> None:
    """Raise PictureError for a path that can't be opened, before anything is loaded."""
    from vggapps.image import size_of

    exists = os.path.exists(word)  # noqa: PTH110 - pathlib's may raise
    try:
        if not exists or os.path.isfile(word):  # noqa: PTH113
            size_of(word, name=word)
    except PictureError as error:
        message = error.message if exists else error.message.replace("no such file", "no such file or folder")
        raise PictureError(message, error.hint) from None


def _named(folder: str, other: str, option: str, pattern: str, *, quiet: bool) -> list[_Named]:
    """The pictures of a folder that match the pattern, without those of the other folder if it is inside."""
    if pattern.count(ANY) != 1 or "/" in pattern:
        raise SettingsError(f"{option} is '{pattern}'", "it needs {} once, for the part that partners share: '{}_gt'")
    inner, outer = (Path(os.path.realpath(word)) for word in (other, folder))
    inputs = expand([folder], quiet=quiet)
    if inner != outer and inner.is_relative_to(outer):
        inputs = [one for one in inputs if not Path(os.path.realpath(one.path)).is_relative_to(inner)]
    form = re.compile("(.+)".join(map(re.escape, pattern.split(ANY))), re.IGNORECASE | re.DOTALL)
    fits: list[_Named] = []
    for one in inputs:
        path = Path(one.path)
        # A pattern may contain the suffix: {}_gt.png
        if found := form.fullmatch(path.stem) or form.fullmatch(path.name):
            fits.append(_Named(one, str(Path(one.below, found[1])), path.suffix))
    if not fits:
        raise PictureError(f"no picture of {folder} matches '{pattern}'", f"one is {Path(inputs[0].path).name}")
    if len(fits) < len(inputs):
        note(f"{folder}: {len(inputs) - len(fits)} of {len(inputs)} do not match '{pattern}'", quiet=quiet)
    return fits


def _matched(left: Sequence[_Named], right: Sequence[_Named]) -> dict[_Named, _Named]:
    """The partners on the right of pictures on the left."""
    partners: dict[_Named, _Named] = {}
    for key in _KEYS:
        groups: dict[str, tuple[list[_Named], list[_Named]]] = defaultdict(lambda: ([], []))
        taken = {*partners, *partners.values()}
        for side, pictures in enumerate((left, right)):
            for one in pictures:
                if one not in taken:
                    groups[key(one)][side].append(one)
        both = [group for group in groups.values() if group[0] and group[1]]
        partners |= {x[0]: y[0] for x, y in both if len(x) == len(y) == 1}
    unclear = [group for group in both if len(group[0]) + len(group[1]) > 2]
    if unclear:
        ones, others = (" or ".join(one.input.path for one in side) for side in unclear[0])
        more = f", and {len(unclear) - 1} more such" if len(unclear) > 1 else ""
        raise SettingsError(f"{ones} could be the partner of {others}{more}", "rename or move the other files")
    return partners


def _name(one: Input) -> str:
    return str(Path(one.below, Path(one.path).name))


def _normalized(name: str) -> str:
    """Case-folded in normal form C: names that are equal on Windows and macOS become equal."""
    return unicodedata.normalize("NFC", name).casefold()


class OpenedPair(NamedTuple):
    """Two pictures, N x 3 x H x W, and B's (width, height) before it was scaled to A's, or None."""

    x: Tensor
    y: Tensor
    scaled_from: tuple[int, int] | None


def plan_maps(
    pairs: Sequence[Pair], map_to: str | None, reads: Sequence[str], *, force: bool
) -> Sequence[Target | None]:
    """The target of each pair's heat map, or None for each without ``--map``.

    Raises:
        As :func:`~vggapps.cli.outputs.plan_outputs`.
    """
    if map_to is None:
        return [None] * len(pairs)
    inputs = [Input(pair.name, str(Path(pair.name).parent)) for pair in pairs]
    if len(pairs) > 1 and not (map_to.endswith(("/", "\\")) or Path(map_to).is_dir()):
        raise SettingsError(f"--map {map_to} is one file for {len(pairs)} pairs", f"use --map {Path(map_to).stem}/")
    return plan_outputs(inputs, "_map", map_to, force=force, protected=reads)


def open_for_comparison(
    pair: Pair, size: int | None, note: Callable[[str], None], *, scale_to_a: bool = False
) -> OpenedPair:
    """Open both pictures, on white where they are transparent.

    Args:
        pair: their files.
        size: scale both down to this longer side first.
        note: prints a message.
        scale_to_a: scale B to A's size.

    Raises:
        PictureError: one can't be read.
        SettingsError: their sizes differ.
    """
    from vggapps.image import comparable, open_pair
    from vggapps.image._pair import RESAMPLING

    a, b = open_pair(pair.a, pair.b, longer_side=size, scale_to_a=scale_to_a, names=pair[1:])
    scaled_from = None
    if scale_to_a and a.size != b.size:
        height, width = b.size
        scaled_from = width, height
        note(f"{b.name}: {width}x{height} pixels are scaled to {a.size[1]}x{a.size[0]} ({RESAMPLING})")
    for picture in (a, b):
        transparent = ("transparent, placed on white",) if picture.alpha is not None else ()
        for text in picture.notes + transparent:
            note(f"{picture.name}: {text}")
    return OpenedPair(*comparable(a, b, scale_to_a=scale_to_a), scaled_from)
