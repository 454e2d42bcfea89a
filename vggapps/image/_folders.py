"""Finding pictures in folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vggapps.image._picture import is_picture_file

# Files and folders of operating systems and programs: thumbnails, indexes, resource forks.
_SYSTEM_NAMES = frozenset(
    ["@eadir", "__macosx", "lost+found", "$recycle.bin", "system volume information", "thumbs.db", "desktop.ini"]
)


@dataclass(frozen=True)
class Folder:
    """The content of a folder, without hidden files and folders.

    Attributes:
        pictures: files with the suffix of a picture format, sorted; a folder's files before those of its subfolders.
        others: all other files.
        unreadable: folders that can't be read, with the reason.
    """

    pictures: tuple[Path, ...]
    others: tuple[Path, ...]
    unreadable: tuple[tuple[Path, str], ...]


def scan_folder(folder: str | os.PathLike[str], *, deep: bool = True) -> Folder:
    """Find the pictures in a folder and, if ``deep``, in all its subfolders.

    Links to folders are followed, each folder once. Below the folder, hidden names (``.git``) and names of operating
    systems (``@eaDir``, ``__MACOSX``) are skipped.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    unreadable: list[tuple[Path, str]] = []
    seen: set[tuple[int, int]] = set()

    def failed(error: OSError) -> None:
        unreadable.append((Path(error.filename), error.strerror or str(error)))

    for place, folders, names in os.walk(folder, onerror=failed, followlinks=True):
        about = Path(place).stat()
        if (about.st_dev, about.st_ino) in seen:  # a link to a parent, or a second link to one folder
            folders.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        folders[:] = sorted(name for name in folders if deep and not is_hidden(name))
        for name in sorted(names):
            path = Path(place) / name
            # A dangling link, or a file in a folder without permissions, fails with its name when it is opened.
            if is_hidden(name) or not (os.path.isfile(path) or not os.path.exists(path)):  # noqa: PTH110, PTH113
                continue
            (pictures if is_picture_file(path) else others).append(path)
    return Folder(tuple(pictures), tuple(others), tuple(unreadable))


def is_hidden(name: str) -> bool:
    """Whether a name is that of a hidden file or folder, or belongs to an operating system."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES
