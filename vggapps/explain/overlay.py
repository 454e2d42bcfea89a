"""A heat map laid over its picture."""

from __future__ import annotations

import torch
from jaxtyping import Float
from kornia.color import ColorMap
from torch import Tensor


def overlay(
    image: Float[Tensor, "1 3 h w"], heat: Float[Tensor, "1 1 h w"], strength: float = 0.5
) -> Float[Tensor, "1 3 h w"]:
    """The picture under the colours of a heat map, from dark blue over purple and orange to yellow.

    The colours are plasma's, which are even to the eye and ordered in grey, too; jet's, which Grad-CAM's figures
    have, are neither. Opacity grows with the heat: what is cold shows the picture as it is.

    Args:
        image: RGB in [0, 1].
        heat: in [0, 1], as :func:`vggapps.explain.cam.heat` gives it.
        strength: opacity of what is hottest, in [0, 1].
    """
    plasma = ColorMap("plasma", 256, device=image.device, dtype=image.dtype).colors
    colours = plasma[:, (heat[0, 0] * 255).round().long()][None]
    return torch.lerp(image, colours, (strength * heat).to(image.dtype))
