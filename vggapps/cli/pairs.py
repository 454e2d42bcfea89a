"""Pictures that are compared two by two: which go together, and what is seen of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vggapps.cli.inputs import Input, expand
from vggapps.errors import PictureError

if TYPE_CHECKING:
    from torch import Tensor


class Pair(NamedTuple):
    """Two files to compare, and what to call them."""

    name: str
    a: str
    b: str


def find_pairs(a: str, b: str, *, quiet: bool = False) -> tuple[list[Pair], list[str]]:
    """The pairs of two files, of two folders, or of a file and a folder; and the pictures without a partner.

    In folders and their subfolders pictures of one name at the same place are a pair; those without a namesake are one
    with what differs in the suffix only.

    Raises:
        PictureError: there is none.
    """
    lefts, rights = (expand([word], quiet=quiet) if Path(word).is_dir() else [Input(word)] for word in (a, b))
    if not (Path(a).is_dir() and Path(b).is_dir()):
        return [Pair(_name(x if Path(a).is_dir() else y), x.path, y.path) for x, y in product(lefts, rights)], []
    both = set(map(_name, lefts)) & set(map(_name, rights))

    def key(one: Input) -> tuple[str, str, str]:
        return one.below, one.stem, Path(one.path).suffix if _name(one) in both else ""

    partners: dict[tuple[str, str, str], list[Input]] = defaultdict(list)
    for right in rights:
        partners[key(right)].append(right)
    pairs = [Pair(_name(left), left.path, right.path) for left in lefts for right in partners[key(left)]]
    if not pairs:
        raise PictureError(
            f"no picture of {a} has a partner in {b}", "partners are a.png and a.png, or a.png and a.jpg"
        )
    paired = {path for pair in pairs for path in pair[1:]}
    return pairs, [one.path for one in (*lefts, *rights) if one.path not in paired]


def _name(one: Input) -> str:
    return str(Path(one.below, Path(one.path).name))


def opened(pair: Pair, size: int | None, note: Callable[[str], None]) -> tuple[Tensor, Tensor]:
    """Both pictures, over white where they are transparent.

    Raises:
        SettingsError: they are of different sizes.
    """
    from vggapps.image import comparable, open_picture

    a, b = (open_picture(path, longer_side=size, name=path) for path in pair[1:])
    for picture in (a, b):
        for text in picture.notes + (
            ("it is transparent, and is laid over white",) if picture.alpha is not None else ()
        ):
            note(f"{picture.name}: {text}")
    return comparable(a, b)
