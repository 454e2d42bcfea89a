"""Files in tar files, read in any order by any process."""

from __future__ import annotations

import io
import os
import threading
from functools import lru_cache
from typing import NamedTuple

from vggapps.errors import PictureError, remedy

_OPEN = 64  # shards that a process keeps open; macOS allows a process 256 files


class Member(NamedTuple):
    """A file in a tar file; as text its name.

    Attributes:
        shard: path of the tar file.
        changed: when the tar file was changed last, in nanoseconds.
        offset: of the first byte.
        size: in bytes.
        name: for messages, ``train-000.tar/0001.jpg``.
    """

    shard: str
    changed: int
    offset: int
    size: int
    name: str

    def __str__(self) -> str:
        return self.name

    def last(self, size: int) -> Member:
        """The end of the file, of this size or the whole."""
        start = max(0, self.size - size)
        return self._replace(offset=self.offset + start, size=self.size - start)

    def read(self) -> bytes:
        """The bytes of the file.

        Raises:
            PictureError: the tar file can't be read, or has changed.
        """
        try:
            file = _opened(self.shard, self.changed, os.getpid(), threading.get_ident())
            file.seek(self.offset)
            return file.read(self.size)
        except OSError as error:
            hint = remedy(error.errno, "check it and start again")
            raise PictureError(f"{self}: it can't be read: {error.strerror or error}", hint) from None


class _Closing(io.FileIO):
    """A file that is closed with the last reference to it."""

    def __del__(self) -> None:
        self.close()


@lru_cache(_OPEN)
def _opened(shard: str, changed: int, process: int, thread: int) -> io.FileIO:
    """A tar file, opened for each process and thread, which would otherwise move each other's position."""
    file = _Closing(shard)
    if os.fstat(file.fileno()).st_mtime_ns != changed:
        raise OSError(f"{shard} has changed since the training began")
    return file
