"""Atomic writing of files, which replaces existing files only on request."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vggapps.errors import OutputExistsError, PictureError, argument, remedy


@contextmanager
def created(target: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path beside the target, with its suffix; it is renamed to the target when the block ends.

    Without ``overwrite``, renaming never replaces a file, not even one created while the block was running. A
    symbolic link is followed: the file that it points to is replaced, not the link.

    Raises:
        OutputExistsError: the target exists, and ``overwrite`` is false. The temporary file is removed.
        PictureError: the folder is missing, not writable or full.
    """
    path = Path(target)
    place = Path(os.path.realpath(path))
    beside = place.with_name(f".vggapps-{secrets.token_hex(8)}{place.suffix}")
    try:
        yield beside
        if overwrite:
            beside.replace(place)
        else:
            _publish(beside, place)
    except (OutputExistsError, PictureError):
        raise
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        beside.unlink(missing_ok=True)


def write_file(target: str | os.PathLike[str], data: bytes, *, overwrite: bool = False) -> Path:
    """Write a file atomically; returns the path as given.

    Raises:
        As :func:`created`.
    """
    with created(target, overwrite=overwrite) as beside, beside.open("xb") as file:
        file.write(data)
    return Path(target)


def check_writable(target: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Check whether a file can be written, before the work that makes it; returns the path.

    Raises:
        OutputExistsError: it exists, and ``overwrite`` is false.
        PictureError: it is a folder, its folder is missing or not writable, or the name is invalid.
    """
    path = Path(target)
    try:
        if path.is_dir():
            raise PictureError(f"{path} is a folder, and a file was expected", f"for example {path / 'picture.png'}")
        place = Path(os.path.realpath(path))
        if not place.parent.is_dir():
            missing = place.parent if path.is_symlink() else path.parent
            raise PictureError(f"{path}: there is no folder {missing}", "create it first")
        if path.exists():
            if not overwrite:
                raise _exists(path)
            if not path.is_file():
                raise PictureError(f"{path} is not a regular file", "choose another name")
        elif path.is_symlink():
            path.stat()  # raises for a link to itself; a link to a missing file is valid
    except FileNotFoundError:
        pass
    except (PictureError, OutputExistsError):
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise unwritable(path, error) from None
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise unwritable(path, PermissionError(errno.EACCES, "Permission denied"))
    return path


def unwritable(path: str | os.PathLike[str], error: Exception) -> PictureError:
    """The error for a file that can't be written, with a hint for its reason."""
    number, reason = getattr(error, "errno", None) or 0, getattr(error, "strerror", None) or str(error)
    return PictureError(f"{path}: it can't be written: {reason}", remedy(number, "choose another name or folder"))


def _exists(path: Path) -> OutputExistsError:
    return OutputExistsError(
        f"{path} exists", f"choose another name, or overwrite it with {argument('overwrite', True)}"
    )


def _publish(beside: Path, place: Path) -> None:
    """Rename a file without replacing another; raises FileExistsError."""
    try:
        os.link(beside, place)
    except FileExistsError:
        raise
    except OSError:
        # No hard links (FAT, some network folders): create an empty file, then replace it.
        place.open("xb").close()
        beside.replace(place)
