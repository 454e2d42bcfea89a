"""Distances between the moments of two pictures' features: what they are made of, wherever it lies.

They compare pictures of different sizes; one number a picture comes back. There are two kinds.

``gram``, ``mean_covariance`` and ``mean_std`` are relative to the target, so that their weight means the same at any
size, layer and network: 0 for equal statistics, about 1 for a picture without any. They are norms, not squared norms
as in Gatys 2016. A squared error cares ten times as much for the layer that is worst by a factor of three, so the last
layers to be matched take all the attention; with norms each layer keeps pulling until it is matched, and the same
style is reached at a clearly smaller loss of content (docs/stylize.md).

``published_gram``, ``adain`` and ``mean_covariance_l1`` are others' losses as they have published them.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import unknown
from vggapps.losses._moments import Moments

Normalization = Literal["gatys", "positions", "johnson", "johnson-paper", "raw", "scaled"]

# Keeps the root's gradient finite at equality, and a distance finite where neither picture has features.
_TINY = 1e-9
# A style that is nearly flat at some layer would make that layer's relative distance huge, and all others nothing: a
# target's norm counts as at least this part of the picture's own.
_FLOOR = 0.1


def _relative(x: Tensor, target: Tensor) -> Float[Tensor, " n"]:
    """Frobenius distance over the target's norm, one number a picture."""
    own, wanted = (t.square().flatten(1).sum(1) for t in (x.detach(), target))
    scale = torch.maximum(wanted, _FLOOR**2 * own) + _TINY
    return ((x - target).square().flatten(1).sum(1) / scale + _TINY).sqrt()


def gram(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """‖G - A‖ / ‖A‖, G and A the Gram matrices over positions (Gatys 2016, eq. 4, made relative)."""
    return _relative(x.second, target.second)


def mean_covariance(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Mean of the covariances' and the means' relative distances.

    A Gram matrix leaves mean and variance ambiguous, which shows as drifting contrast (Risser 2017); matching both
    apart removes that.
    """
    return (_relative(x.covariance, target.covariance) + _relative(x.mean, target.mean)) / 2


def mean_std(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Mean of the means' and the standard deviations' relative distances (AdaIN, Huang 2017, eq. 13)."""
    stds = [m.covariance.diagonal(dim1=1, dim2=2).clamp_min(0).add(1e-5).sqrt() for m in (x, target)]
    return (_relative(stds[0], stds[1]) + _relative(x.mean, target.mean)) / 2


def published_gram(
    x: Moments,
    target: Moments,
    *,
    normalize: Normalization = "gatys",
    criterion: Literal["l1", "l2"] = "l2",
) -> Float[Tensor, " n"]:
    """The Gram losses in use, which differ by constants only, but by large ones.

    With F the c × m matrix of a layer's features at its m positions, c its channels, and Σ over the c² entries:

    - ``gatys``: Σ (F Fᵀ - A Aᵀ)² / (4 c² m²) (Gatys 2016, eq. 4).
    - ``positions``: mean of the squared differences of F Fᵀ / m (Gatys' PyTorch code); 4 times ``gatys``.
    - ``johnson``: the same of F Fᵀ / (c m) (code of Johnson 2016, neural-style, BasicSR); 4 / c² times ``gatys``.
    - ``johnson-paper``: their sum (Johnson 2016, eq. 4); 4 times ``gatys``.
    - ``raw``: the mean of those of F Fᵀ itself (piq); 4 m² times ``gatys``, overflows in float16.
    - ``scaled``: D² / (|D| + 1e-8), D² the sum of the squared differences of F Fᵀ / m and |D| that of the absolute
      ones; its gradient's L1 norm is about 1 (crowsonkb/style-transfer-pytorch).

    For maps of different sizes each is divided by its own m, and ``raw`` takes the target's.

    Args:
        x: moments of the picture being optimised.
        target: moments of the target.
        normalize: one of these names.
        criterion: ``l1`` takes absolute differences in place of squared ones (BasicSR, partial convolutions).
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
    """Mean squared difference of the means and of the deviations, the latter √(unbiased variance + 1e-5).

    Huang 2017 (AdaIN), eq. 13, with the squared norms of the code in use (naoto0804/pytorch-AdaIN).
    """
    means: Tensor = (x.mean - target.mean).square().mean(1)
    stds = [
        (m.covariance.diagonal(dim1=1, dim2=2) * (m.positions / max(m.positions - 1, 1))).clamp_min(0).add(1e-5).sqrt()
        for m in (x, target)
    ]
    return means + (stds[0] - stds[1]).square().mean(1)


def mean_covariance_l1(x: Moments, target: Moments) -> Float[Tensor, " n"]:
    """Mean absolute difference of the means and of the covariances (STROTSS, Kolkin 2019)."""
    means: Tensor = (x.mean - target.mean).abs().mean(1)
    return means + (x.covariance - target.covariance).abs().flatten(1).mean(1)
