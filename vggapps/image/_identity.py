"""Which file an input was: its name and digest, so that it can be recognised later."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from vggapps.image._folders import look_into
from vggapps.image._opening import Source, stream_of
from vggapps.image._picture import Picture
from vggapps.image._read import open_picture
from vggapps.settings import writable

STDIN = "stdin"  # the name of what came through a pipe


@dataclass(frozen=True)
class Identity:
    """Which file or folder an input was.

    Attributes:
        name: without the folder it is in, as text that can be written; of a folder with a slash at its end.
        sha256: digest of the bytes that were read, of a folder of its pictures' names and sizes; None if unknown.
        weight: its share in a mixture of several; None where nothing is mixed.
    """

    name: str
    sha256: str | None
    weight: float | None = None


def opened(source: str | os.PathLike[str] | bytes) -> tuple[bytes, Identity]:
    """A file's bytes and their identity, which holds whatever becomes of the file later.

    Args:
        source: its path, or the bytes that came through stdin.

    Raises:
        PictureError: it can't be read.
    """
    with stream_of(source) as (stream, _):
        data = stream.read()
    name = STDIN if isinstance(source, bytes) else writable(Path(source).name)
    return data, Identity(name, hashlib.sha256(data).hexdigest())


def identified(source: Source | Picture) -> tuple[bytes | Picture, Identity]:
    """What is read of a source, once, and which file that is; a picture in memory has no digest.

    Raises:
        PictureError: it can't be read.
    """
    if isinstance(source, str | os.PathLike | bytes):
        return opened(source)
    picture = source if isinstance(source, Picture) else open_picture(source)
    return picture, Identity(writable(Path(picture.name).name) or "picture", None)


def identify(path: str | os.PathLike[str]) -> Identity:
    """Which file or folder that is. Of a folder only names and sizes are looked at.

    Raises:
        PictureError: it can't be read.
    """
    if os.path.isdir(path):  # noqa: PTH112 - pathlib's may raise
        root = Path(path)
        listed = [
            f"{writable(one.relative_to(root).as_posix())} {one.stat().st_size}" for one in look_into(path).pictures
        ]
        digest = hashlib.sha256("\n".join(sorted(listed)).encode()).hexdigest()
        return Identity(writable(Path(os.path.realpath(path)).name) + "/", digest)
    with stream_of(path) as (stream, _):
        digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    return Identity(writable(Path(path).name), digest)
