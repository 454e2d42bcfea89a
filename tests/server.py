"""A server on this machine that serves one file and misbehaves as told, and a table entry and a cache for it.

The fixtures ``server``, ``record`` and ``cache`` are taken from here by the tests that need them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vggapps.errors import WeightsError
from vggapps.weights import _download as download
from vggapps.weights import _store as store
from vggapps.weights._records import RECORDS, WeightsRecord

CONTENT = random.Random(0).randbytes(200_000)
PAGE = b"<!DOCTYPE html><html><body>Please log in to the hotel's network</body></html>"


@dataclass
class Server:
    """What it serves, how it behaves request by request, what it was asked, and how many bytes of content it sent.

    ``ways`` are used up one a request, the last stays: ``good``, ``cut`` (closes at the half of what was
    asked), ``stall`` (stops there and keeps the line open), ``drip`` (little by little), ``no ranges``,
    ``other`` (other content of the same size), ``page`` and ``hidden page`` (a web page, with and without saying
    so), ``long`` and ``short`` (a Content-Length above and below the truth), ``no length``, ``weak`` (a mark
    that does not promise the same bytes), or a status such as 404.
    """

    content: bytes
    ways: list[str | int] = field(default_factory=lambda: ["good"])
    asked: list[dict[str, str | None]] = field(default_factory=list)
    sent: int = 0
    url: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def ranges(self) -> list[str | None]:
        return [request["range"] for request in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Server

    def do_GET(self) -> None:
        owner = self.owner
        way = owner.ways.pop(0) if len(owner.ways) > 1 else owner.ways[0]
        owner.asked.append({"path": self.path, "range": self.headers["Range"], "mark": self.headers["If-Range"]})
        self.close_connection = True
        if isinstance(way, int):
            self.send_error(way)
            return
        content = {"other": owner.content[::-1], "page": PAGE, "hidden page": PAGE}.get(way, owner.content)
        mark = f'"{hashlib.md5(content).hexdigest()}"'
        start, stop = 0, len(content)
        ranged = self.headers["Range"] and self.headers["If-Range"] in (None, mark) and way != "no ranges"
        if ranged:
            first, last = self.headers["Range"].removeprefix("bytes=").split("-")
            start, stop = int(first), min(int(last) + 1, stop) if last else stop
        if start >= len(content):
            self.send_error(416)
            return
        body = content[start:stop]
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        if way != "no length":
            length = {"long": len(body) + 1000, "short": len(body) - 1000}.get(way, len(body))
            self.send_header("Content-Length", str(length))
        self.send_header("Content-Type", "text/html" if way == "page" else "application/octet-stream")
        self.send_header("ETag", f"W/{mark}" if way == "weak" else mark)
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may have left
            self._send(body, way)

    def _send(self, body: bytes, way: str) -> None:
        half = body[: len(body) // 2] if way in ("cut", "stall") else body
        step = len(half) // 20 + 1 if way == "drip" else len(half)
        for at in range(0, len(half), step):
            self.wfile.write(half[at : at + step])
            self.owner.sent += len(half[at : at + step])
            if way == "drip":
                self.owner.closing.wait(0.03)
        if way == "stall":
            self.owner.closing.wait(20)

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[Server]:
    owner = Server(content)
    handler = type("Handler", (_Handler,), {"owner": owner})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        http.block_on_close = False
        owner.url = f"http://127.0.0.1:{http.server_address[1]}/tiny.pth"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield owner
        finally:
            owner.closing.set()
            http.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def record(server: Server) -> WeightsRecord:
    """A published file, of whose digest the publisher states eight digits."""
    return replace(
        RECORDS["vgg16"],
        name="tiny",
        file="tiny.pth",
        urls=(server.url,),
        sha256=server.sha256[:8],
        size=200_000,
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own empty cache, no proxies, no waiting."""
    for name in [*os.environ]:
        if name.lower().endswith("_proxy") or name in ("TORCH_HOME", "XDG_CACHE_HOME", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("VGGAPPS_OFFLINE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VGGAPPS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "WAITS", (0.0, 0.0))
    return tmp_path / "cache"


def names(folder: Path) -> set[str]:
    """What lies there, but for locks."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"} if folder.is_dir() else set()


def refused(record: WeightsRecord) -> str:
    """The message of the error, which is one line and has a remedy."""
    with pytest.raises(WeightsError) as caught:
        store.get(record)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return str(caught.value)
