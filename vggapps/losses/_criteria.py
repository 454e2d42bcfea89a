"""Distances between features at the same position: the classic feature losses.

``x`` and ``y`` are maps of one layer and one size. All but ``frobenius`` and ``squared_error`` give one value per
position; their mean, perhaps weighted by a mask, is the loss of the layer. Half precision is computed in float32.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from vggapps.losses._precision import in_float32, length

Map = Float[Tensor, "n c h w"]


@in_float32
def l1(x: Map, y: Map) -> Float[Tensor, "n h w"]:
    """Mean absolute difference of the channels."""
    return (x - y).abs().mean(1)


@in_float32
def l2(x: Map, y: Map) -> Float[Tensor, "n h w"]:
    """Mean squared difference of the channels (Johnson 2016, eq. 2)."""
    return (x - y).square().mean(1)


@in_float32
def charbonnier(x: Map, y: Map, *, epsilon: float = 1e-3) -> Float[Tensor, "n h w"]:
    """Mean of √(difference² + ε²) - ε: an L1 that is smooth at 0 (Charbonnier 1994); kornia's with ε = 1."""
    return ((x - y).square() + epsilon**2).sqrt().mean(1) - epsilon


@in_float32
def huber(x: Map, y: Map, *, delta: float = 1.0) -> Float[Tensor, "n h w"]:
    """Mean of Huber's function: half the square up to δ, δ (|difference| - δ/2) above."""
    distance = (x - y).abs()  # F.huber_loss has no forward-mode derivative of its backward pass
    near = distance.clamp(max=delta)
    return (near * (distance - near / 2)).mean(1)


@in_float32
def cosine(x: Map, y: Map) -> Float[Tensor, "n h w"]:
    """1 - cosine of the angle between the two feature vectors; 1 where one of them is zero."""
    # F.cosine_similarity has NaN second derivatives at zero.
    return 1 - (x * y).sum(1) / (length(x, 1).clamp_min(1e-8) * length(y, 1).clamp_min(1e-8))


@in_float32
def frobenius(x: Map, y: Map) -> Float[Tensor, " n"]:
    """√Σ (x - y)² of each picture (``fro`` of BasicSR takes the root over the whole batch)."""
    return length((x - y).flatten(1), 1)


@in_float32
def squared_error(x: Map, y: Map) -> Float[Tensor, " n"]:
    """½ Σ (x - y)² (Gatys 2016, eq. 1). It grows with the picture: use ``l2`` unless you need the paper's value."""
    return (x - y).square().flatten(1).sum(1) / 2
