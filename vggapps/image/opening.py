"""Files, bytes and streams, opened as pictures: what is no picture is told so."""

from __future__ import annotations

import difflib
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from vggapps.errors import PictureError, VggappsError

Source = str | os.PathLike[str] | bytes | BinaryIO

MAX_PIXELS = 178_000_000
"""The most pixels that are decoded: just under Pillow's own refusal at twice ``Image.MAX_IMAGE_PIXELS``."""

MIN_SIDE = 2
"""The shortest side of a picture in pixels: less is a dot or a line, often a web page's tracking pixel."""

_HEAD = 512  # bytes that tell what a file is that Pillow can't open

# Named one by one because Pillow's others are rare, and some run programs (EPS starts Ghostscript).
_FORMATS = ["JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JPEG2000", "PPM", "TGA"]
_READABLE = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC, JPEG 2000, PPM and TGA can be read"


@contextmanager
def stream_of(source: Source, name: str | None = None) -> Iterator[tuple[BinaryIO, str]]:
    """A source as a seekable binary stream, and what to call it.

    Raises:
        PictureError: there is no such file, or it can't be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source), name or "picture"
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        with _open_file(path) as stream:
            yield stream, name or path.name
    else:
        own = getattr(source, "name", None)
        known_as = name or (Path(own).name if isinstance(own, str) else "picture")
        yield (source if source.seekable() else io.BytesIO(source.read())), known_as


def _open_file(path: Path) -> BinaryIO:
    try:
        if path.is_dir():
            raise PictureError(f"{path} is a folder, and a picture file was expected")
        return path.open("rb")
    except FileNotFoundError:
        raise PictureError(f"{path}: there is no such file", _near(path)) from None
    except PermissionError:
        raise PictureError(f"{path}: no permission to read it", "allow reading, or copy it elsewhere") from None
    except (PictureError, MemoryError):
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise PictureError(f"{str(path)!r}: it can't be read: {getattr(error, 'strerror', None) or error}") from None


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {path.parent} either"
    try:
        near = difflib.get_close_matches(path.name, [other.name for other in path.parent.iterdir()], n=1)
    except OSError:
        near = []
    return f"did you mean {path.with_name(near[0])}?" if near else "check its name and folder"


@contextmanager
def opened(stream: BinaryIO, name: str, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """A stream opened by Pillow, not yet decoded, its size checked, Pillow's warnings kept quiet throughout.

    Raises:
        PictureError: it is no picture, or too large, or too small.
    """
    with quiet():
        stream.seek(0)  # as Pillow does
        head = stream.read(_HEAD)
        with telling(name):
            if _is_heif(head):
                _register_heif(name)
            Image.init()
            try:
                image = Image.open(stream, formats=[known for known in _FORMATS if known in Image.OPEN])
            except UnidentifiedImageError:
                raise PictureError(f"{name}: {_what(head)}", _READABLE) from None
        with image:
            check_size(image, name, max_pixels)
            yield image


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Pillow's warnings (odd tags, many pixels) from users: limits and notes say what matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def telling(name: str) -> Iterator[None]:
    """Turns whatever goes wrong inside into a `PictureError` that names the picture."""
    # Pillow's decoders raise whatever breaks first (OSError, SyntaxError, struct.error, IndexError, ...).
    try:
        yield
    except PictureError as error:
        told = error.message if error.message.startswith(name) else f"{name}: {error.message}"
        raise PictureError(told, error.hint) from None
    except (MemoryError, VggappsError):
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name}: too large: {error}", "scale it down before") from None
    except Exception as error:
        raise PictureError(
            f"{name}: it is damaged or cut short: {error}", "get it again, or save it anew in another program"
        ) from error


def check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    """Raises `PictureError` for too many pixels or too few."""
    width, height = image.size
    if width * height > max_pixels:
        size = f"{width}x{height} pixels, and at most {max_pixels / 1e6:g} million are read"
        raise PictureError(f"{name}: too large: {size}", "scale it down before")
    if min(width, height) < MIN_SIDE:
        raise PictureError(f"{name}: {width}x{height} pixels are too few", f"each side needs {MIN_SIDE} or more")


def _is_heif(head: bytes) -> bool:
    brands = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
    return head[4:8] == b"ftyp" and head[8:12] in brands and b"avif" not in head[:64]


def _register_heif(name: str) -> None:
    try:
        import pillow_heif
    except ImportError:
        raise PictureError(f"{name}: HEIC needs a package more", "pip install 'vggapps[heif]'") from None
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
    return "it is no picture, or of a kind that can't be read"


def size_of(source: Source) -> tuple[int, int]:
    """(height, width) in pixels of a picture as it lies in its file, which is not decoded.

    Raises:
        PictureError: the file can't be read.
    """
    with stream_of(source) as (stream, name), opened(stream, name) as image:
        return image.height, image.width
