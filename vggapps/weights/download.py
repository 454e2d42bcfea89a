"""Getting one file over HTTP so that it is either there, whole, or not there at all.

Written here because no light library does all of it: ``torch.hub`` deletes its partial file on any failure
and knows neither time-outs nor retries, pooch does not resume, huggingface_hub speaks to one site only.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import logging
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vggapps.errors import WeightsError

log = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]
TIMEOUT = 30.0  # seconds without a byte
WAITS: Sequence[float] = (1, 2, 4)  # seconds before the next attempt, where the last one got no further
_CHUNK = 1 << 20


class _AgainError(Exception):
    """Something that may be better at the next attempt."""


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
    _check_space(target.parent, (size or 0) - _size(part))
    for url in urls:
        try:
            _from_one(url, part, sha256, progress)
            break
        except WeightsError as error:
            log.info("%s", error)
            if url == urls[-1]:
                raise
    part.replace(target)
    _mark(part).unlink(missing_ok=True)


def _from_one(url: str, part: Path, sha256: str, progress: Progress | None) -> None:
    """Attempt until the part is whole."""
    problem, furthest, failures, wrong = "", _size(part), 0, 0
    while not _is_whole(part, sha256):
        if failures > len(WAITS):
            raise WeightsError(
                f"cannot download {url}: {problem}", f"try again, what has come is kept; or {_by_hand(part)}"
            )
        if failures:
            log.info("%s: %s; trying again", url, problem)
            time.sleep(WAITS[failures - 1])
        try:
            _attempt(url, part, progress)
        except _AgainError as again:
            # A long transfer over a bad line may break a hundred times: only standing still is failing.
            failures = 1 if _size(part) > furthest else failures + 1
            furthest, problem = max(furthest, _size(part)), str(again)
        else:
            if _is_whole(part, sha256):
                return
            _forget(part)
            wrong += 1
            if wrong > 1:
                raise WeightsError(
                    f"{url} sends a file whose SHA-256 is not the published {sha256[:8]}",
                    f"something on the way may change it: try another network; or {_by_hand(part)}",
                )
            log.warning("%s sent a damaged file: fetching it again", url)


def _attempt(url: str, part: Path, progress: Progress | None) -> None:
    """One request, which adds to the part; returns when all that the server announced has come."""
    start, headers = 0, {"User-Agent": "vggapps"}
    if part.exists() and _mark(part).exists():
        start = _size(part)
        headers |= {"Range": f"bytes={start}-", "If-Range": _mark(part).read_text()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
            if not (response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")):
                start = 0  # the server knows no ranges, or has other content by now
            _receive(response, start, part, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is longer than the file
            _forget(part)
        if error.code in (408, 416, 425, 429) or error.code >= 500:
            raise _AgainError(f"the server answered {error.code} {error.reason}") from None
        raise WeightsError(f"{url} answered {error.code} {error.reason}", _by_hand(part)) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)  # urllib wraps what happens before the first byte
        silent = isinstance(reason, TimeoutError)
        problem = f"no byte came for {TIMEOUT:g} seconds" if silent else str(reason) or type(reason).__name__
        raise _AgainError(problem) from None


def _receive(response: Any, start: int, part: Path, progress: Progress | None) -> None:
    """Write the body to the part from the byte ``start`` on."""
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    if response.headers.get_content_type() == "text/html":
        raise _web_page(response.url, part)
    _check_space(part.parent, (total or 0) - start)
    if not start:
        mark = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        _forget(part)
        if mark and not mark.startswith("W/"):  # a weak mark does not promise the same bytes
            _write(_mark(part), mark.encode())
    come = start
    while chunk := response.read1(_CHUNK):
        if not come and chunk.lstrip().startswith(b"<"):
            _forget(part)
            raise _web_page(response.url, part)
        _write(part, chunk)
        come += len(chunk)
        if progress:
            progress(come, total)
    if total is not None and come < total:
        raise _AgainError(f"the connection closed after {come:,} of {total:,} bytes")


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


def _check_space(folder: Path, needed: int) -> None:
    if needed > shutil.disk_usage(folder).free:
        raise _no_space(
            folder, f"{human_size(needed)} are needed, {human_size(shutil.disk_usage(folder).free)} are free"
        )


def _no_space(folder: Path, numbers: str = "the disk is full") -> WeightsError:
    return WeightsError(
        f"there is no space in {folder}: {numbers}",
        "make space, or set VGGAPPS_CACHE to a folder on another disk",
    )


def _web_page(url: str, part: Path) -> WeightsError:
    return WeightsError(
        f"{url} answered with a web page instead of the weights",
        f"a network that wants a login does that: open a page in the browser first; or {_by_hand(part)}",
    )


def _by_hand(part: Path) -> str:
    return f"get {part.name.removesuffix('.part')} by other means and put it into {part.parent}"


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _mark(part: Path) -> Path:
    return part.with_name(part.name + ".mark")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _mark(part).unlink(missing_ok=True)


def _is_whole(part: Path, sha256: str) -> bool:
    return part.exists() and sha256_of(part).startswith(sha256)
