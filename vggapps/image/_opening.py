"""Files, bytes and streams, opened as pictures: what is no picture is told so."""

from __future__ import annotations

import difflib
import io
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from vggapps.errors import OutOfMemoryError, PictureError, SettingsError, VggappsError, out_of_memory
from vggapps.image._fractions import relief
from vggapps.image._jpeg import MAGIC as JPEG_MAGIC
from vggapps.image._jpeg import opened_jpeg
from vggapps.image._light import cicp_of_heif
from vggapps.image._picture import Picture
from vggapps.image._png import MAGIC as PNG_MAGIC
from vggapps.image._png import sift

File = str | os.PathLike[str] | bytes | BinaryIO
"""A path, a file's bytes, or a binary stream."""

Source = File | Image.Image | NDArray[Any] | Picture | Tensor
"""Whatever holds a picture: see `vggapps.image.open_picture`."""

MAX_PIXELS = 178_000_000
"""The most pixels that are decoded: just under Pillow's own refusal at twice ``Image.MAX_IMAGE_PIXELS``."""

MIN_SIDE = 2
"""The shortest side of a picture in pixels: less is a dot or a line, often a web page's tracking pixel."""

_LONGEST_NAME = 100  # characters of a path that are shown where it can't be opened for its length
_HEAD = 512  # bytes that tell what a file is that Pillow can't open

# Named one by one because Pillow's others are rare, and some run programs (EPS starts Ghostscript).
_FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JPEG2000", "PPM", "TGA"]
_LARGE = "scale it down before, or save it as JPEG, which can be decoded at a fraction of its size"
_READABLE = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC, JPEG 2000, PPM and TGA can be read"


@contextmanager
def stream_of(source: File, name: str | None = None) -> Iterator[tuple[BinaryIO, str]]:
    """A source as a seekable binary stream, and what to call it. What comes through a pipe is read into memory.

    Raises:
        PictureError: there is no such file, or it can't be read.
        SettingsError: it is no file, and nothing that can be read as one.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source), name or "picture"
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        with _open_file(path) as stream:
            yield _seekable(stream, path.name), name or path.name
    elif hasattr(source, "read"):
        own = getattr(source, "name", None)
        known_as = name or (Path(own).name if isinstance(own, str) else "picture")
        yield _seekable(source, known_as), known_as
    else:
        raise SettingsError(
            f"{type(source).__name__} can't be read as a picture",
            "give a path, bytes, a binary stream, a Pillow picture, or a NumPy array",
        )


def _seekable(stream: BinaryIO, name: str) -> BinaryIO:
    try:
        if isinstance(stream, io.TextIOBase):
            raise SettingsError(f"{name} is open as text", "open it as binary: open(path, 'rb')")
        # Of a foreign object nothing is sure but that it can be read.
        seekable = getattr(stream, "seekable", None)
        return stream if seekable is not None and seekable() else io.BytesIO(stream.read())
    except VggappsError:
        raise
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise PictureError(f"{name}: it can't be read: {getattr(error, 'strerror', None) or error}") from None


def _open_file(path: Path) -> BinaryIO:
    try:
        if path.is_dir():
            raise PictureError(f"{path} is a folder, and a picture file was expected")
        if path.is_char_device() or path.is_block_device():
            raise PictureError(f"{path} is a device, and a picture file was expected", "give a file or a pipe")
        return path.open("rb")
    except FileNotFoundError:
        if address := re.match(r"([a-z][a-z0-9+.-]+):/(.*)", str(path)):  # pathlib leaves one of two slashes
            place = f"{address[1]}://{address[2]}"
            raise PictureError(f"{place}: addresses are not read", "download the picture and name the file") from None
        raise PictureError(f"{path}: there is no such file", _near(path)) from None
    except PermissionError:
        raise PictureError(f"{path}: no permission to read it", "allow reading, or copy it elsewhere") from None
    except (PictureError, MemoryError):
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        word = str(path) if len(str(path)) <= _LONGEST_NAME else f"{str(path)[:_LONGEST_NAME]}..."
        raise PictureError(f"{word!r}: it can't be read: {getattr(error, 'strerror', None) or error}") from None


def _near(path: Path) -> str:
    try:
        if not path.parent.is_dir():
            return f"there is no folder {path.parent} either"
        near = difflib.get_close_matches(path.name, [other.name for other in path.parent.iterdir()], n=1)
    except OSError:
        near = []
    return f"did you mean {path.with_name(near[0])}?" if near else "check its name and folder"


@dataclass(frozen=True)
class Opened:
    """A picture file that is open and not yet decoded.

    Attributes:
        image: Pillow's; what PNG files say beside their pixels has been added to its ``info``.
        stream: the file, or the part of it that holds the picture.
        notes: what a user should know of the file.
    """

    image: Image.Image
    stream: BinaryIO
    notes: tuple[str, ...] = ()

    def again(self, stream: BinaryIO | None = None) -> ImageFile.ImageFile:
        """The same picture opened once more, or another stream of the same kind. Its size has been checked."""
        factory, _ = Image.OPEN[str(self.image.format)]
        stream = self.stream if stream is None else stream
        stream.seek(0)
        return factory(stream, "")


@contextmanager
def opened(stream: BinaryIO, name: str, max_pixels: int | None = None) -> Iterator[Opened]:
    """A stream opened by Pillow, not yet decoded, its size checked, Pillow's warnings kept quiet throughout.

    Args:
        stream: seekable.
        name: what to call it in errors.
        max_pixels: refuse pictures of more. By default `MAX_PIXELS`, but a JPEG or JPEG 2000 file may have more if
            it can be decoded at a fraction of its size that has fewer: see ``vggapps.image._fractions``.

    Raises:
        PictureError: it is no picture, or too large, or too small.
    """
    with quiet():
        with telling(name):
            stream.seek(0)  # as Pillow does
            head = stream.read(_HEAD)
            if _is_heif(head):
                _register_heif(name)
            Image.init()
            found = _opened(stream, head, name)
        with found.image as image:
            check_size(image.size, name, max_pixels or limit() * relief(image, found.stream))
            yield found


def _opened(stream: BinaryIO, head: bytes, name: str) -> Opened:
    if head.startswith(JPEG_MAGIC):
        image, note = opened_jpeg(stream)
        return Opened(image, stream, (note,) if note else ())
    if head.startswith(PNG_MAGIC):
        sifted = sift(stream)
        image = _by_pillow(sifted.pixels, head, name)
        image.info.update(sifted.info)
        image.n_frames = sifted.frames  # type: ignore[attr-defined]
        return Opened(image, sifted.pixels, sifted.notes)
    image = _by_pillow(stream, head, name)
    if image.format in ("AVIF", "HEIF") and (coding := cicp_of_heif(stream)):
        image.info["cicp"] = coding
    return Opened(image, stream)


def _by_pillow(stream: BinaryIO, head: bytes, name: str) -> Image.Image:
    try:
        return Image.open(stream, formats=_kinds())
    except UnidentifiedImageError:
        raise PictureError(f"{name}: {_what(head)}", _READABLE) from None
    except Image.DecompressionBombError:
        factory, accepts = Image.OPEN["JPEG2000"]
        if accepts is None or not accepts(head):
            raise
        stream.seek(0)
        return factory(stream, "")  # at a fraction of its size it may be small enough


def _kinds() -> list[str]:
    return [known for known in _FORMATS if known in Image.OPEN]


def limit() -> int:
    """The most pixels that are decoded; fewer where somebody has lowered Pillow's own limit."""
    return min(MAX_PIXELS, 2 * (Image.MAX_IMAGE_PIXELS or MAX_PIXELS))


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Pillow's warnings (odd tags, many pixels) from users: limits and notes say what matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def telling(name: str) -> Iterator[None]:
    """Turns whatever goes wrong inside into a `PictureError` that names the picture, or an `OutOfMemoryError`."""
    # Pillow's decoders raise whatever breaks first (OSError, SyntaxError, struct.error, IndexError, ...).
    try:
        yield
    except PictureError as error:
        if error.message.startswith(name):
            raise
        raise error.about(name) from None
    except VggappsError:
        raise
    except Image.DecompressionBombError as error:
        pixels = "".join(re.findall(r"\d+ pixels", str(error))[:1]) or "too many pixels"
        raise PictureError(f"{name}: too large: {pixels}, and at most {limit()} are read", _LARGE) from None
    except Exception as error:
        if out_of_memory(error):
            raise OutOfMemoryError(f"{name}: there is not enough memory to read it", "scale it down before") from error
        raise PictureError(
            f"{name}: it is damaged or cut short: {error}", "get it again, or save it anew in another program"
        ) from error


