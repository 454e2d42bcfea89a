"""Total variation, a measure of a picture's roughness."""

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
    """The differences of neighbouring pixels: one value per picture, a mean that does not depend on the size.

    With d the difference to the pixel below and a to that on the right:

    - ``squared``: mean d² + mean a². It smooths grain and keeps edges soft. R_Vβ with β = 2 of Mahendran and Vedaldi
      2015 (1412.0035), each axis divided by its number of pairs.
    - ``l1``: mean abs d + mean abs a, which preserves steps along the axes, as in the code of partial-convolution
      inpainting (1804.07723) and kornia's ``reduction="mean"``. The sum of kornia and neural-style-pt is c·h·(h - 1)
      times this for square pictures only: a sum gives more weight to the axis with more pairs.
    - ``isotropic``: mean √(d² + a²) over all pixels of a channel, with zero differences at the border: Rudin, Osher and
      Fatemi 1992 as discretised by Chambolle 2004. Like ``l1``, but the same in all directions. Its gradient is 0 where
      a picture is flat.

    An axis of one pixel adds nothing. Half precision is computed in float32.

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
