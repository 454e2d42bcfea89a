"""Opening two pictures to compare them."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, argument
from vggapps.image._opening import Source
from vggapps.image._picture import Picture
from vggapps.image._read import open_picture
from vggapps.image._resize import resize

RESAMPLING = "bicubic, antialiased"
"""How a picture is scaled to the size of another: see ``vggapps.image._resize``."""


def open_pair(
    a: Source,
    b: Source,
    *,
    longer_side: int | None = None,
    scale_to_a: bool = False,
    names: tuple[str | None, str | None] = (None, None),
) -> tuple[Picture, Picture]:
    """Open two pictures for :func:`comparable`.

    Args:
        a: a picture, see :func:`~vggapps.image.open_picture`.
        b: the picture to compare it with.
        longer_side: scale both down to this longer side in pixels.
        scale_to_a: B will be scaled to A's size: it keeps its own here, so that it is resampled only once.
        names: names of the pictures; by default their file names.

    Raises:
        PictureError: a picture can't be read.
    """
    first = open_picture(a, longer_side=longer_side, name=names[0])
    second = open_picture(b, longer_side=None if scale_to_a else longer_side, name=names[1])
    if scale_to_a and longer_side and (smaller := open_picture(second, longer_side=longer_side)).size == first.size:
        second = smaller  # else B is resampled only once, from all of its pixels
    return first, second


def comparable(
    a: Picture, b: Picture, *, scale_to_a: bool = False
) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 3 h w"]]:
    """The colours of two pictures of one size, composited over white.

    Args:
        a: a picture.
        b: the picture to compare it with.
        scale_to_a: scale B to A's size by antialiased bicubic resampling.

    Raises:
        SettingsError: the sizes differ, and `scale_to_a` is false.
    """
    sizes = [f"{picture.size[1]}x{picture.size[0]}" for picture in (a, b)]
    if a.size != b.size and not scale_to_a:
        raise SettingsError(
            f"{a.name} has {sizes[0]} pixels, and {b.name} {sizes[1]}",
            f"scale B to the size of A: {argument('scale_to_a', True)}",
        )
    return _over_white(a), resize(_over_white(b), a.size)


def _over_white(picture: Picture) -> Float[Tensor, "1 3 h w"]:
    if picture.alpha is None:
        return picture.rgb
    # It was composited over the mean of its visible pixels, which is now the mean of all.
    return picture.rgb + (1 - picture.rgb.mean((2, 3), keepdim=True)) * (1 - picture.alpha)
