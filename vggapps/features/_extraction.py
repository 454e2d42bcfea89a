"""Features of any number of pictures to a file, a chunk at a time: a run that stopped goes on where it was."""

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
    """What a run has done since the last one.

    Attributes:
        stop: pictures that are done.
        errors: path and reason of those that can't be read.
        resumed: whether an earlier run did it.
    """

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
    size: int = 224,
    force: bool = False,
    workers: int | None = None,
) -> Iterator[Part]:
    """Write the features of pictures to a file, for ``load_features``; nothing is done until it is iterated.

    Chunks are kept in the folder ``<target>.part`` until the last one is there. Whatever ends a run, the same call
    goes on after the last whole chunk, and the file becomes the same.

    Args:
        target: a name that ends in .npy, .safetensors or .parquet. A .npy file has a .json file beside it.
        paths: of the pictures.
        network, layer, pool, size, workers: see :func:`~vggapps.features.extract_chunks`.
        force: start anew, and replace an existing file.

    Raises:
        SettingsError: another suffix, a wrong word, or a run with other settings lies half done there.
        OutputExistsError: there is such a file.
        PictureError: none of the pictures can be read, or the folder can't be written.
    """
    target = Path(target)
    write = writer_of(target)
    settings = describe(network, layer, pool, size)
    for file in filter(None, (target, notes_file(target))):
        check_writable(file, overwrite=force)
    work = target.with_name(f"{target.name}.part")
    step = chunk_size(width(network, layer, pool, size))
    try:
        _open_work(work, settings, paths, step, force=force)
        done = 0
        while (file := _chunk_file(work, done, step)).exists():
            notes = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
            done = notes["stop"]
            yield Part(done, _told(paths, notes), resumed=True)
            if done == len(paths):
                break
        for chunk in extract_chunks(paths, network, layer, pool, size=size, first=done, workers=workers):
            errors = {str(index): error.message for index, error in chunk.errors.items()}
            notes = {"stop": chunk.stop, "kept": chunk.kept, "errors": errors}
            file = _chunk_file(work, chunk.start, step)
            _put(file.with_suffix(".json"), json.dumps(notes).encode())
            stream = io.BytesIO()
            np.save(stream, chunk.rows)
            _put(file, stream.getbuffer())  # the last to appear: where it is, the chunk is whole
            yield Part(chunk.stop, _told(paths, notes), resumed=False)
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
            "make room or choose another folder; the same command then goes on",
        ) from None


def _publish(whole: Path, target: Path, *, force: bool) -> None:
    """Give the file its name, and before it the one with its notes: where the table is, they are."""
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
    """Make the folder, or see that it is this very run's."""
    digest = hashlib.sha256("\0".join(paths).encode("utf-8", "surrogateescape")).hexdigest()
    job = {**asdict(settings), "pictures": len(paths), "list of pictures": digest, "chunk": step}
    file = work / "job.json"
    if force:
        shutil.rmtree(work, ignore_errors=True)
    if not file.exists():
        work.mkdir(exist_ok=True)
        _put(file, json.dumps(job).encode())
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    if name := next((name for name in job if job[name] != before.get(name)), ""):
        is_digest = name == "list of pictures"
        what = "other pictures" if is_digest else f"{name} {before.get(name)}, not {job[name]}"
        raise SettingsError(
            f"{work} holds the beginning of another run: {what}",
            f"repeat that run to go on with it, choose another output, or start anew: {argument('force', True)}",
        )


def _chunk_file(work: Path, start: int, step: int) -> Path:
    return work / f"{start // step:08}.npy"


def _put(file: Path, data: bytes | memoryview) -> None:
    """At once or not at all."""
    beside = file.with_name(f"{file.name}.new")
    beside.write_bytes(data)
    beside.replace(file)


def _told(paths: Sequence[str], notes: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((paths[int(index)], message) for index, message in notes["errors"].items())
