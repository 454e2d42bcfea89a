"""Two pictures as they are compared."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, argument
from vggapps.image._picture import Picture
from vggapps.image._resize import resize

RESAMPLING = "bicubic, antialiased"
"""How a picture is brought to another's size: see ``vggapps.image._resize``."""


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
