"""Maps laid over their pictures: heat, and where two pictures differ."""

from __future__ import annotations

import torch
from jaxtyping import Float
from kornia.color import rgb_to_grayscale
from torch import Tensor

from vggapps.figures._colors import colors_of


def overlay(
    image: Float[Tensor, "1 3 h w"], heat: Float[Tensor, "1 1 h w"], strength: float = 0.5, *, signed: bool = False
) -> Float[Tensor, "1 3 h w"]:
    """The picture under the colours of a heat map; where it is cold, the picture as it is.

    Opacity grows with the heat. For the colours see :func:`~vggapps.figures._colors.colors_of`.

    Args:
        image: RGB in [0, 1].
        heat: in [0, 1], as ``heat`` gives it; in [-1, 1] where it is signed.
        strength: opacity of what is hottest, in [0, 1].
        signed: whether the map is.
    """
    colours = colors_of(heat[0, 0], signed=signed).to(image)
    return torch.lerp(image, colours, (strength * heat.abs()).to(image.dtype))


def difference_map(
    image: Float[Tensor, "1 3 h w"], shares: Float[Tensor, "1 1 h w"]
) -> tuple[Float[Tensor, "1 3 h w"], float]:
    """Where a picture differs from another: from dark blue over purple and orange to yellow, over it in grey.

    Args:
        image: in [0, 1].
        shares: what each place has of a distance, as losses give it for ``map=True``.

    Returns:
        The drawing, and the value of its yellow, the greatest there is.
    """
    shares = shares.detach()[0, 0]
    peak = float(shares.max())
    heat = shares / max(peak, torch.finfo(shares.dtype).tiny)
    # Where little differs the picture shows; where much does, the colour does.
    return torch.lerp(0.6 * rgb_to_grayscale(image), colors_of(heat).to(image), heat.sqrt()), peak
