"""Reading pictures for training: 8-bit RGB, quickly."""

from __future__ import annotations

import math

from PIL import Image

from vggapps.datasets._reading import LONGEST, check_strip
from vggapps.image import on_white, open_picture
from vggapps.image._depth import layout_of
from vggapps.image._light import coding_of
from vggapps.image._opening import limit, opened, orientation, picture_errors, stream_of
from vggapps.image._smaller import TargetSize, decoded
from vggapps.training._members import Member


def read_rgb(file: str | Member, at_least: int | None = None) -> Image.Image:
    """Read a picture as an 8-bit RGB image, upright, in sRGB, transparency composited on white.

    The pixels are those of ``on_white(open_picture(path, at_least=at_least))``, which the classifier uses. Most
    pictures are 8-bit sRGB files already, which Pillow decodes without a detour by floating point: six times as fast.

    Args:
        file: its path, or a member of a tar file.
        at_least: lower bound in pixels of the shorter side to which large pictures may be scaled down.

    Raises:
        PictureError: it can't be read, or is too long and narrow.
        OutOfMemoryError: there is not enough memory to read it.
    """
    target, name = TargetSize(at_least=at_least), str(file)
    source = file.read() if isinstance(file, Member) else file
    with stream_of(source, name) as (stream, _), opened(stream, name) as found, picture_errors(name):
        if _is_plain(found.image):
            allowed = target.divisor(*found.image.size)
            image, fraction, _ = decoded(found.image, stream, allowed, 1)
            if allowed < 2 * fraction:  # else it must be divided further
                return image.convert("RGB")
    picture = open_picture(source, at_least=at_least, name=name)
    check_strip(picture, whole=False)
    return on_white(picture)


def _is_plain(image: Image.Image) -> bool:
    """Whether the samples of a picture that is not yet decoded are its sRGB pixels, and its size is usual."""
    short, long = sorted(image.size)
    return (
        image.format in ("JPEG", "PNG", "WEBP")
        and image.mode in ("L", "RGB")
        and long <= short * LONGEST
        and math.prod(image.size) <= limit()
        and layout_of(image).bits == 8
        and not image.has_transparency_data
        and "icc_profile" not in image.info
        and coding_of(image.info)[0] is None
        and orientation(image) == 1
    )
