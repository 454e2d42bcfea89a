"""Getting one file over HTTP so that it is either there, whole, or not there at all.

Written here because no light library does all of it: ``torch.hub`` deletes its partial file on any failure
and knows neither time-outs nor retries, pooch does not resume, huggingface_hub speaks to one site only.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import logging
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vggapps.errors import WeightsError

log = logging.getLogger(__name__)

T = TypeVar("T")
Progress = Callable[[int, int | None], None]
TIMEOUT = 30.0  # seconds without a byte
WAITS: Sequence[float] = (1, 2, 4)  # seconds before the next attempt, where the last one got no further
CHUNK = 1 << 20


class AgainError(Exception):
    """Something that may be better at the next attempt; with the status, if the server answered with one."""

    def __init__(self, problem: str, status: int = 0) -> None:
        super().__init__(problem)
        self.status = status


def human_size(size: int) -> str:
    """``548 MiB``."""
    return f"{size / 2**20:,.0f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file.

    Raises:
        WeightsError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}", "check the file and its permissions") from None


def download(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str,
    size: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Fetch a file; its folder must exist.

    What has come is kept as ``<name>.part``, with the server's mark of this very content (ETag or
    Last-Modified) in ``<name>.part.mark``; the next attempt, also by another process, asks for the rest only.
    ``target`` appears when its digest is right, never before. Proxies are taken from the usual variables.

    Args:
        urls: addresses of the same content, tried in this order.
        target: the file to make.
        sha256: its digest or the first digits of it.
        size: bytes, about; checked against the free space before anything is asked for.
        progress: called with the bytes so far and the bytes in all, None where the server does not say.

    Raises:
        WeightsError: it can't be had; what the last address answered.
    """
    part = target.with_name(target.name + ".part")
    check_space(target.parent, (size or 0) - _size(part))
    from_any(urls, lambda url: _from_one(url, part, by_hand(target), sha256, progress))
    part.replace(target)
    _mark(part).unlink(missing_ok=True)


def from_any(urls: Sequence[str], fetch: Callable[[str], T]) -> T:
    """What the first address gives that does not raise a WeightsError; else the last one's error."""
    for url in urls[:-1]:
        try:
            return fetch(url)
        except WeightsError as error:
            log.info("%s", error)
    return fetch(urls[-1])


def persist(url: str, attempt: Callable[[], None], come: Callable[[], int], remedy: str) -> None:
    """Attempt, after some waiting, until one is not ended by an AgainError.

    A long transfer over a bad line may break a hundred times: only standing still is failing.

    Args:
        url: what is fetched, for the messages.
        attempt: goes on from what has come.
        come: how much that is, bytes.
        remedy: what else people may do.

    Raises:
        WeightsError: one attempt more than there are :data:`WAITS` got no further.
    """
    furthest, failures = come(), 0
    while True:
        try:
            return attempt()
        except AgainError as again:
            failures = 1 if come() > furthest else failures + 1
            furthest = max(furthest, come())
            if failures > len(WAITS):
                raise WeightsError(f"cannot download {url}: {again}", remedy) from None
            log.info("%s: %s; trying again", url, again)
            time.sleep(WAITS[failures - 1])


@contextlib.contextmanager
def requested(url: str, headers: Mapping[str, str], remedy: str) -> Iterator[Any]:
    """The server's response; what goes wrong, also while it is read, is told apart here.

    Raises:
        AgainError: the next attempt may do better.
        WeightsError: it will not; its hint is ``remedy``.
    """
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "vggapps", **headers})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            if response.headers.get_content_type() == "text/html":
                raise web_page(url, remedy)
            yield response
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (408, 416, 425, 429) or error.code >= 500:
            raise AgainError(f"the server answered {error.code} {error.reason}", error.code) from None
        raise WeightsError(f"{url} answered {error.code} {error.reason}", remedy) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)  # urllib wraps what happens before the first byte
        silent = isinstance(reason, TimeoutError)
        problem = f"no byte came for {TIMEOUT:g} seconds" if silent else str(reason) or type(reason).__name__
        raise AgainError(problem) from None


