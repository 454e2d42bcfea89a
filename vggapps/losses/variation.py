"""Total variation: how rough a picture is."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def total_variation(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, ""]:
    """Mean squared difference of neighbouring pixels, down and across, for a picture in [0, 1].

    Squared and a mean: smooths grain without flattening edges to cartoons, and means the same at any size.
    """
    down = (image[:, :, 1:] - image[:, :, :-1]).square().mean()
    across = (image[:, :, :, 1:] - image[:, :, :, :-1]).square().mean()
    return down + across
