"""Checkpoints of a training run: the newest one and the one before it, each verified by a digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint

from vggapps._files import created
from vggapps.errors import PictureError, SettingsError, WeightsError

NEWEST, BEFORE = "checkpoint.pt", "checkpoint-before.pt"
_DIGEST = hashlib.sha256().digest_size
_CHUNK = 1 << 20  # bytes read at a time


def save_checkpoint(folder: str | Path, state: Mapping[str, Any]) -> None:
    """Write ``checkpoint.pt`` atomically; the present one becomes ``checkpoint-before.pt``.

    The file is that of ``torch.save``, which ``torch.load(weights_only=True)`` reads, with a SHA-256 digest after its
    end. Until it is complete, the disk holds three checkpoints.

    Args:
        folder: of the run; it exists, and no other process writes checkpoints there.
        state: tensors, numbers, strings and None, nested in dictionaries, lists and tuples.

    Raises:
        WeightsError: the file can't be written, for example because the disk is full; the former checkpoints are kept.
        SettingsError: the state has objects that ``torch.load(weights_only=True)`` does not read.
    """
    newest = Path(folder) / NEWEST
    try:
        with created(newest, overwrite=True) as part:
            for abandoned in newest.parent.glob(f".vggapps-*{newest.suffix}"):
                abandoned.unlink()  # left by a process that was killed while it wrote a checkpoint
            _write(part, state)
            if refused := get_unsafe_globals_in_checkpoint(part):
                raise SettingsError(
                    f"a checkpoint can't hold objects of {', '.join(refused)}",
                    "use tensors, numbers, strings, lists, tuples and dictionaries",
                )
            if newest.exists():
                newest.replace(newest.with_name(BEFORE))
    except PictureError as error:
        kept = f"; the former {NEWEST} is kept" if newest.exists() else ""
        raise WeightsError(error.message, f"{error.hint}{kept}") from error


def load_checkpoint(folder: str | Path) -> tuple[dict[str, Any], str]:
    """The state of the newest undamaged checkpoint, on the CPU, and a note if that is not the newest one.

    Raises:
        WeightsError: there is no checkpoint, or both are damaged.
    """
    newest, before = Path(folder) / NEWEST, Path(folder) / BEFORE
    if not (problem := _problem(newest)):
        return _read(newest), ""
    if not (other := _problem(before)):
        return _read(before), f"{problem}; {BEFORE} is used, which was saved before it"
    if not newest.exists() and not before.exists():
        raise WeightsError(f"there is no checkpoint in {folder}", "name the folder of a run that was interrupted")
    raise WeightsError(f"{folder}: {problem}, and {other}", "start the run again, in another folder")


def _write(path: Path, state: Mapping[str, Any]) -> None:
    with path.open("x+b") as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:
            # torch replaces the file's own error, such as a full disk, by one about the position in the file.
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        file.seek(0)
        file.write(hashlib.file_digest(file, "sha256").digest())
        file.flush()
        os.fsync(file.fileno())  # otherwise a power failure could leave an empty file under the final name


def _problem(path: Path) -> str:
    """What is wrong with a file; empty for an undamaged one."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            left = max(0, path.stat().st_size - _DIGEST)
            while chunk := file.read(min(left, _CHUNK)):
                digest.update(chunk)
                left -= len(chunk)
            return "" if file.read() == digest.digest() else f"{path.name} is damaged"
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} can't be read: {error.strerror}"


def _read(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
