"""A heat map laid over its picture."""

from __future__ import annotations

import torch
from jaxtyping import Float
from kornia.color import ColorMap
from torch import Tensor


def overlay(
    image: Float[Tensor, "1 3 h w"], heat: Float[Tensor, "1 1 h w"], strength: float = 0.5, *, signed: bool = False
) -> Float[Tensor, "1 3 h w"]:
    """The picture under the colours of a heat map; where it is cold, the picture as it is.

    Opacity grows with the heat. The colours are plasma's, from dark blue over purple and orange to yellow, which are
    even to the eye and ordered in grey, too; jet's, which Grad-CAM's figures have, are neither. A signed map is red
    where it is positive and blue where it is negative.

    Args:
        image: RGB in [0, 1].
        heat: in [0, 1], as ``heat`` gives it; in [-1, 1] where it is signed.
        strength: opacity of what is hottest, in [0, 1].
        signed: whether the map is.
    """
    level = (heat + 1) / 2 if signed else heat
    table = ColorMap("seismic" if signed else "plasma", 256, device=image.device, dtype=image.dtype).colors
    colours = table[:, (level[0, 0] * 255).round().long()][None]
    return torch.lerp(image, colours, (strength * heat.abs()).to(image.dtype))
