"""The identity of an input file: its name and digest, to recognize it later."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from vggapps.image._folders import scan_folder
from vggapps.image._opening import Source, stream_of
from vggapps.image._picture import Picture
from vggapps.image._read import open_picture
from vggapps.settings import writable

STDIN = "stdin"  # the name of piped input


@dataclass(frozen=True)
class Identity:
    """The identity of an input file or folder.

    Attributes:
        name: without its parent folders, as writable text; a folder's name ends with a slash.
        sha256: digest of a file's bytes, or of the names and sizes of a folder's pictures; None if unknown.
        weight: its weight among several inputs; None if they are not weighted.
    """

    name: str
    sha256: str | None
    weight: float | None = None


def opened(source: str | os.PathLike[str] | bytes) -> tuple[bytes, Identity]:
    """The bytes of a file, given by its path or read from stdin, and their identity.

    Raises:
        PictureError: it can't be read.
    """
    with stream_of(source) as (stream, _):
        data = stream.read()
    name = STDIN if isinstance(source, bytes) else writable(Path(source).name)
    return data, Identity(name, hashlib.sha256(data).hexdigest())


def identified(source: Source) -> tuple[bytes | Picture, Identity]:
    """Read a source, and its identity; a picture in memory has no digest.

    Raises:
        PictureError: it can't be read.
    """
    if isinstance(source, str | os.PathLike | bytes):
        return opened(source)
    picture = source if isinstance(source, Picture) else open_picture(source)
    return picture, Identity(writable(Path(picture.name).name) or "picture", None)


def identify(path: str | os.PathLike[str]) -> Identity:
    """The identity of a file or folder; of a folder's pictures only names and sizes are read.

    Raises:
        PictureError: it can't be read.
    """
    if os.path.isdir(path):  # noqa: PTH112 - pathlib may raise
        pictures = scan_folder(path).pictures
        listed = [f"{writable(one.relative_to(path).as_posix())} {one.stat().st_size}" for one in pictures]
        digest = hashlib.sha256("\n".join(sorted(listed)).encode()).hexdigest()
        return Identity(writable(Path(os.path.realpath(path)).name) + "/", digest)
    with stream_of(path) as (stream, _):
        digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    return Identity(writable(Path(path).name), digest)
