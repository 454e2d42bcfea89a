"""A small network with VGG-19's layers, losses on it, and pictures: what tests of losses need to be quick."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vggapps.losses import PerceptualLoss
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan

D = torch.float64
NARROW = Plan("narrow", "narrow", ((4, 4), (8, 8), (8,) * 4, (16,) * 4, (16,) * 4))


def network(seed: int = 0, **options: Any) -> VGG:
    """Frozen, float64."""
    return initialize(VGG(NARROW, head="none", **options), seed=seed).double().freeze()


def perceptual(layers: Any = "relu3_3", criterion: Any = None, **options: Any) -> PerceptualLoss:
    """On that network."""
    return PerceptualLoss(layers, **{"backbone": network(), "criterion": criterion} | options)


def pictures(seed: int, n: int = 2, height: int = 37, width: int = 46) -> Tensor:
    """Noise in [0, 1], with odd borders."""
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=D)
