"""Two pictures as they are compared."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.image.picture import Picture


def comparable(a: Picture, b: Picture) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 3 h w"]]:
    """The colours of both, over white where they are transparent.

    Raises:
        SettingsError: they are of different sizes.
    """
    sizes = [f"{picture.size[1]}x{picture.size[0]}" for picture in (a, b)]
    if sizes[0] != sizes[1]:
        raise SettingsError(
            f"{a.name} has {sizes[0]} pixels, and {b.name} {sizes[1]}",
            "scale one to the other's size, or both by --size",
        )
    return _over_white(a), _over_white(b)


def _over_white(picture: Picture) -> Float[Tensor, "1 3 h w"]:
    if picture.alpha is None:
        return picture.rgb
    # It lies over the mean of what is seen, which is then the mean of all.
    return picture.rgb + (1 - picture.rgb.mean((2, 3), keepdim=True)) * (1 - picture.alpha)
