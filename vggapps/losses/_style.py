"""Style losses: distances between the moments of two pictures' features.

The pictures may have different sizes; the result is one value per picture. There are two kinds.

``gram``, ``mean_covariance`` and ``mean_std`` are relative to the target, so that a weight means the same at any size,
layer and network: 0 for equal statistics, about 1 for a picture of zero features. They are norms, not squared norms as
in Gatys 2016. With squared errors a layer whose error is three times as large has ten times the loss, so the last
layers to be matched dominate; with norms each layer contributes until it is matched, and the same style is reached at a
clearly smaller content loss (docs/stylize.md).

``published_gram``, ``adain`` and ``mean_covariance_l1`` are losses as published.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import unknown
from vggapps.losses._moments import Moments

Normalization = Literal["gatys", "positions", "johnson", "johnson-paper", "raw", "scaled"]

# Keeps the root's gradient finite at equality, and a distance finite if both pictures have zero features.
_TINY = 1e-9
# A target's norm counts as at least this part of the picture's own. Otherwise a style that is nearly flat at one layer
# would make that layer's relative distance dominate.
_FLOOR = 0.1


def _relative(x: Tensor, target: Tensor) -> Float[Tensor, " n"]:
    """Frobenius distance over the target's norm."""
    power, target_power = (t.square().flatten(1).sum(1) for t in (x.detach(), target))
    scale = torch.maximum(target_power, _FLOOR**2 * power) + _TINY
    return ((x - target).square().flatten(1).sum(1) / scale + _TINY).sqrt()


def gram(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """‖G - A‖ / ‖A‖, G and A the Gram matrices over positions (Gatys 2016, eq. 4, made relative)."""
    return _relative(x.second, target.second)


def mean_covariance(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Mean of the covariances' and the means' relative distances.

    A Gram matrix leaves mean and variance ambiguous, which shows as drifting contrast (Risser 2017); matching them
    separately avoids that.
    """
    return (_relative(x.covariance, target.covariance) + _relative(x.mean, target.mean)) / 2


def mean_std(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Mean of the means' and the standard deviations' relative distances (AdaIN, Huang 2017, eq. 13)."""
    return (_relative(_std(x), _std(target)) + _relative(x.mean, target.mean)) / 2


def _std(m: Moments, correction: float = 1.0) -> Float[Tensor, "n c"]:
    std: Tensor = (m.covariance.diagonal(dim1=1, dim2=2) * correction).clamp_min(0).add(1e-5).sqrt()
    return std


def published_gram(
    x: Moments,
    target: Moments,
    *,
    normalize: Normalization = "gatys",
    criterion: Literal["l1", "l2"] = "l2",
) -> Float[Tensor, " n"]:
    """The published Gram losses, which differ only by constant factors, but large ones.

    With F the c × m matrix of a layer's features at its m positions, c its channels, and Σ over the c² entries:

    - ``gatys``: Σ (F Fᵀ - A Aᵀ)² / (4 c² m²) (Gatys 2016, eq. 4).
    - ``positions``: mean of the squared differences of F Fᵀ / m (Gatys' PyTorch code); 4 times ``gatys``.
    - ``johnson``: the same of F Fᵀ / (c m) (code of Johnson 2016, neural-style, BasicSR); 4 / c² times ``gatys``.
    - ``johnson-paper``: their sum (Johnson 2016, eq. 4); 4 times ``gatys``.
    - ``raw``: mean of the squared differences of F Fᵀ itself (piq); 4 m² times ``gatys``, overflows in float16.
    - ``scaled``: D² / (|D| + 1e-8), with D² the sum of the squared differences of F Fᵀ / m and |D| that of the absolute
      ones; the L1 norm of its gradient is about 1 (crowsonkb/style-transfer-pytorch).

    For maps of different sizes each is divided by its own m, and ``raw`` uses the target's.

    Args:
        x: moments of the picture being optimised.
        target: moments of the target.
        normalize: one of these names.
        criterion: ``l1`` uses absolute differences instead of squared ones (BasicSR, partial convolutions).
    """
    if normalize not in get_args(Normalization):
        raise unknown("normalisation of Gram matrices", normalize, get_args(Normalization))
    channels = x.second.shape[1]
    scale = {"johnson": 1 / channels, "johnson-paper": 1 / channels, "raw": target.positions}.get(normalize, 1.0)
    difference = ((x.second - target.second) * scale).flatten(1)
    absolute = difference.abs()
    error = absolute if criterion == "l1" else difference.square()
    if normalize == "gatys":
        return error.sum(1) / (4 * channels**2)
    if normalize == "johnson-paper":
        return error.sum(1)
    if normalize == "scaled":
        return error.sum(1) / (absolute.sum(1) + 1e-8)
    return error.mean(1)


def adain(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Mean squared difference of the means and of the standard deviations, the latter √(unbiased variance + 1e-5).

    Huang 2017 (AdaIN), eq. 13, with the squared norms of the common code (naoto0804/pytorch-AdaIN).
    """
    means: Tensor = (x.mean - target.mean).square().mean(1)
    stds = [_std(m, m.positions / max(m.positions - 1, 1)) for m in (x, target)]
    return means + (stds[0] - stds[1]).square().mean(1)


def mean_covariance_l1(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Mean absolute difference of the means and of the covariances (STROTSS, Kolkin 2019)."""
    means: Tensor = (x.mean - target.mean).abs().mean(1)
    return means + (x.covariance - target.covariance).abs().flatten(1).mean(1)
