"""JPEG files that end too early."""

from __future__ import annotations

import io
import random
from typing import BinaryIO

from PIL import Image, ImageChops, ImageStat, JpegImagePlugin

from vggapps.errors import PictureError
from vggapps.image.spliced import spliced

_END = b"\xff\xd9"
_UNSEEN = 0.2  # levels of 255, on average over the picture: grey blocks in place of a five-hundredth of it


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
