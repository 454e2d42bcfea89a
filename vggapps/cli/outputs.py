"""Which files a command reads and which it will write: decided, and refused, before any work starts."""

from __future__ import annotations

import glob
import sys
from collections.abc import Sequence
from pathlib import Path

from vggapps.errors import PictureError, SettingsError

STREAM = "-"


def expand(word: str) -> list[str]:
    """The pictures meant by a file, a folder, a pattern (for shells that don't expand them) or ``-``."""
    from vggapps.image import is_picture_file

    path = Path(word)
    if word == STREAM or path.is_file():
        return [word]
    if path.is_dir():
        if pictures := sorted(str(p) for p in path.iterdir() if is_picture_file(p) and p.is_file()):
            return pictures
        raise PictureError(
            f"{word}: there is no picture in this folder", "give a folder of JPEG, PNG, WebP or TIFF files"
        )
    # Path.glob can't take a pattern with folders or a drive in front.
    return sorted(p for p in glob.glob(word) if is_picture_file(p)) or [word]  # noqa: PTH207


def plan_outputs(
    inputs: Sequence[str], suffix: str, wanted: str | None, *, force: bool, protected: Sequence[str] = ()
) -> list[str]:
    """An output for each input.

    Without ``-o``: ``<input><suffix>.png`` in the current folder, with ``-2``, ``-3`` where that is taken. With a
    folder: the same names there. With a file: that file, which must not exist unless ``force``.

    Raises:
        OutputExistsError: the named file exists.
        SettingsError: one file is named for several pictures, or it is one of the inputs or ``protected``.
    """
    from vggapps.image import check_target

    single = wanted is not None and not wanted.endswith(("/", "\\")) and not Path(wanted).is_dir()
    if single:
        assert wanted is not None
        if wanted == STREAM:
            if len(inputs) > 1:
                raise SettingsError("several pictures can't go to one stream", "use -o FOLDER/")
            return [STREAM]
        if len(inputs) > 1:
            raise SettingsError(f"-o {wanted} is one file for {len(inputs)} pictures", f"use -o {Path(wanted).stem}/")
        for source in [*inputs, *protected]:
            if source != STREAM and Path(source).exists() and Path(source).resolve() == Path(wanted).resolve():
                raise SettingsError(f"-o {wanted} is one of the pictures that are read", "choose another name")
        check_target(wanted, overwrite=force)
        return [wanted]
    folder = Path(wanted or ".")
    if wanted and not folder.is_dir():
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise PictureError(f"{wanted}: {error.strerror}", "choose a folder that can be made") from error
    taken: set[Path] = set()
    outputs = []
    for source in inputs:
        stem = "stdin" if source == STREAM else Path(source).stem
        path = _free(folder, f"{stem}{suffix}", taken)
        check_target(path)
        taken.add(path)
        outputs.append(str(path))
    return outputs


def _free(folder: Path, stem: str, taken: set[Path]) -> Path:
    number = 1
    while True:
        path = folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
        if path not in taken and not path.exists():
            return path
        number += 1


def read(word: str) -> str | bytes:
    """What ``open_picture`` takes for an input: its path, or the bytes of stdin."""
    return sys.stdin.buffer.read() if word == STREAM else word
