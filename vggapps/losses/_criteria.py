"""Distances between features at the same place: the classic feature losses.

``x`` and ``y`` are maps of one layer and one size. All but ``frobenius`` and ``squared_error`` give one number a
position; their mean over positions, perhaps weighted by a mask, is the loss of the layer. Half precision is counted in
float32.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from vggapps.losses._precision import comparison, length

Map = Float[Tensor, "n c h w"]


@comparison
def l1(x: Map, y: Map) -> Float[Tensor, "n h w"]:
    """Mean absolute difference of the channels."""
    return (x - y).abs().mean(1)


@comparison
def l2(x: Map, y: Map) -> Float[Tensor, "n h w"]:
    """Mean squared difference of the channels (Johnson 2016, eq. 2)."""
    return (x - y).square().mean(1)


@comparison
def charbonnier(x: Map, y: Map, *, epsilon: float = 1e-3) -> Float[Tensor, "n h w"]:
    """Mean of √(difference² + ε²) - ε: an L1 that is smooth at 0 (Charbonnier 1994); kornia's with ε = 1."""
    return ((x - y).square() + epsilon**2).sqrt().mean(1) - epsilon


@comparison
def huber(x: Map, y: Map, *, delta: float = 1.0) -> Float[Tensor, "n h w"]:
    """Mean of Huber's function: half the square up to δ, δ (|difference| - δ/2) above."""
    distance = (x - y).abs()  # written out: the backward pass of torch's own has no forward-mode derivative
    near = distance.clamp(max=delta)
    return (near * (distance - near / 2)).mean(1)


@comparison
def cosine(x: Map, y: Map) -> Float[Tensor, "n h w"]:
    """1 - cosine of the angle between the two feature vectors; 1 where one of them is zero."""
    # As torch's, whose second derivatives at zero are no numbers.
    return 1 - (x * y).sum(1) / (length(x, 1).clamp_min(1e-8) * length(y, 1).clamp_min(1e-8))


@comparison
def frobenius(x: Map, y: Map) -> Float[Tensor, " n"]:
    """√Σ (x - y)² of each picture (BasicSR's ``fro``, which takes the root over a whole batch)."""
    return length((x - y).flatten(1), 1)


@comparison
def squared_error(x: Map, y: Map) -> Float[Tensor, " n"]:
    """½ Σ (x - y)² (Gatys 2016, eq. 1). Grows with the picture: use ``l2`` unless the paper's very number is wanted."""
    return (x - y).square().flatten(1).sum(1) / 2
