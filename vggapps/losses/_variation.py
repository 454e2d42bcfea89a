"""Total variation: how rough a picture is."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import unknown
from vggapps.losses._precision import length

Variation = Literal["squared", "l1", "isotropic"]


def total_variation(image: Float[Tensor, "n c h w"], kind: Variation = "squared") -> Float[Tensor, " n"]:
    """How much neighbouring pixels differ: one number a picture in [0, 1], a mean that means the same at any size.

    With d the difference to the pixel below and a to that on the right:

    - ``squared``: mean d² + mean a². Smooths grain without flattening edges to cartoons. R_Vβ with β = 2 of Mahendran
      and Vedaldi 2015 (1412.0035), each axis divided by its pairs.
    - ``l1``: mean abs d + mean abs a, which keeps steps along the axes. The code of partial-convolution inpainting
      (1804.07723), and kornia's ``reduction="mean"``. kornia's sum, which is neural-style-pt's, is c·h·(h - 1) times
      this for a square picture; for others no factor leads there: a sum counts the axis with more pairs more.
    - ``isotropic``: mean √(d² + a²) over all pixels of a channel, where what lies beyond the border is no difference:
      Rudin, Osher and Fatemi 1992 as discretised by Chambolle 2004. Like ``l1``, and no direction is cheaper. Its
      gradient is 0 where a picture is flat.

    An axis of one pixel has no neighbours and adds nothing. Half precision is counted in float32.

    Raises:
        SettingsError: there is no such kind.
    """
    image = image if image.dtype.itemsize >= 4 else image.float()
    down, across = image[:, :, 1:] - image[:, :, :-1], image[:, :, :, 1:] - image[:, :, :, :-1]
    match kind:
        case "squared":
            return _mean(down.square()) + _mean(across.square())
        case "l1":
            return _mean(down.abs()) + _mean(across.abs())
        case "isotropic":
            both = torch.stack([F.pad(down, (0, 0, 0, 1)), F.pad(across, (0, 1))])
            return _mean(length(both, 0))
    raise unknown("variation", kind, get_args(Variation))


def _mean(numbers: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    flat = numbers.flatten(1)
    return flat.sum(1) / max(flat.shape[1], 1)
