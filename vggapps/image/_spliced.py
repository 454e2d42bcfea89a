"""A stream composed of parts of another stream, without copying."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, BinaryIO

Part = bytes | tuple[int, int]
"""Literal bytes, or the (start, stop) of a range in the other stream."""


def spliced(stream: BinaryIO, parts: Sequence[Part]) -> BinaryIO:
    """The concatenated parts as a seekable stream, which reads `stream` on demand."""
    return io.BufferedReader(_Spliced(stream, parts), 1 << 16)


class _Spliced(io.RawIOBase):
    def __init__(self, stream: BinaryIO, parts: Sequence[Part]) -> None:
        self.stream, self.parts, self.at = stream, parts, 0
        lengths = (len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts)
        self.starts = [0, *accumulate(lengths)]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = max(0, offset + (0, self.at, self.starts[-1])[whence])
        return self.at

    def readinto(self, buffer: Any) -> int:
        number = bisect_right(self.starts, self.at) - 1
        if number >= len(self.parts):
            return 0
        part, inside = self.parts[number], self.at - self.starts[number]
        wanted = min(len(buffer), self.starts[number + 1] - self.at)
        if isinstance(part, bytes):
            data = part[inside : inside + wanted]
        else:
            self.stream.seek(part[0] + inside)
            data = self.stream.read(wanted)
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)
