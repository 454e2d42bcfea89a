"""The pictures of a folder and of the folders in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vggapps.image._picture import is_picture_file

# What systems and programs keep beside pictures: thumbnails, indexes, resource forks.
_HOUSEKEEPING = frozenset(
    ["@eadir", "__macosx", "lost+found", "$recycle.bin", "system volume information", "thumbs.db", "desktop.ini"]
)


@dataclass(frozen=True)
class Folder:
    """What a folder holds, hidden files and folders aside.

    Attributes:
        pictures: the files whose names promise a picture, in a fixed order: a folder's own before its subfolders'.
        others: files with other names.
        closed: folders that can't be read, with the reason.
    """

    pictures: tuple[Path, ...]
    others: tuple[Path, ...]
    closed: tuple[tuple[Path, str], ...]


def look_into(folder: str | os.PathLike[str], *, deep: bool = True) -> Folder:
    """Find the pictures of a folder and, if ``deep``, of all folders below it.

    Links to folders are followed, each folder once. Hidden names (``.git``, ``.ipynb_checkpoints``) and what systems
    keep beside pictures (``@eaDir``, ``__MACOSX``) are passed over below the folder, never the folder itself.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    closed: list[tuple[Path, str]] = []
    seen: set[tuple[int, int]] = set()

    def failed(error: OSError) -> None:
        closed.append((Path(error.filename), error.strerror or str(error)))

    for place, folders, names in os.walk(folder, onerror=failed, followlinks=True):
        about = Path(place).stat()
        if (about.st_dev, about.st_ino) in seen:  # a link back up, or a second way to one folder
            folders.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        folders[:] = sorted(name for name in folders if deep and not is_passed_over(name))
        for name in sorted(names):
            path = Path(place) / name
            # What can't be looked at (a dangling link, a closed folder) fails by name when it is opened.
            if is_passed_over(name) or not (os.path.isfile(path) or not os.path.exists(path)):  # noqa: PTH110, PTH113
                continue
            (pictures if is_picture_file(path) else others).append(path)
    return Folder(tuple(pictures), tuple(others), tuple(closed))


def is_passed_over(name: str) -> bool:
    """Whether a file's or folder's name says that it is hidden, or a system's own."""
    return name.startswith(".") or name.lower() in _HOUSEKEEPING
