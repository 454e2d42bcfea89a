"""Uploads, which are not trusted, and results, which are deleted when the visitor leaves."""

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
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import gradio as gr
from gradio.components import Component
from gradio.utils import get_upload_folder

from vggapps.errors import PictureError, VggappsError
from vggapps.web.limits import Limits
from vggapps.web.messages import shown_error

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from vggapps.image import Picture

C = TypeVar("C", bound=Component)
SHOWN = 640  # longer side in pixels of previews and of pictures in the gallery
_WHERE = "GRADIO_TEMP_DIR"
KEPT_SECONDS = 3600  # results are deleted after this time even if the visitor has not left


def upload(label: str, limits: Limits, checked: gr.State | None = None, **properties: Any) -> gr.Image:
    """An input for a picture; the handler gets the path of a checked file that was uploaded to this page.

    Gradio 6.31 accepts any path in a request and downloads any URL: both are rejected here first. The file is not
    modified.

    Args:
        label: shown above it.
        limits: of the file.
        checked: is set to the path of each picture that is accepted, and to None when it is removed.
        properties: further ones of the component.
    """

    def preprocess(_: gr.Image, payload: Any) -> str | None:
        if payload is None:
            return None
        try:
            return str(_checked(payload, limits))
        except VggappsError as error:
            raise shown_error(error) from None

    async def moved(_: gr.Image, path: str | Path | None) -> str | None:
        return None if path is None else str(path)

    Upload = subclass(gr.Image, preprocess=preprocess, async_move_resource_to_block_cache=moved)
    sources: list[Literal["upload", "webcam", "clipboard"]] = ["upload", "clipboard"]
    component = Upload(label=label, type="filepath", image_mode=None, format="png", sources=sources, **properties)
    # The event runs preprocess: an invalid file is rejected and removed at once, not when the button is pressed.
    if checked is None:
        check = component.upload(lambda _: None, component, None, api_visibility="private")
    else:
        check = component.change(lambda path: path, component, checked, api_visibility="private")
    check.failure(lambda: None, None, component, api_visibility="private", queue=False)
    return component


def subclass(component: type[C], **methods: Any) -> type[C]:
    """A subclass of a Gradio component with other methods.

    They can't be set on the instance, because Gradio recreates components that a session has updated. Gradio's
    metaclass is bypassed, since it would write a stub file next to this one.
    """
    name = component.__name__.lower()
    methods |= {"get_block_name": lambda _: name, "__module__": __name__}
    return ABCMeta.__new__(type(component), component.__name__, (component,), methods)


def _checked(payload: Any, limits: Limits) -> Path:
    """The path of an uploaded file, whose header must be that of a picture."""
    from vggapps.image._opening import opened, stream_of

    if not payload.path:
        raise PictureError("there is no file in this upload", "upload the picture itself")
    folder, path = Path(get_upload_folder()).resolve(), Path(payload.path).resolve()
    if not (path.is_relative_to(folder) and path.is_file()):
        raise PictureError("this picture was not uploaded here", "upload it again")
    if path.stat().st_size > limits.max_upload * 1e6:
        raise PictureError(f"{path.name}: the file is too large", f"up to {limits.max_upload:g} MB are accepted")
    with stream_of(path) as (stream, name), opened(stream, name, round(limits.max_pixels * 1e6)):
        return path


