"""Files that appear whole or not at all, and that never replace a file nobody offered."""

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
    """A path beside the target, with its suffix, to write to; it becomes the target when the block ends.

    Without ``overwrite`` the last step creates the target and can't replace anything, not even a file that appeared
    while the block was running. Through a symbolic link the file that it points to is replaced, not the link.

    Raises:
        OutputExistsError: there is such a file, and ``overwrite`` is false. Nothing is left behind.
        PictureError: the folder is missing, closed or full.
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
    except FileExistsError as error:
        if isinstance(error, OutputExistsError):
            raise
        raise OutputExistsError(
            f"{path} exists", f"choose another name, or overwrite it with {argument('overwrite', True)}"
        ) from None
    except PictureError:
        raise
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        beside.unlink(missing_ok=True)


def write_file(target: str | os.PathLike[str], data: bytes, *, overwrite: bool = False) -> Path:
    """Write a file, see :func:`created`; returns the path as it was given.

    Raises:
        As :func:`created`.
    """
    with created(target, overwrite=overwrite) as beside, beside.open("xb") as file:
        file.write(data)
    return Path(target)


def check_writable(target: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Whether a file could be written there, asked before the work whose result it will hold.

    Raises:
        OutputExistsError: there is such a file, and ``overwrite`` is false.
        PictureError: it is a folder, or its folder is missing or closed, or the name is none.
    """
    path = Path(target)
    try:
        if path.is_dir():
            raise PictureError(f"{path} is a folder, and a file was expected", f"for example {path / 'picture.png'}")
        # Through a link, the folder that counts is the one it points into.
        place = Path(os.path.realpath(path))
        if not place.parent.is_dir():
            missing = place.parent if path.is_symlink() else path.parent
            raise PictureError(f"{path}: there is no folder {missing}", "make it first")
        if path.exists():
            if not overwrite:
                raise OutputExistsError(
                    f"{path} exists", f"choose another name, or overwrite it with {argument('overwrite', True)}"
                )
            if not path.is_file():
                raise PictureError(f"{path} is no regular file", "choose another name")
        elif path.is_symlink():
            path.stat()  # a link to itself raises; one to a file that is not there yet is fine
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
    """The error for a file that can't be written, with the remedy that fits the reason."""
    number, reason = getattr(error, "errno", None) or 0, getattr(error, "strerror", None) or str(error)
    return PictureError(f"{path}: it can't be written: {reason}", remedy(number, "choose another name or folder"))


def _publish(beside: Path, place: Path) -> None:
    """Give a file its name unless that is taken; raises FileExistsError."""
    try:
        os.link(beside, place)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here (FAT, some network folders): claim the name, then replace one's own empty claim.
        place.open("xb").close()
        beside.replace(place)
