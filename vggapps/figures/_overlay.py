"""A heat map laid over its picture."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.figures._colors import colors_of


def overlay(
    image: Float[Tensor, "1 3 h w"], heat: Float[Tensor, "1 1 h w"], strength: float = 0.5, *, signed: bool = False
) -> Float[Tensor, "1 3 h w"]:
    """The picture under the colours of a heat map; where it is cold, the picture as it is.

    Opacity grows with the heat. For the colours see :func:`~vggapps.figures._colors.colors_of`.

    Args:
        image: RGB in [0, 1].
        heat: in [0, 1], as :func:`vggapps.explanation._cam.heat` gives it; in [-1, 1] where it is signed.
        strength: opacity of what is hottest, in [0, 1].
        signed: whether the map is.
    """
    colours = colors_of(heat[0, 0], signed=signed).to(image)
    return torch.lerp(image, colours, (strength * heat.abs()).to(image.dtype))
