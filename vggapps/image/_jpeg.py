"""JPEG files that end too early, and those whose surroundings are damaged."""

from __future__ import annotations

import io
import random
from typing import BinaryIO

from PIL import Image, ImageChops, ImageStat, JpegImagePlugin

from vggapps.errors import PictureError
from vggapps.image._spliced import Part, spliced

MAGIC = b"\xff\xd8\xff"
_END = b"\xff\xd9"
_UNSEEN = 0.2  # levels of 255, on average over the picture: grey blocks in place of a five-hundredth of it


def opened_jpeg(stream: BinaryIO) -> tuple[Image.Image, str]:
    """A JPEG file, not yet decoded, and a note (empty if there is nothing to say).

    Not by `Image.open`: a view of a second picture behind the first one (MPO) is not needed, nor is its limit.

    Raises:
        Exception: anything, if the header is damaged.
    """
    try:
        stream.seek(0)
        return JpegImagePlugin.JpegImageFile(stream), ""
    except MemoryError:
        raise
    except Exception:  # damage raises anything
        image = JpegImagePlugin.JpegImageFile(_bare(stream))
        return image, "its EXIF data or colour profile is damaged, and both are left out"


def _bare(stream: BinaryIO) -> BinaryIO:
    """The same file without what applications have put into it, up to the first scan (ITU-T T.81, B.1.1)."""
    length = stream.seek(0, io.SEEK_END)
    parts: list[Part] = [MAGIC[:2]]
    at = 2
    while True:
        stream.seek(at)
        head = stream.read(4)
        # 0xDA begins a scan; with fewer bytes, or no marker, the rest is for libjpeg to judge.
        if len(head) < 4 or head[0] != 0xFF or head[1] == 0xDA:
            return spliced(stream, [*parts, (at, length)])
        end = at + 2 + int.from_bytes(head[2:], "big")
        # Application segments and comments go, but Adobe's, which tells how colours are coded.
        if not (0xE0 <= head[1] <= 0xEF or head[1] == 0xFE) or head[1] == 0xEE:
            parts.append((at, min(end, length)))
        at = end


def completed(stream: BinaryIO) -> BinaryIO:
    """A JPEG file without its end, ended: if nothing that can be seen is missing.

    libjpeg makes up what it lacks, and does not say which part that is. So the file is decoded (at half its size)
    with two different ends: nothing, and noise. What differs is what the missing bytes would have decided. If that is
    a fifth of a level of 255 on average over the picture at most, it is complete to the eye: the end mark alone is
    missing, or a few blocks in the last corner, or a progressive picture's last refinement.

    Raises:
        PictureError: a part that can be seen is missing.
    """
    length = stream.seek(0, io.SEEK_END)
    # No 0xFF, which begins a marker; the zero in front makes data of one that the file may end with.
    noise = b"\0" + random.Random(0).randbytes(4096).replace(b"\xff", b"\x5a")
    whole = spliced(stream, [(0, length), _END])
    one, other = _small(whole), _small(spliced(stream, [(0, length), noise, _END]))
    means = ImageStat.Stat(ImageChops.difference(one, other)).mean
    if sum(means) / len(means) > _UNSEEN:
        raise PictureError("it is damaged or cut short: a part that can be seen is missing", "get it again")
    return whole


def _small(stream: BinaryIO) -> Image.Image:
    image = JpegImagePlugin.JpegImageFile(stream)
    image.draft(None, (max(1, image.width // 2), max(1, image.height // 2)))
    image.load()
    return image
