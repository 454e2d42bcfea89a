"""The photo that a dream or an inversion is made of."""

from __future__ import annotations

import math
from os import PathLike

from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, argument
from vggapps.image import Picture, open_picture, resize, rgb_of, scaled
from vggapps.vgg._moving import in_graph

Source = str | PathLike[str] | Picture | Tensor


def photo(source: Source, longer_side: int) -> Float[Tensor, "1 3 h w"]:
    """RGB in [0, 1] of a file, a picture or a tensor, with that longer side.

    Raises:
        PictureError: the file can't be read.
        SettingsError: a tensor that is no picture.
    """
    # More would be scaled away at once.
    rgb = rgb_of(open_picture(source, at_least=2 * longer_side) if isinstance(source, str | PathLike) else source)
    rgb = in_graph(rgb)
    return resize(rgb, scaled(rgb.shape[2], rgb.shape[3], longer_side))


def check_width(size: tuple[int, int], stride: int) -> None:
    """Whether a layer sees anything of a picture of (height, width), which it looks at every so many pixels.

    Raises:
        SettingsError: it does not.
    """
    if min(size) < stride:
        raise SettingsError(
            f"{size[1]} x {size[0]} px is too narrow: the deepest layer looks at every {stride}th pixel",
            f"use a {argument('size')} of at least {math.ceil(stride * max(size) / min(size))}",
        )
