"""Opening files, bytes and streams as pictures; anything else is rejected with a clear error."""

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
from vggapps.image._jpeg import MAGIC as JPEG_MAGIC
from vggapps.image._jpeg import opened_jpeg
from vggapps.image._light import cicp_of_heif
from vggapps.image._picture import Picture
from vggapps.image._png import MAGIC as PNG_MAGIC
from vggapps.image._png import sift
from vggapps.image._smaller import largest_reduction

File = str | os.PathLike[str] | bytes | BinaryIO
"""A path, a file's bytes, or a binary stream."""

Source = File | Image.Image | NDArray[Any] | Picture | Tensor
"""Everything that `vggapps.image.open_picture` opens."""

MAX_PIXELS = 178_000_000
"""The most pixels that are decoded: just under Pillow's limit of twice ``Image.MAX_IMAGE_PIXELS``."""

_MIN_SIDE = 2  # pixels: less is a dot or a line, often the tracking pixel of a web page
_LONGEST_NAME = 100  # characters shown of a path that is too long to be opened
_HEAD = 512  # bytes that identify a file that Pillow can't open

# An explicit list, because Pillow's other formats are rare and some run programs (EPS starts Ghostscript).
_FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JPEG2000", "PPM", "TGA"]
_LARGE = "scale it down first, or save it as JPEG, which can be decoded at a fraction of its size"
_READABLE = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC, JPEG 2000, PPM and TGA can be read"


@contextmanager
def stream_of(source: File, name: str | None = None) -> Iterator[tuple[BinaryIO, str]]:
    """A source as a seekable binary stream, and its name. Pipes are read into memory.

    Raises:
        PictureError: the file does not exist or can't be read.
        SettingsError: the source has an unsupported type.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source), name or "picture"
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        with _open_file(path) as stream:
            yield _seekable(stream, path.name), name or path.name
    elif hasattr(source, "read"):
        path_of_stream = getattr(source, "name", None)
        known_as = name or (Path(path_of_stream).name if isinstance(path_of_stream, str) else "picture")
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
        # Any object with a `read` method is accepted.
        seekable = getattr(stream, "seekable", None)
        return stream if seekable is not None and seekable() else io.BytesIO(stream.read())
    except VggappsError:
        raise
    except (OSError, ValueError) as error:  # ValueError: the stream is closed
        raise PictureError(f"{name}: it can't be read: {getattr(error, 'strerror', None) or error}") from None


def _open_file(path: Path) -> BinaryIO:
    try:
        if path.is_dir():
            raise PictureError(f"{path} is a folder, not a picture file")
        if path.is_char_device() or path.is_block_device():
            raise PictureError(f"{path} is a device, not a picture file", "give a file or a pipe")
        return path.open("rb")
    except FileNotFoundError:
        if address := re.match(r"([a-z][a-z0-9+.-]+):/(.*)", str(path)):  # pathlib drops one of two slashes
            place = f"{address[1]}://{address[2]}"
            raise PictureError(f"{place}: URLs are not read", "download the picture and give the file") from None
        raise PictureError(f"{path}: there is no such file", _missing_file_hint(path)) from None
    except PermissionError:
        raise PictureError(f"{path}: no permission to read it", "allow reading, or copy it elsewhere") from None
    except (PictureError, MemoryError):
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        word = str(path) if len(str(path)) <= _LONGEST_NAME else f"{str(path)[:_LONGEST_NAME]}..."
        raise PictureError(f"{word!r}: it can't be read: {getattr(error, 'strerror', None) or error}") from None


def _missing_file_hint(path: Path) -> str:
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
        image: Pillow's image; its ``info`` includes the metadata chunks of PNG files.
        stream: the file, or the part of it that holds the picture.
        notes: what a user should know about the file.
    """

    image: Image.Image
    stream: BinaryIO
    notes: tuple[str, ...] = ()

    def again(self, stream: BinaryIO | None = None) -> ImageFile.ImageFile:
        """Open the picture again, or another stream of the same format. Its size has been checked."""
        factory, _ = Image.OPEN[str(self.image.format)]
        stream = self.stream if stream is None else stream
        stream.seek(0)
        return factory(stream, "")


