"""Numbers as colours."""

from __future__ import annotations

from jaxtyping import Float
from kornia.color import ColorMap
from torch import Tensor


def colors_of(level: Float[Tensor, "h w"], *, signed: bool = False) -> Float[Tensor, "1 3 h w"]:
    """The colours of a map: plasma's, from dark blue over purple and orange to yellow, for levels from 0 to 1.

    They are even to the eye and ordered in grey, too; jet's, which Grad-CAM's figures have, are neither. Those of a
    signed map, for levels from -1 to 1, are red where it is positive and blue where it is negative (``seismic``).

    Args:
        level: of each position.
        signed: whether it can be negative.
    """
    share = (level + 1) / 2 if signed else level
    table: Tensor = ColorMap("seismic" if signed else "plasma", 256, device=level.device, dtype=level.dtype).colors
    return table[:, (share * 255).round().long()][None]
