"""Writing results: a finished picture is never lost because its file can't be written as planned."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vggapps._files import created, unwritable, write_file
from vggapps.cli.options import STREAM
from vggapps.cli.outcome import print_error_and_continue
from vggapps.errors import OutputExistsError, PictureError, SettingsError
from vggapps.settings import check, setting

if TYPE_CHECKING:
    from torch import Tensor

    from vggapps.image import Metadata, Picture

Content = bytes | Callable[[Path], object]


@dataclass(frozen=True)
class Saving:
    """How picture files are written."""

    format: Literal["png", "jpg", "webp", "tiff"] | None = setting(
        None, help="Format of results without a name given by -o.", panel="The file"
    )
    bits: int = setting(8, minimum=8, maximum=16, help="Bits per channel: 8, or 16 (PNG, TIFF).", panel="The file")
    jpeg_quality: int | None = setting(
        None, minimum=1, maximum=100, help="Quality of JPEG and WebP; default 95.", panel="The file"
    )
    strip: bool = setting(
        False, help="Remove the photo's author, copyright, date, camera and resolution.", panel="The file"
    )

    def __post_init__(self) -> None:
        check(self)


DEFAULT = Saving()


@dataclass(frozen=True)
class Target:
    """The planned file of a result.

    Attributes:
        path: the file, or ``-`` for stdout.
        named: whether the user named this file; default names may be numbered: ``-2``, ``-3``.
        force: whether an existing file is replaced.
        saving: how a picture is written.
    """

    path: str
    named: bool = True
    force: bool = False
    saving: Saving = DEFAULT

    @property
    def is_stream(self) -> bool:
        """Whether the result goes to stdout."""
        return self.path == STREAM

    @property
    def suffix(self) -> str:
        """The suffix of the picture format."""
        return f".{self.saving.format or 'png'}" if self.is_stream else Path(self.path).suffix


def deliver(target: Target, content: Content) -> str:
    """Write a result; returns its path.

    A default name gets the next free number. If the target can't be written, because the file exists by now or the
    folder is missing or full, the result is written beside it, to the current folder or to the folder of temporary
    files, and an error is printed.

    Args:
        target: the planned file.
        content: the bytes, or a function that writes to a given path with the target's suffix.

    Raises:
        PictureError: it can't be written anywhere.
    """
    if target.is_stream:
        assert isinstance(content, bytes)
        _to_stdout(content)
        return STREAM
    wanted, reason = Path(target.path), None
    for folder in (wanted.parent, Path(), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            place = create(folder / wanted.name, content, force=target.force and folder == wanted.parent)
        except OSError as error:
            reason = reason or (error if isinstance(error, PictureError) else unwritable(wanted, error))
            continue
        if reason:
            print_error_and_continue(PictureError(f"{reason.message}; the result is kept as {place}", reason.hint))
        elif place != wanted and target.named:
            print_error_and_continue(
                OutputExistsError(f"{wanted} exists; the result is kept as {place}", "rename one of them")
            )
        return str(place)
    assert reason is not None
    raise reason


def create(path: Path, content: Content, *, force: bool = False) -> Path:
    """Write a file, under the first free number unless ``force``; returns its path.

    Raises:
        PictureError: the folder is missing, not writable or full.
    """
    for place in numbered(path):
        try:
            if isinstance(content, bytes):
                return write_file(place, content, overwrite=force)
            with created(place, overwrite=force) as beside:
                content(beside)
        except OutputExistsError:
            continue
        return place
    raise AssertionError("there is always a next number")


def check_room(
    target: Target, recipe: Mapping[str, Any], size: tuple[int, int] | None = None, metadata: Metadata | None = None
) -> None:
    """Check before the work whether the file format can hold a picture of (height, width) and its metadata.

    Raises:
        SettingsError: it can't.
    """
    from vggapps.image._encode import check_format

    saving = target.saving
    check_format(
        target.suffix, bits=saving.bits, quality=saving.jpeg_quality, size=size, settings=recipe,
        metadata=None if saving.strip else metadata, name=Path(target.path).name,
    )  # fmt: skip


def numbered(path: Path) -> Iterator[Path]:
    """``name.png``, ``name-2.png``, ``name-3.png`` and so on."""
    yield path
    yield from (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in itertools.count(2))


def deliver_picture(target: Target, picture: Picture | Tensor, recipe: Mapping[str, Any] | None = None) -> str:
    """Write a picture with its recipe; returns its path.

    If the format can't hold them, the recipe is left out or the picture is written as PNG, and an error is printed.

    Raises:
        PictureError: it can't be written anywhere, or contains NaN.
    """
    from vggapps.image import Picture, encode_picture

    saving, path = target.saving, Path(target.path)
    if saving.strip and isinstance(picture, Picture):
        picture = dataclasses.replace(picture, metadata=None)
    requested = {"bits": saving.bits, "quality": saving.jpeg_quality}
    attempts: list[tuple[str, str, dict[str, Any]]] = [
        ("", target.suffix, {**requested, "settings": recipe}),
        ("it is written without its settings", target.suffix, requested),
        ("it is written as PNG", ".png", {"settings": recipe}),
        ("it is written as PNG without its settings", ".png", {}),
    ]
    problem = None
    for loss, suffix, how in attempts:
        try:
            data = encode_picture(picture, suffix, name=path.name, **how)
        except SettingsError as error:
            problem = problem or error
            continue
        if problem:
            print_error_and_continue(SettingsError(f"{problem.message}; {loss}", problem.hint))
        if suffix != target.suffix and not target.is_stream:
            target = dataclasses.replace(target, path=str(path.with_suffix(suffix)), named=False, force=False)
        return deliver(target, data)
    assert problem is not None
    raise problem


def _to_stdout(data: bytes) -> None:
    try:
        if sys.stdout is None:
            raise PictureError("stdout is closed", "redirect it to a file: > picture.png")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise error if isinstance(error, PictureError) else unwritable("stdout", error) from None
