"""Reading JPEG files that are truncated or have damaged metadata."""

from __future__ import annotations

import io
import random
from typing import BinaryIO

from PIL import Image, ImageChops, ImageStat, JpegImagePlugin

from vggapps.errors import PictureError
from vggapps.image._spliced import Part, spliced

MAGIC = b"\xff\xd8\xff"
_END = b"\xff\xd9"
_INVISIBLE = 0.2  # mean difference in levels of 255: as if a five-hundredth of the picture were grey blocks


def opened_jpeg(stream: BinaryIO) -> tuple[Image.Image, str]:
    """Open a JPEG file without decoding it; returns a note as well (may be empty).

    `Image.open` is not used: its support for several pictures in a file (MPO) and its size limit are not needed.

    Raises:
        Exception: any type, if the header is damaged.
    """
    try:
        stream.seek(0)
        return JpegImagePlugin.JpegImageFile(stream), ""
    except MemoryError:
        raise
    except Exception:  # damaged data raises anything
        image = JpegImagePlugin.JpegImageFile(_without_metadata(stream))
        return image, "its EXIF data or colour profile is damaged, and both are ignored"


def _without_metadata(stream: BinaryIO) -> BinaryIO:
    """The file without its application segments before the first scan (ITU-T T.81, B.1.1)."""
    length = stream.seek(0, io.SEEK_END)
    parts: list[Part] = [MAGIC[:2]]
    at = 2
    while True:
        stream.seek(at)
        head = stream.read(4)
        # 0xDA begins a scan; libjpeg handles a missing marker and truncated files.
        if len(head) < 4 or head[0] != 0xFF or head[1] == 0xDA:
            return spliced(stream, [*parts, (at, length)])
        end = at + 2 + int.from_bytes(head[2:], "big")
        # Application segments and comments are dropped, except Adobe's, which defines the colour transform.
        if not (0xE0 <= head[1] <= 0xEF or head[1] == 0xFE) or head[1] == 0xEE:
            parts.append((at, min(end, length)))
        at = end


def completed(stream: BinaryIO) -> BinaryIO:
    """A truncated JPEG file with its end mark, if no visible part is missing.

    libjpeg fills in missing data and does not report which. Therefore the file is decoded (at half its size) with two
    different ends: nothing, and noise. They differ where the missing bytes matter. If the mean difference is at most a
    fifth of a level of 255, only the end mark is missing, or a few blocks in the last corner, or the last refinement of
    a progressive picture.

    Raises:
        PictureError: a visible part is missing.
    """
    length = stream.seek(0, io.SEEK_END)
    # No 0xFF, which begins a marker; the leading zero turns a 0xFF at the end of the file into data.
    noise = b"\0" + random.Random(0).randbytes(4096).replace(b"\xff", b"\x5a")
    whole = spliced(stream, [(0, length), _END])
    one, other = _small(whole), _small(spliced(stream, [(0, length), noise, _END]))
    means = ImageStat.Stat(ImageChops.difference(one, other)).mean
    if sum(means) / len(means) > _INVISIBLE:
        raise PictureError("it is damaged or cut short: a visible part is missing", "get it again")
    return whole


def _small(stream: BinaryIO) -> Image.Image:
    image = JpegImagePlugin.JpegImageFile(stream)
    image.draft(None, (max(1, image.width // 2), max(1, image.height // 2)))
    image.load()
    return image
