"""Pictures that come in, which nobody is to be trusted with, and those that go out, which are gone again after use."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from abc import ABCMeta
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import gradio as gr
from gradio.utils import get_upload_folder

from vggapps.errors import PictureError, VggappsError
from vggapps.web.limits import Limits
from vggapps.web.telling import told

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from vggapps.image import Picture

SHOWN = 640  # pixels: longer side of what is shown while a run goes on, and in the gallery
_WHERE = "GRADIO_TEMP_DIR"
KEPT = 3600  # seconds that results are kept for a visitor who does not say that he goes


def upload(label: str, limits: Limits, **properties: Any) -> gr.Image:
    """Where a picture is dropped; the handler gets the path of a file that this page has taken in and looked at.

    Gradio 6.31 hands over whatever path a request names, and fetches what it names as an address: both are refused
    here, before anything else sees them. The file itself is passed on as it came.
    """

    def preprocess(_: gr.Image, payload: Any) -> str | None:
        if payload is None:
            return None
        try:
            return str(_looked_at(payload, limits))
        except VggappsError as error:
            raise told(error) from None

    async def moved(_: gr.Image, path: str | Path | None) -> str | None:
        return None if path is None else str(path)

    # On a class: for a session that has had an update, Gradio makes the component anew. Past its metaclass, which
    # would write a stub beside this file.
    own = {"preprocess": preprocess, "async_move_resource_to_block_cache": moved, "get_block_name": lambda _: "image"}
    made = ABCMeta.__new__(type(gr.Image), "Upload", (gr.Image,), {**own, "__module__": __name__})
    sources: list[Literal["upload", "webcam", "clipboard"]] = ["upload", "clipboard"]
    component: gr.Image = made(
        label=label, type="filepath", image_mode=None, format="png", sources=sources, **properties
    )
    # To be looked at is to be preprocessed: what is no picture is told and taken away at once, not at the button.
    looked = component.upload(lambda _: None, component, None, api_visibility="private")
    looked.failure(lambda: None, None, component, api_visibility="private", queue=False)
    return component


def _looked_at(payload: Any, limits: Limits) -> Path:
    """The file of an upload, which is a picture as far as its first bytes tell."""
    from vggapps.image._opening import opened, stream_of

    if not payload.path:
        raise PictureError("there is no file in this upload", "upload the picture itself")
    folder, path = Path(get_upload_folder()).resolve(), Path(payload.path).resolve()
    if not (path.is_relative_to(folder) and path.is_file()):
        raise PictureError("this picture was not uploaded here", "upload it again")
    if path.stat().st_size > limits.max_upload * 1e6:
        raise PictureError(f"{path.name}: too large a file", f"up to {limits.max_upload:g} MB are taken")
    with stream_of(path) as (stream, name), opened(stream, name, round(limits.max_pixels * 1e6)):
        return path


class Shelves:
    """Where results stand until their visitor goes: in a room, a folder for each run, whose name nobody guesses."""

    def __init__(self, room: Path) -> None:
        self.room = room
        self._runs: dict[str, list[Path]] = {}
        self._lock = Lock()

    def run(self, session: str) -> Shelf:
        """A new folder for a session. What stands there too long is cleared away on the way."""
        folder = self.room / f"run-{secrets.token_hex(16)}"
        folder.mkdir(parents=True, mode=0o700)
        old = time.time() - KEPT
        with self._lock:
            for name, runs in list(self._runs.items()):
                self._clear(name, [run for run in runs if not run.exists() or run.stat().st_mtime < old])
            self._runs.setdefault(session, []).append(folder)
        return Shelf(folder)

    def clear(self, session: str) -> None:
        """The visitor has gone."""
        with self._lock:
            self._clear(session, list(self._runs.get(session, ())))

    def _clear(self, session: str, folders: list[Path]) -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            self._runs[session].remove(folder)
        if not self._runs.get(session):
            self._runs.pop(session, None)


class Shelf:
    """The files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._previews: list[Path] = []

    def preview(self, picture: Picture | Float[Tensor, "1 3 h w"]) -> str:
        """A small JPEG of a picture. The one before the last goes; the last may be on its way to a browser."""
        path = self._small(picture)
        self._previews.append(path)
        for old in self._previews[:-2]:
            old.unlink(missing_ok=True)
        self._previews = self._previews[-2:]
        return str(path)

    def small(self, picture: Picture | Float[Tensor, "1 3 h w"]) -> str:
        """A small JPEG that stays as long as the result."""
        return str(self._small(picture))

    def keep(self, picture: Picture | Float[Tensor, "1 3 h w"], name: str, settings: Mapping[str, Any]) -> str:
        """The result, lossless and in full size, with what made it inside."""
        from vggapps.image import save_picture

        return str(save_picture(picture, self.folder / f"{name}.png", settings=settings, overwrite=True))

    def _small(self, picture: Picture | Float[Tensor, "1 3 h w"]) -> Path:
        from vggapps.image import Picture, fit, resize, save_picture

        rgb, alpha = (picture.rgb, picture.alpha) if isinstance(picture, Picture) else (picture, None)
        size = fit(rgb.shape[2], rgb.shape[3], SHOWN)
        shown = Picture(resize(rgb, size), None if alpha is None else resize(alpha, size))
        return save_picture(shown, self.folder / f"{secrets.token_hex(8)}.jpg")


def examples(kind: str, target: gr.Image) -> None:
    """Sample pictures that fill an upload, ``content`` or ``style``; none where the package came without them."""
    paths = samples(kind)
    if paths:
        gr.Examples(
            [[path] for path in paths], [target], label="Or take one of ours",
            cache_examples=False, api_visibility="private", elem_id=f"{target.elem_id}-examples",
        )  # fmt: skip


def samples(kind: str) -> list[str]:
    """The sample pictures, ``content`` or ``style``: beside the package in a checkout, else inside it."""
    package = Path(__file__).parents[1]
    folder = next((f for f in (package / "data" / "samples", package.parent / "assets") if f.is_dir()), package)
    return sorted(map(str, (folder / kind).glob("*.jpg")))


class Room:
    """The folder of everything that comes and goes. Gradio knows one for a process: all its pages share it."""

    def __init__(self) -> None:
        self._pages, self._folder, self._before = 0, Path(), os.environ.get(_WHERE)
        self._lock = Lock()

    def enter(self) -> Path:
        """The folder, for one page more."""
        with self._lock:
            if not self._pages:
                self._before = os.environ.get(_WHERE)
                self._folder = Path(tempfile.mkdtemp(prefix="vggapps-web-"))
                os.environ[_WHERE] = str(self._folder)
            self._pages += 1
            return self._folder

    def leave(self) -> None:
        """A page less; with the last one the folder goes."""
        with self._lock:
            self._pages -= 1
            if self._pages:
                return
            shutil.rmtree(self._folder, ignore_errors=True)
            if self._before is None:
                del os.environ[_WHERE]
            else:
                os.environ[_WHERE] = self._before


ROOM = Room()
