"""Small random motions, so that a painter learns to paint the same thing in the same way wherever it is.

The motions of Wang, Yang, Zhang, Liu, Consistent Video Style Transfer via Relaxation and Regularization, IEEE TIP 2020
(ReReVST), section IV: smooth displacements, a shift of the whole, and noise. They replace films for the training.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

_GRID = 100  # pixels between the points that move independently
_SPREAD, _SHIFT = 8.0, 10.0  # standard deviation of their displacements, and the largest shift of the whole, in pixels


def random_motion(count: int, size: tuple[int, int]) -> Float[Tensor, "n 2 h w"]:
    """Displacements (x, y) in pixels: where each pixel of a moved picture was before, at random."""
    height, width = size
    points = torch.randn(count, 2, math.ceil(height / _GRID) + 1, math.ceil(width / _GRID) + 1) * _SPREAD
    smooth = F.interpolate(points, (height, width), mode="bicubic", align_corners=True)
    return smooth + torch.empty(count, 2, 1, 1).uniform_(-_SHIFT, _SHIFT)


def moved(pictures: Float[Tensor, "n c h w"], motion: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n c h w"]:
    """Pictures after a motion, bilinear; what comes from outside repeats the border."""
    height, width = pictures.shape[2:]
    where = torch.stack(_sources(motion), 3) * torch.tensor([2 / (width - 1), 2 / (height - 1)]).to(motion) - 1
    return F.grid_sample(pictures, where, mode="bilinear", padding_mode="border", align_corners=True)


def known(motion: Float[Tensor, "n 2 h w"]) -> Bool[Tensor, "n 1 h w"]:
    """The pixels of a moved picture that come from inside the picture."""
    height, width = motion.shape[2:]
    x, y = _sources(motion)
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))[:, None]


def _sources(motion: Tensor) -> tuple[Tensor, Tensor]:
    """The columns and rows from which pixels come."""
    height, width = motion.shape[2:]
    columns = torch.arange(width, device=motion.device)
    rows = torch.arange(height, device=motion.device)[:, None]
    return columns + motion[:, 0], rows + motion[:, 1]
