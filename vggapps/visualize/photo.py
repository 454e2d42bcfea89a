"""The photo that a dream or an inversion is made of."""

from __future__ import annotations

import logging
import math
from os import PathLike

from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.image import Picture, open_picture, resize, scaled

log = logging.getLogger(__name__)

Source = str | PathLike[str] | Picture | Tensor


def photo(source: Source, longer_side: int) -> Float[Tensor, "1 3 h w"]:
    """RGB in [0, 1] of a file, a picture or a tensor, with that longer side.

    Raises:
        PictureError: the file can't be read.
        SettingsError: a tensor that is no picture.
    """
    if isinstance(source, Tensor):
        if source.ndim != 4 or source.shape[:2] != (1, 3) or not source.is_floating_point():
            raise SettingsError(
                f"a picture must be a 1 x 3 x H x W float tensor, this is {tuple(source.shape)} {source.dtype}",
                "RGB in [0, 1]; vggapps.image.open_picture makes one from a file",
            )
        rgb = source.float()
    else:
        picture = source if isinstance(source, Picture) else open_picture(source)
        for note in picture.notes:
            log.warning("%s: %s", picture.name, note)
        rgb = picture.rgb
    return resize(rgb, scaled(rgb.shape[2], rgb.shape[3], longer_side))


def check_width(size: tuple[int, int], stride: int) -> None:
    """Whether a layer sees anything of a picture of (height, width), which it looks at every so many pixels.

    Raises:
        SettingsError: it does not.
    """
    if min(size) < stride:
        raise SettingsError(
            f"{size[1]} x {size[0]} px is too narrow: the deepest layer looks at every {stride}th pixel",
            f"use a --size of at least {math.ceil(stride * max(size) / min(size))}",
        )