@contextmanager
def opened(stream: BinaryIO, name: str, max_pixels: int | None = None) -> Iterator[Opened]:
    """Open a seekable stream with Pillow, without decoding it; check its size. Pillow's warnings are suppressed.

    Args:
        stream: the file.
        name: its name in errors.
        max_pixels: the most pixels that are accepted. By default `MAX_PIXELS`, and more for a JPEG or JPEG 2000 file
            that can be decoded at a fraction of its size (see ``vggapps.image._smaller``).

    Raises:
        PictureError: the stream is not a picture, or too large, or too small.
    """
    with warnings_suppressed():
        with picture_errors(name):
            stream.seek(0)
            head = stream.read(_HEAD)
            if _is_heif(head):
                _register_heif(name)
            Image.init()
            found = _open_image(stream, head, name)
        with found.image as image:
            check_size(image.size, name, max_pixels or limit() * largest_reduction(image, found.stream))
            yield found


def _open_image(stream: BinaryIO, head: bytes, name: str) -> Opened:
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
        raise PictureError(f"{name}: {_describe(head)}", _READABLE) from None
    except Image.DecompressionBombError:
        factory, accepts = Image.OPEN["JPEG2000"]
        if accepts is None or not accepts(head):
            raise
        stream.seek(0)
        return factory(stream, "")  # at a fraction of its size it may be small enough


def _kinds() -> list[str]:
    return [known for known in _FORMATS if known in Image.OPEN]


def limit() -> int:
    """The most pixels that are decoded: `MAX_PIXELS`, or Pillow's own limit if that was lowered."""
    return min(MAX_PIXELS, 2 * (Image.MAX_IMAGE_PIXELS or MAX_PIXELS))


@contextmanager
def warnings_suppressed() -> Iterator[None]:
    """Suppress Pillow's warnings (odd tags, many pixels): our limits and notes cover what matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def picture_errors(name: str) -> Iterator[None]:
    """Convert any exception into a `PictureError` that names the picture, or an `OutOfMemoryError`."""
    # Pillow's decoders raise whatever fails first (OSError, SyntaxError, struct.error, IndexError, ...).
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
            raise OutOfMemoryError(f"{name}: there is not enough memory to read it", "scale it down first") from error
        raise PictureError(
            f"{name}: it is damaged or cut short: {error}", "get it again, or save it again in another program"
        ) from error


def check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """Raise `PictureError` for a (width, height) of too many or too few pixels."""
    width, height = size
    if width * height > max_pixels:
        reason = f"{width}x{height} pixels, and at most {max_pixels / 1e6:g} million are read"
        raise PictureError(f"{name}: too large: {reason}", _LARGE)
    if min(width, height) < _MIN_SIDE:
        raise PictureError(f"{name}: {width}x{height} pixels are too few", f"each side needs {_MIN_SIDE} or more")


def _is_heif(head: bytes) -> bool:
    brands = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
    return head[4:8] == b"ftyp" and head[8:12] in brands and b"avif" not in head[:64]


def _register_heif(name: str) -> None:
    try:
        import pillow_heif
    except ImportError:
        raise PictureError(f"{name}: HEIC needs an extra package", run="pip install 'vggapps[heif]'") from None
    pillow_heif.register_heif_opener()


def _describe(head: bytes) -> str:
    lowered = head.lstrip().lower()
    if not head:
        return "the file is empty"
    if b"<svg" in lowered:
        return "SVG is a drawing, not a picture of pixels"
    if lowered.startswith((b"<!doctype html", b"<html")):
        return "it is a web page, not a picture"
    if lowered.startswith(b"%pdf"):
        return "it is a PDF, not a picture"
    # The last character may be cut; UTF-8 uses at most four bytes.
    text = head.decode("utf-8", "replace")[: -4 if len(head) == _HEAD else None]
    if "\ufffd" not in text and all(letter.isprintable() or letter.isspace() for letter in text):
        return "it is text, not a picture"
    if any(accepts is not None and accepts(head[:16]) for _, accepts in map(Image.OPEN.__getitem__, _kinds())):
        return "it is damaged or cut short: its header can't be read"
    return "it is not a picture, or has a format that can't be read"


def size_of(source: File, name: str | None = None) -> tuple[int, int]:
    """(height, width) in pixels of the upright picture in a file, without decoding it.

    Raises:
        PictureError: the file can't be read.
    """
    with stream_of(source, name) as (stream, known_as), opened(stream, known_as) as found:
        size = found.image.height, found.image.width
        return size[::-1] if orientation(found.image) in (5, 6, 7, 8) else size  # quarter turns


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of a picture, 1 to 8; 1 is upright."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF raises anything; the pixels can be read nevertheless
        return 1
