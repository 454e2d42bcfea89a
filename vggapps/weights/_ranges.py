"""A file on a server, read here and there by HTTP Range requests."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from vggapps.weights._download import CHUNK, closed_early, mark_of, persist, requested

_WINDOW = 1 << 16  # bytes; holds the directory or the pickles of a network with a few hundred tensors


class NoRangesError(Exception):
    """The server sends whole files only, or another file than a moment ago."""


class RemoteFile(io.RawIOBase):
    """A file on a server, for whoever reads files: from a window, which a read outside of it moves.

    Args:
        url: its address.
        remedy: what people may do where it can't be had.

    Raises:
        NoRangesError: at any read.
        WeightsError: at any read, it can't be had.
    """

    def __init__(self, url: str, remedy: str) -> None:
        self.url, self.remedy = url, remedy
        self.size, self.mark, self.position = 0, "", 0
        self.start, self.window = 0, bytearray()
        self.bring(0, _WINDOW)

    def bring(self, start: int, stop: int, seen: Callable[[int], None] | None = None) -> None:
        """Move the window to these bytes, if it is elsewhere; a transfer that breaks is taken up where it broke."""
        if not (self.start <= start and stop <= self.start + len(self.window)):
            come = bytearray()
            persist(
                self.url,
                lambda: self._attempt(start, stop, come, seen),
                lambda: len(come),
                f"try again; or {self.remedy}",
            )
            self.start, self.window = start, come
        if seen:
            seen(stop - start)

    def _attempt(self, start: int, stop: int, come: bytearray, seen: Callable[[int], None] | None) -> None:
        first = start + len(come)
        headers = {"Range": f"bytes={first}-{stop - 1}", **({"If-Range": self.mark} if self.mark else {})}
        with requested(self.url, headers, self.remedy) as response:
            sent = re.fullmatch(rf"bytes {first}-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if response.status != 206 or not sent or self.size not in (0, int(sent[1])):
                raise NoRangesError
            self.size, self.mark = int(sent[1]), mark_of(response)
            length = min(stop, self.size) - start
            while len(come) < length and (chunk := response.read1(min(CHUNK, length - len(come)))):
                come += chunk
                if seen:
                    seen(len(come))
        if len(come) < length:
            raise closed_early(len(come), length)

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, but for the file's end."""
        length = max(0, min(len(buffer), self.size - self.position))
        stop = self.position + length
        if not (self.start <= self.position and stop <= self.start + len(self.window)):
            start = min(self.position, max(0, self.size - _WINDOW))  # a directory is read from its end
            self.bring(start, max(stop, min(start + _WINDOW, self.size)))
        at = self.position - self.start
        buffer[:length] = self.window[at : at + length]
        self.position = stop
        return length

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; costs nothing."""
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        return self.position

    def tell(self) -> int:
        """Where the next read begins."""
        return self.position

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True
