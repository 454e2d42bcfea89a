"""Random access to a file on a server by HTTP Range requests."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from vggapps.weights._download import CHUNK, connection_closed, open_url, retry, validator_of

_WINDOW = 1 << 16  # bytes; enough for the zip directory or the pickles of a few hundred tensors


class NoRangesError(Exception):
    """The server does not support ranges, or the file has changed."""


class RemoteFile(io.RawIOBase):
    """A file on a server as a file object, with a buffered window that reads outside of it move.

    The constructor and every read may raise a NoRangesError, or a WeightsError with the hint ``remedy``.
    """

    def __init__(self, url: str, remedy: str) -> None:
        self.url, self.remedy = url, remedy
        self.size, self.validator, self.position = 0, "", 0
        self.start, self.window = 0, bytearray()
        self.load_window(0, _WINDOW)

    def load_window(self, start: int, stop: int, progress: Callable[[int], None] | None = None) -> None:
        """Move the window to these bytes if it does not have them; broken transfers are resumed."""
        if not (self.start <= start and stop <= self.start + len(self.window)):
            received = bytearray()
            retry(
                self.url,
                lambda: self._attempt(start, stop, received, progress),
                lambda: len(received),
                f"try again; or {self.remedy}",
            )
            self.start, self.window = start, received
        if progress:
            progress(stop - start)

    def _attempt(self, start: int, stop: int, received: bytearray, progress: Callable[[int], None] | None) -> None:
        first = start + len(received)
        headers = {"Range": f"bytes={first}-{stop - 1}", **({"If-Range": self.validator} if self.validator else {})}
        with open_url(self.url, headers, self.remedy) as response:
            sent = re.fullmatch(rf"bytes {first}-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if response.status != 206 or not sent or self.size not in (0, int(sent[1])):
                raise NoRangesError
            self.size, self.validator = int(sent[1]), validator_of(response)
            length = min(stop, self.size) - start
            while len(received) < length and (chunk := response.read1(min(CHUNK, length - len(received)))):
                received += chunk
                if progress:
                    progress(len(received))
        if len(received) < length:
            raise connection_closed(len(received), length)

    def readinto(self, buffer: Any) -> int:
        length = max(0, min(len(buffer), self.size - self.position))
        stop = self.position + length
        if not (self.start <= self.position and stop <= self.start + len(self.window)):
            start = min(self.position, max(0, self.size - _WINDOW))  # zip directories are read from the end
            self.load_window(start, max(stop, min(start + _WINDOW, self.size)))
        at = self.position - self.start
        buffer[:length] = self.window[at : at + length]
        self.position = stop
        return length

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