def closed_early(come: int, total: int) -> AgainError:
    """The line broke."""
    return AgainError(f"the connection closed after {come:,} of {total:,} bytes")


def _from_one(url: str, part: Path, remedy: str, sha256: str, progress: Progress | None) -> None:
    """Attempt until the part is whole."""

    def attempt() -> None:
        try:
            _attempt(url, part, remedy, progress)
        except AgainError:
            if not _is_whole(part, sha256):  # a wrong Content-Length is overruled by the digest
                raise

    wrong = 0
    while not _is_whole(part, sha256):
        if wrong > 1:
            raise WeightsError(
                f"{url} sends a file whose SHA-256 is not the published {sha256[:8]}",
                f"something on the way may change it: try another network; or {remedy}",
            )
        if wrong:
            log.warning("%s sent a damaged file: fetching it again", url)
        persist(url, attempt, lambda: _size(part), f"try again, what has come is kept; or {remedy}")
        if not _is_whole(part, sha256):
            _forget(part)
            wrong += 1


def _attempt(url: str, part: Path, remedy: str, progress: Progress | None) -> None:
    """One request, which adds to the part; returns when all that the server announced has come."""
    start, headers = 0, {}
    if part.exists() and _mark(part).exists():
        start = _size(part)
        headers = {"Range": f"bytes={start}-", "If-Range": _mark(part).read_text()}
    try:
        with requested(url, headers, remedy) as response:
            if not (response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")):
                start = 0  # the server knows no ranges, or has other content by now
            _receive(response, start, part, remedy, progress)
    except AgainError as again:
        if again.status == 416:  # the part is longer than the file
            _forget(part)
        raise


def _receive(response: Any, start: int, part: Path, remedy: str, progress: Progress | None) -> None:
    """Write the body to the part from the byte ``start`` on."""
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    check_space(part.parent, (total or 0) - start)
    if not start:
        _forget(part)
        if mark := mark_of(response):
            _write(_mark(part), mark.encode())
    come = start
    while chunk := response.read1(CHUNK):
        if not come and chunk.lstrip().startswith(b"<"):
            _forget(part)
            raise web_page(response.url, remedy)
        _write(part, chunk)
        come += len(chunk)
        if progress:
            progress(come, total)
    if total is not None and come < total:
        raise closed_early(come, total)


def mark_of(response: Any) -> str:
    """The server's mark of this very content, for If-Range; empty where it gives none that promises the same bytes."""
    mark: str = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    return "" if mark.startswith("W/") else mark


def _write(path: Path, chunk: bytes) -> None:
    """Append; told apart from trouble on the line, for trying again does not help here."""
    try:
        with path.open("ab") as file:
            file.write(chunk)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_space(path.parent) from None
        raise WeightsError(
            f"cannot write {path}: {error.strerror}", "set VGGAPPS_CACHE to a folder that you may write to"
        ) from None


def check_space(folder: Path, needed: int) -> None:
    """Raise a WeightsError where fewer bytes are free."""
    if needed > shutil.disk_usage(folder).free:
        raise _no_space(
            folder, f"{human_size(needed)} are needed, {human_size(shutil.disk_usage(folder).free)} are free"
        )


def _no_space(folder: Path, numbers: str = "the disk is full") -> WeightsError:
    return WeightsError(
        f"there is no space in {folder}: {numbers}",
        "make space, or set VGGAPPS_CACHE to a folder on another disk",
    )


def web_page(url: str, remedy: str) -> WeightsError:
    """The error for a page where numbers were expected."""
    return WeightsError(
        f"{url} answered with a web page instead of the weights",
        f"a network that wants a login does that: open a page in the browser first; or {remedy}",
    )


def by_hand(target: Path) -> str:
    """What people may do where a download fails."""
    return f"get {target.name} by other means and put it into {target.parent}"


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _mark(part: Path) -> Path:
    return part.with_name(part.name + ".mark")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _mark(part).unlink(missing_ok=True)


def _is_whole(part: Path, sha256: str) -> bool:
    return part.exists() and sha256_of(part).startswith(sha256)
