"""Results on their way to files: a picture is never lost for a formality."""

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
from vggapps.cli.outcome import trouble
from vggapps.errors import OutputExistsError, PictureError, SettingsError
from vggapps.settings import check, setting

if TYPE_CHECKING:
    from torch import Tensor

    from vggapps.image import Metadata, Picture

Content = bytes | Callable[[Path], object]


@dataclass(frozen=True)
class Saving:
    """How pictures are written."""

    format: Literal["png", "jpg", "webp", "tiff"] | None = setting(
        None, help="Format of results that get a default name.", panel="The file"
    )
    bits: int = setting(8, minimum=8, maximum=16, help="Bits a channel: 8, or 16 (PNG, TIFF).", panel="The file")
    quality: int | None = setting(
        None, minimum=1, maximum=100, help="Quality of JPEG and WebP; 95 if not given.", panel="The file"
    )
    strip: bool = setting(
        False, help="Leave out the photo's author, copyright, date, camera and resolution.", panel="The file"
    )

    def __post_init__(self) -> None:
        check(self)


DEFAULT = Saving()


@dataclass(frozen=True)
class Target:
    """Where a result goes.

    Attributes:
        path: the file, or ``-`` for stdout.
        named: whether the user named this very file; other names may be numbered: ``-2``, ``-3``.
        force: whether an existing file is replaced.
        saving: how a picture is written there.
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
        """The suffix that names the format."""
        return f".{self.saving.format or 'png'}" if self.is_stream else Path(self.path).suffix


def deliver(target: Target, content: Content) -> str:
    """Write a result; returns where it is.

    A default name takes the next free number at this moment. What can't be written where it was wanted, because a
    file has appeared there or the folder is gone or full, is kept beside it, in the current folder, or among the
    temporary files, and that is said.

    Args:
        target: the plan.
        content: the bytes, or a function that writes to the path it is given, which has the target's suffix.

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
            trouble(PictureError(f"{reason.message}; the result is kept as {place}", reason.hint))
        elif place != wanted and target.named:
            trouble(OutputExistsError(f"{wanted} exists; the result is kept as {place}", "rename one of them"))
        return str(place)
    assert reason is not None
    raise reason


def create(path: Path, content: Content, *, force: bool = False) -> Path:
    """Write a file there, or under the first number that is free unless ``force``; returns where it is.

    Raises:
        PictureError: the folder is missing, closed or full.
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
    """Whether the file's format has room for a picture of (height, width) and what it carries, before the work.

    Raises:
        SettingsError: it has not.
    """
    from vggapps.image._encode import check_format

    saving = target.saving
    check_format(
        target.suffix, bits=saving.bits, quality=saving.quality, size=size, settings=recipe,
        metadata=None if saving.strip else metadata, name=Path(target.path).name,
    )  # fmt: skip


def numbered(path: Path) -> Iterator[Path]:
    """``name.png``, ``name-2.png``, ``name-3.png`` and so on."""
    yield path
    yield from (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in itertools.count(2))


def deliver_picture(target: Target, picture: Picture | Tensor, recipe: Mapping[str, Any] | None = None) -> str:
    """Write a picture, with the settings that made it; returns where it is.

    What its format can't hold is left out, and that is said: the settings, or else the format itself.

    Raises:
        PictureError: it can't be written anywhere, or has NaN.
    """
    from vggapps.image import Picture, encode_picture

    saving, path = target.saving, Path(target.path)
    if saving.strip and isinstance(picture, Picture):
        picture = dataclasses.replace(picture, metadata=None)
    as_asked = {"bits": saving.bits, "quality": saving.quality}
    # What can be known is refused before the work; for the rest something is given up, rather than the picture.
    attempts: list[tuple[str, str, dict[str, Any]]] = [
        ("", target.suffix, {**as_asked, "settings": recipe}),
        ("its settings are left out", target.suffix, as_asked),
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
            trouble(SettingsError(f"{problem.message}; {loss}", problem.hint))
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