def check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """Raises `PictureError` for a (width, height) of too many pixels or too few."""
    width, height = size
    if width * height > max_pixels:
        told = f"{width}x{height} pixels, and at most {max_pixels / 1e6:g} million are read"
        raise PictureError(f"{name}: too large: {told}", _LARGE)
    if min(width, height) < MIN_SIDE:
        raise PictureError(f"{name}: {width}x{height} pixels are too few", f"each side needs {MIN_SIDE} or more")


def _is_heif(head: bytes) -> bool:
    brands = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
    return head[4:8] == b"ftyp" and head[8:12] in brands and b"avif" not in head[:64]


def _register_heif(name: str) -> None:
    try:
        import pillow_heif
    except ImportError:
        raise PictureError(f"{name}: HEIC needs another package", run="pip install 'vggapps[heif]'") from None
    pillow_heif.register_heif_opener()


def _what(head: bytes) -> str:
    lowered = head.lstrip().lower()
    if not head:
        return "the file is empty"
    if b"<svg" in lowered:
        return "SVG is a drawing, not a picture of pixels"
    if lowered.startswith((b"<!doctype html", b"<html")):
        return "it is a web page, not a picture"
    if lowered.startswith(b"%pdf"):
        return "it is a PDF, not a picture"
    # Read in part, the last character may be cut in two; four bytes are the longest.
    text = head.decode("utf-8", "replace")[: -4 if len(head) == _HEAD else None]
    if "\ufffd" not in text and all(letter.isprintable() or letter.isspace() for letter in text):
        return "it is text, not a picture"
    if any(accepts is not None and accepts(head[:16]) for _, accepts in map(Image.OPEN.__getitem__, _kinds())):
        return "it is damaged or cut short: its header can't be read"
    return "it is no picture, or of a kind that can't be read"


def size_of(source: File, name: str | None = None) -> tuple[int, int]:
    """(height, width) in pixels of the upright picture in a file, which is not decoded.

    Raises:
        PictureError: the file can't be read.
    """
    with stream_of(source, name) as (stream, known_as), opened(stream, known_as) as found:
        size = found.image.height, found.image.width
        return size[::-1] if orientation(found.image) in (5, 6, 7, 8) else size  # turned by a quarter


def orientation(image: Image.Image) -> int:
    """How a picture lies in its file, 1 to 8 as EXIF has it; 1 is upright."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF raises anything, and must not cost the pixels
        return 1
