"""Two pictures as they are compared."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, argument
from vggapps.image._opening import Source
from vggapps.image._picture import Picture
from vggapps.image._read import open_picture
from vggapps.image._resize import resize

RESAMPLING = "bicubic, antialiased"
"""How a picture is brought to another's size: see ``vggapps.image._resize``."""


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
        b: what it is compared with.
        longer_side: scale both down to this, in pixels.
        scale_to_a: B will be brought to A's size: it is then left as it is, to be resampled once.
        names: what to call them; by default their files' names.

    Raises:
        PictureError: one can't be read.
    """
    first = open_picture(a, longer_side=longer_side, name=names[0])
    second = open_picture(b, longer_side=None if scale_to_a else longer_side, name=names[1])
    if scale_to_a and longer_side and (smaller := open_picture(second, longer_side=longer_side)).size == first.size:
        second = smaller  # else it is resampled once, from all of its pixels
    return first, second


def comparable(
    a: Picture, b: Picture, *, scale_to_a: bool = False
) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 3 h w"]]:
    """The colours of both, over white where they are transparent.

    Args:
        a: a picture.
        b: what it is compared with.
        scale_to_a: bring B to A's size, should it have another, by antialiased bicubic resampling.

    Raises:
        SettingsError: they are of different sizes.
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
    # It lies over the mean of what is seen, which is then the mean of all.
    return picture.rgb + (1 - picture.rgb.mean((2, 3), keepdim=True)) * (1 - picture.alpha)
