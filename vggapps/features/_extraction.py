"""Resumable feature extraction to a file, chunk by chunk."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vggapps._files import check_writable, created
from vggapps.errors import PictureError, SettingsError, VggappsError, argument
from vggapps.features._describe import Descriptor, chunk_size, describe, extract_chunks, width
from vggapps.features._files import Table, notes_file, writer_of
from vggapps.vgg._network import VGG


@dataclass(frozen=True)
class Part:
    """A finished chunk: pictures done so far, paths and errors of unreadable ones, whether an earlier run did it."""

    stop: int
    errors: tuple[tuple[str, str], ...]
    resumed: bool


def extract_to(
    target: str | Path,
    paths: Sequence[str],
    network: VGG,
    layer: str,
    pool: str = "avg",
    *,
    size: int | None = None,
    force: bool = False,
    workers: int | None = None,
) -> Iterator[Part]:
    """Extract features to a file for ``load_features``; a generator, which works while it is iterated.

    Finished chunks are stored in the folder ``<target>.part``. If a run is interrupted, the same call resumes after the
    last complete chunk, with the same result.

    Args:
        target: file name ending in .npy (with a .json file beside it), .safetensors or .parquet.
        paths: of the pictures.
        network, layer, pool, size, workers: see :func:`~vggapps.features.extract_chunks`.
        force: start over, and replace an existing file.

    Raises:
        SettingsError: another suffix, an invalid argument, or an unfinished run with other settings.
        OutputExistsError: the file exists.
        PictureError: none of the pictures can be read, or the folder can't be written.
    """
    target = Path(target)
    write = writer_of(target)
    settings = describe(network, layer, pool, size)
    for file in filter(None, (target, notes_file(target))):
        check_writable(file, overwrite=force)
    work = target.with_name(f"{target.name}.part")
    step = chunk_size(width(network, layer, settings.pool, settings.size))
    try:
        _open_work(work, settings, paths, step, force=force)
        done = 0
        while (file := _chunk_file(work, done, step)).exists():
            notes = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
            done = notes["stop"]
            yield Part(done, _errors(paths, notes), resumed=True)
            if done == len(paths):
                break
        for chunk in extract_chunks(paths, network, layer, pool, size=size, first=done, workers=workers):
            errors = {str(index): error.message for index, error in chunk.errors.items()}
            notes = {"stop": chunk.stop, "kept": chunk.kept, "errors": errors}
            file = _chunk_file(work, chunk.start, step)
            _write(file.with_suffix(".json"), json.dumps(notes).encode())
            stream = io.BytesIO()
            np.save(stream, chunk.rows)
            _write(file, stream.getbuffer())  # written last: if it exists, the chunk is complete
            yield Part(chunk.stop, _errors(paths, notes), resumed=False)
        files = [_chunk_file(work, start, step) for start in range(0, len(paths), step)]
        kept = [i for file in files for i in json.loads(file.with_suffix(".json").read_text())["kept"]]
        if not kept:
            shutil.rmtree(work)
            raise PictureError("none of these pictures can be read", "give JPEG, PNG, WebP or TIFF files")
        gone = set(range(len(paths))) - set(kept)
        table = Table([paths[i] for i in kept], files, settings, [paths[i] for i in sorted(gone)])
        whole = work / f"whole{target.suffix}"
        write(whole, table)
        _publish(whole, target, force=force)
        shutil.rmtree(work)
    except OSError as error:
        if isinstance(error, VggappsError):
            raise
        raise PictureError(
            f"{target}: it can't be written: {error.strerror or error}",
            "free some space or choose another folder; the same command then resumes",
        ) from None


def _publish(whole: Path, target: Path, *, force: bool) -> None:
    """Move the file to its final name, after the .json file beside it, so that a table always has its notes."""
    notes = notes_file(target)
    if notes:
        with created(notes, overwrite=force) as beside:
            whole.with_suffix(".json").replace(beside)
    try:
        with created(target, overwrite=force) as beside:
            whole.replace(beside)
    except VggappsError:
        if notes:
            notes.unlink(missing_ok=True)
        raise


def _open_work(work: Path, settings: Descriptor, paths: Sequence[str], step: int, *, force: bool) -> None:
    """Create the work folder, or check that it belongs to the same run."""
    digest = hashlib.sha256("\0".join(paths).encode("utf-8", "surrogateescape")).hexdigest()
    job = {**asdict(settings), "pictures": len(paths), "list of pictures": digest, "chunk": step}
    file = work / "job.json"
    if force:
        shutil.rmtree(work, ignore_errors=True)
    if not file.exists():
        work.mkdir(exist_ok=True)
        _write(file, json.dumps(job).encode())
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    if name := next((name for name in job if job[name] != before.get(name)), ""):
        is_digest = name == "list of pictures"
        what = "other pictures" if is_digest else f"{name} {before.get(name)}, not {job[name]}"
        raise SettingsError(
            f"{work} contains an unfinished run with other settings: {what}",
            f"repeat that run to resume it, choose another output, or start over: {argument('force', True)}",
        )


def _chunk_file(work: Path, start: int, step: int) -> Path:
    return work / f"{start // step:08}.npy"


def _write(file: Path, data: bytes | memoryview) -> None:
    """Write atomically."""
    beside = file.with_name(f"{file.name}.new")
    beside.write_bytes(data)
    beside.replace(file)


def _errors(paths: Sequence[str], notes: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((paths[int(index)], message) for index, message in notes["errors"].items())