class Results:
    """The results of all visitors: a folder with an unguessable name for each run, deleted when the visitor leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs: dict[str, list[Path]] = {}
        self._lock = Lock()

    def run(self, session: str) -> RunFiles:
        """A new folder for a run of a session; expired folders are deleted."""
        folder = self.folder / f"run-{secrets.token_hex(16)}"
        folder.mkdir(parents=True, mode=0o700)
        old = time.time() - KEPT_SECONDS
        with self._lock:
            for name, runs in list(self._runs.items()):
                self._clear(name, [run for run in runs if not run.exists() or run.stat().st_mtime < old])
            self._runs.setdefault(session, []).append(folder)
        return RunFiles(folder)

    def clear(self, session: str) -> None:
        """Delete the results of a session."""
        with self._lock:
            self._clear(session, list(self._runs.get(session, ())))

    def _clear(self, session: str, folders: list[Path]) -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            self._runs[session].remove(folder)
        if not self._runs.get(session):
            self._runs.pop(session, None)


class RunFiles:
    """The files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._previews: list[Path] = []
        self._whole: list[Path] = []

    def preview(self, picture: Picture | Float[Tensor, "1 3 h w"]) -> str:
        """A small temporary JPEG of a picture. The last two are kept, as a browser may still load the previous one."""
        path = self.thumbnail(picture)
        _keep_two(self._previews, path)
        return path

    def whole_preview(self, picture: Picture, name: str) -> str:
        """Likewise in full size with its settings, as PNG if it is transparent."""
        from vggapps.image import save_picture

        suffix = "jpg" if picture.alpha is None else "png"
        path = str(save_picture(picture, self.folder / f"{name}-{secrets.token_hex(4)}.{suffix}"))
        _keep_two(self._whole, path)
        return path

    def thumbnail(self, picture: Picture | Float[Tensor, "1 3 h w"]) -> str:
        """A small JPEG of a picture, kept as long as the result."""
        from vggapps.image import Picture, fit, resize, save_picture

        rgb, alpha = (picture.rgb, picture.alpha) if isinstance(picture, Picture) else (picture, None)
        size = fit(rgb.shape[2], rgb.shape[3], SHOWN)
        shown = Picture(resize(rgb, size), None if alpha is None else resize(alpha, size))
        return str(save_picture(shown, self.folder / f"{secrets.token_hex(8)}.jpg"))

    def save(self, picture: Picture | Float[Tensor, "1 3 h w"], name: str, settings: Mapping[str, Any]) -> str:
        """Save a result as PNG in full size, with its settings."""
        from vggapps.image import save_picture

        return str(save_picture(picture, self.folder / f"{name}.png", settings=settings, overwrite=True))


def _keep_two(files: list[Path], path: str) -> None:
    """Add a file to a list, and delete those before the last two."""
    files.append(Path(path))
    for old in files[:-2]:
        old.unlink(missing_ok=True)
    del files[:-2]


def samples(kind: str) -> list[Path]:
    """Sample pictures, ``content`` or ``style``: from a checkout, or else from the package's data."""
    package = Path(__file__).parents[1]
    folder = next((f for f in (package / "data" / "samples", package.parent / "assets") if f.is_dir()), package)
    return sorted((folder / kind).glob("*.jpg"))


def examples(kind: str, target: gr.Image) -> None:
    """Sample pictures for an upload, ``content`` or ``style``."""
    if paths := samples(kind):
        gr.Examples(
            [[str(path)] for path in paths], [target], label="Or choose an example",
            cache_examples=False, api_visibility="private", elem_id=f"{target.elem_id}-examples",
        )  # fmt: skip


class SharedFolder:
    """The folder for uploads and results, shared by all pages: Gradio has one per process."""

    def __init__(self) -> None:
        self._pages, self._folder, self._before = 0, Path(), os.environ.get(_WHERE)
        self._lock = Lock()

    def enter(self) -> Path:
        """The folder, which is created for the first page."""
        with self._lock:
            if not self._pages:
                self._before = os.environ.get(_WHERE)
                self._folder = Path(tempfile.mkdtemp(prefix="vggapps-web-"))
                os.environ[_WHERE] = str(self._folder)
            self._pages += 1
            return self._folder

    def leave(self) -> None:
        """Release the folder, which is deleted with the last page."""
        with self._lock:
            self._pages -= 1
            if self._pages:
                return
            shutil.rmtree(self._folder, ignore_errors=True)
            if self._before is None:
                del os.environ[_WHERE]
            else:
                os.environ[_WHERE] = self._before


SHARED = SharedFolder()
