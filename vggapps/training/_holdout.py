"""Which pictures are held out for validation: decided by their names, so that adding others does not change it.

Copies of a picture stay together: a copy of a training picture would be recognized, not classified.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from vggapps.training._members import Member

_TAIL = 4096  # bytes at the end of a file; its start may be the same in all files of a camera
_MOST = 200_000  # files that are compared; comparing more would delay the start by minutes


def copies(files: Sequence[Path | Member]) -> list[Hashable] | None:
    """A key for each file, equal for files with the same bytes; None if there are too many files to compare.

    Only files with the same size and last bytes are read completely. A file that can't be read equals no other.
    """
    if len(files) > _MOST:
        return None
    keys: list[tuple[Hashable, ...]] = [()] * len(files)
    for look in (_size, _tail, _digest):
        counts = Counter(keys)
        keys = [(*key, _seen(look, file)) if counts[key] > 1 else key for key, file in zip(keys, files, strict=True)]
    return list(keys)


def held_out(names: Sequence[str], targets: Sequence[int], groups: Sequence[Hashable], share: float) -> list[bool]:
    """Which pictures are held out: those whose hash of the name is below ``share``, as a fraction of its range.

    A picture stays on its side when others are added or removed, with one exception: where this would hold out none or
    all pictures of a class, that with the smallest hash is held out, or that with the largest is not. A class with a
    single picture is not held out, nor are copies in several classes, because their true class is unknown.

    Args:
        names: of the pictures.
        targets: their classes.
        groups: equal for copies, which count once, under the shortest name (``a.jpg``, not ``a (1).jpg``).
        share: the expected fraction of each class, in (0, 1).
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    ranked: dict[int, list[tuple[float, list[int]]]] = defaultdict(list)
    in_several: set[int] = set()
    for indices in members.values():
        classes = {targets[index] for index in indices}
        if len(classes) > 1:
            in_several |= classes
        else:
            name = min((names[index] for index in indices), key=lambda name: (len(name), name))
            ranked[classes.pop()].append((_fraction(name), indices))
    found = [False] * len(names)
    for target, pictures in ranked.items():
        pictures.sort()
        most = len(pictures) if target in in_several else len(pictures) - 1  # one is left for training
        count = sum(fraction < share for fraction, _ in pictures)
        for _, indices in pictures[: min(max(count, 1), most)]:
            for index in indices:
                found[index] = True
    return found


def _fraction(name: str) -> float:
    """The hash of a name as a fraction of its range."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest()) / 2**64


def _seen(look: Callable[[Path | Member], Hashable], file: Path | Member) -> Hashable:
    try:
        return look(file)
    except OSError:
        return file


def _size(file: Path | Member) -> int:
    return file.size if isinstance(file, Member) else file.stat().st_size


def _tail(file: Path | Member) -> bytes:
    if isinstance(file, Member):
        return file.last(_TAIL).read()
    with file.open("rb") as stream:
        stream.seek(-min(_TAIL, stream.seek(0, os.SEEK_END)), os.SEEK_END)
        return stream.read()


def _digest(file: Path | Member) -> bytes:
    if isinstance(file, Member):
        return hashlib.sha256(file.read()).digest()
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
