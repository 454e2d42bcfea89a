"""Styles as words: which are mixed, with what weights, and which make a picture of their own."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import typer

from vggapps.cli.inputs import expand
from vggapps.errors import SettingsError

MANY = 4  # styles: more than people mix by hand
Mixture = Sequence[tuple[str, float]]  # paths of styles and their weights


def mixtures_of(weighted: Mixture, *, each_style: bool, quiet: bool) -> list[Mixture]:
    """The styles of each result, with their weights: one mixture, or each style for itself.

    Raises:
        SettingsError: weights of styles that are not mixed.
        PictureError: a folder without pictures.
    """
    if not all(0 <= weight < math.inf for _, weight in weighted):  # also true of NaN
        raise SettingsError("the styles' weights must be positive numbers", "style.jpg:0.7 other.jpg:0.3")
    if not each_style and not any(os.path.isdir(path) for path, _ in weighted):  # noqa: PTH112 - pathlib's may raise
        if len(weighted) > MANY and not quiet and all(weight == 1 for _, weight in weighted):
            typer.echo(
                f"one photo in a mixture of {len(weighted)} styles. For many photos, name their folder or quote the "
                "pattern; for a picture in each style, add --each-style",
                err=True,
            )
        return [weighted]
    if path := next((path for path, weight in weighted if weight != 1), None):
        raise SettingsError(f"{path}: a weight has no effect on a style that is not mixed", "leave the weight out")
    found = dict.fromkeys(style.path for path, _ in weighted for style in expand([path], quiet=quiet))
    return [[(path, 1.0)] for path in found]


def weighted_style(word: str) -> tuple[str, float]:
    """``style.jpg:0.7`` as path and weight; a colon that belongs to the name stays there."""
    path, colon, weight = word.rpartition(":")
    try:
        if not colon or Path(word).exists():
            return word, 1.0
        return path, float(weight)
    except (ValueError, OSError):  # no number, or a name that is too long
        return word, 1.0
