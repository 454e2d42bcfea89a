"""Downloading a file over HTTP: atomic, resumable, verified by its digest.

No small library does all of this: ``torch.hub`` deletes its partial file on any failure and has neither timeouts nor
retries, pooch does not resume, huggingface_hub supports one site only.
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
WAITS: Sequence[float] = (1, 2, 4)  # seconds before the next attempt after one without progress
CHUNK = 1 << 20


class RetryError(Exception):
    """A temporary failure, with the HTTP status if the server sent one."""

    def __init__(self, problem: str, status: int = 0) -> None:
        super().__init__(problem)
        self.status = status


def human_size(size: int) -> str:
    """``548 MiB``."""
    return f"{size / 2**20:,.0f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file; a WeightsError if it is not readable."""
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
    """Download a file to an existing folder.

    Received bytes are kept in ``<name>.part`` with the server's validator (ETag or Last-Modified) in
    ``<name>.part.mark``; the next attempt, also of another process, resumes there. ``target`` appears only with the
    right digest. Proxies are read from the usual environment variables.

    Args:
        urls: mirrors, tried in this order.
        target: the file to write.
        sha256: its digest or the first digits of it.
        size: approximate bytes, to check the free space first.
        progress: called with the received bytes and the total, None if the server does not send it.

    Raises:
        WeightsError: the download failed; the error of the last URL.
    """
    part = target.with_name(target.name + ".part")
    check_space(target.parent, (size or 0) - _size(part))
    try_urls(urls, lambda url: _from_one(url, part, manual_install(target), sha256, progress))
    part.replace(target)
    _mark(part).unlink(missing_ok=True)


def try_urls(urls: Sequence[str], fetch: Callable[[str], T]) -> T:
    """The result for the first URL that raises no WeightsError; else the last error."""
    for url in urls[:-1]:
        try:
            return fetch(url)
        except WeightsError as error:
            log.info("%s", error)
    return fetch(urls[-1])


def retry(url: str, attempt: Callable[[], None], received: Callable[[], int], remedy: str) -> None:
    """Repeat attempts, with delays, while they raise a RetryError.

    A long transfer over a bad connection may break a hundred times, so only attempts without progress are counted.

    Args:
        url: for messages.
        attempt: resumes the transfer.
        received: returns the number of bytes so far.
        remedy: hint of the error.

    Raises:
        WeightsError: ``len(WAITS) + 1`` attempts made no progress.
    """
    furthest, failures = received(), 0
    while True:
        try:
            return attempt()
        except RetryError as again:
            failures = 1 if received() > furthest else failures + 1
            furthest = max(furthest, received())
            if failures > len(WAITS):
                raise WeightsError(f"cannot download {url}: {again}", remedy) from None
            log.info("%s: %s; retrying", url, again)
            time.sleep(WAITS[failures - 1])


@contextlib.contextmanager
def open_url(url: str, headers: Mapping[str, str], remedy: str) -> Iterator[Any]:
    """The server's response, with errors classified, also those while it is read.

    Raises:
        RetryError: a temporary failure.
        WeightsError: a permanent failure; its hint is ``remedy``.
    """
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "vggapps", **headers})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            if response.headers.get_content_type() == "text/html":
                raise web_page_error(url, remedy)
            yield response
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (408, 416, 425, 429) or error.code >= 500:
            raise RetryError(f"the server answered {error.code} {error.reason}", error.code) from None
        raise WeightsError(f"{url} answered {error.code} {error.reason}", remedy) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)  # urllib wraps errors before the first byte
        timeout = isinstance(reason, TimeoutError)
        problem = f"no data for {TIMEOUT:g} seconds" if timeout else str(reason) or type(reason).__name__
        raise RetryError(problem) from None


def connection_closed(received: int, total: int) -> RetryError:
    """The error for an incomplete response."""
    return RetryError(f"the connection closed after {received:,} of {total:,} bytes")


def _from_one(url: str, part: Path, remedy: str, sha256: str, progress: Progress | None) -> None:
    """Attempt until the digest of the part is right."""

    def attempt() -> None:
        try:
            _attempt(url, part, remedy, progress)
        except RetryError:
            if not _is_whole(part, sha256):  # a matching digest overrules a wrong Content-Length
                raise

    wrong = 0
    while not _is_whole(part, sha256):
        if wrong > 1:
            raise WeightsError(
                f"{url} sends a file whose SHA-256 is not the published {sha256[:8]}",
                f"a proxy may modify it: try another network; or {remedy}",
            )
        if wrong:
            log.warning("%s sent a damaged file: downloading it again", url)
        retry(url, attempt, lambda: _size(part), f"try again, the received part is kept; or {remedy}")
        if not _is_whole(part, sha256):
            _forget(part)
            wrong += 1


def _attempt(url: str, part: Path, remedy: str, progress: Progress | None) -> None:
    """One request, which resumes the part and completes it."""
    start, headers = 0, {}
    if part.exists() and _mark(part).exists():
        start = _size(part)
        headers = {"Range": f"bytes={start}-", "If-Range": _mark(part).read_text()}
    try:
        with open_url(url, headers, remedy) as response:
            if not (response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")):
                start = 0  # the server does not support ranges, or its content has changed
            _receive(response, start, part, remedy, progress)
    except RetryError as again:
        if again.status == 416:  # the part is longer than the file
            _forget(part)
        raise


def _receive(response: Any, start: int, part: Path, remedy: str, progress: Progress | None) -> None:
    """Append the body to the part, which has ``start`` bytes."""
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    check_space(part.parent, (total or 0) - start)
    if not start:
        _forget(part)
        if mark := validator_of(response):
            _write(_mark(part), mark.encode())
    received = start
    while chunk := response.read1(CHUNK):
        if not received and chunk.lstrip().startswith(b"<"):
            _forget(part)
            raise web_page_error(response.url, remedy)
        _write(part, chunk)
        received += len(chunk)
        if progress:
            progress(received, total)
    if total is not None and received < total:
        raise connection_closed(received, total)


def validator_of(response: Any) -> str:
    """The strong validator of a response for If-Range, or an empty string."""
    mark: str = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    return "" if mark.startswith("W/") else mark


def _write(path: Path, chunk: bytes) -> None:
    """Append; errors are permanent, unlike those of the connection."""
    try:
        with path.open("ab") as file:
            file.write(chunk)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_space(path.parent) from None
        raise WeightsError(f"cannot write {path}: {error.strerror}", "set VGGAPPS_CACHE to a writable folder") from None


def check_space(folder: Path, needed: int) -> None:
    """Raise a WeightsError if fewer bytes are free."""
    if needed > shutil.disk_usage(folder).free:
        raise _no_space(
            folder, f"{human_size(needed)} are needed, {human_size(shutil.disk_usage(folder).free)} are free"
        )


def _no_space(folder: Path, numbers: str = "the disk is full") -> WeightsError:
    return WeightsError(
        f"there is no space in {folder}: {numbers}",
        "free some space, or set VGGAPPS_CACHE to a folder on another disk",
    )


def web_page_error(url: str, remedy: str) -> WeightsError:
    """The error for an HTML response."""
    return WeightsError(
        f"{url} answered with a web page instead of the weights",
        f"the network may need a login: open any page in a browser first; or {remedy}",
    )


def manual_install(target: Path) -> str:
    """The hint for a failed download."""
    return f"download {target.name} another way and put it into {target.parent}"


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _mark(part: Path) -> Path:
    return part.with_name(part.name + ".mark")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _mark(part).unlink(missing_ok=True)


def _is_whole(part: Path, sha256: str) -> bool:
    return part.exists() and sha256_of(part).startswith(sha256)
