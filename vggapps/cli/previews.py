"""Intermediate pictures of a run: previews and frames.

An error in writing them does not stop the run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vggapps.cli.outcome import to_vggapps_error
from vggapps.cli.saving import Target, create, numbered
from vggapps.errors import VggappsError

if TYPE_CHECKING:
    from vggapps.image import Picture


class Preview:
    """``OUTPUT.preview.png``, overwritten by each preview.

    Args:
        target: the output.
        replace: whether an existing preview, of an earlier run, is overwritten. Other existing files are not touched.
    """

    def __init__(self, target: Target, *, replace: bool = False) -> None:
        self.wanted = Path(target.path).with_suffix(".preview.png")
        self.path = self.wanted if replace else None  # None until it has been written
        self.identity = _identity(self.wanted) if replace else None
        self.broken = False

    def show(self, picture: Picture) -> None:
        """Write or overwrite the file."""
        from vggapps._files import write_file
        from vggapps.image import encode_picture

        if self.broken:
            return
        try:
            data = encode_picture(picture, "png")
            if self.path is not None and self._is_unchanged():
                write_file(self.path, data, overwrite=True)
            else:
                self.path = create(self.wanted, data)
                if self.path != self.wanted:
                    typer.echo(f"{self.wanted} exists; the preview is {self.path}", err=True)
            self.identity = _identity(self.path)
        except (VggappsError, OSError) as error:
            self.broken = True
            typer.echo(f"no more previews: {to_vggapps_error(error)}", err=True)

    def remove(self) -> None:
        """Remove the file if it was not replaced by another program."""
        if self.path is not None and self._is_unchanged():
            self.path.unlink(missing_ok=True)

    def _is_unchanged(self) -> bool:
        return self.path is not None and self.identity is not None and _identity(self.path) == self.identity


class Frames:
    """``OUTPUT_frames/00001.png``, ``00002.png`` and so on, in a new folder."""

    def __init__(self, target: Target) -> None:
        self.wanted = Path(target.path).with_name(f"{Path(target.path).stem}_frames")
        self.folder: Path | None = None
        self.count = 0
        self.broken = False

    def show(self, picture: Picture) -> None:
        """Write the next frame."""
        from vggapps.image import save_picture

        if self.broken:
            return
        try:
            if self.folder is None:
                self.folder = _create_folder(self.wanted)
            save_picture(picture, self.folder / f"{self.count + 1:05d}.png")
            self.count += 1
        except (VggappsError, OSError) as error:
            self.broken = True
            typer.echo(f"no more frames: {to_vggapps_error(error)}", err=True)


def _create_folder(wanted: Path) -> Path:
    for path in numbered(wanted):
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise AssertionError("there is always a next number")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino
