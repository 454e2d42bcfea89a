"""Colours of one picture for another, by the linear map between their colour distributions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Added to the covariances, in squared units of [0, 1]: a grey picture has no colour axes to stretch.
_EPS = 1e-5


def match_colors(image: Float[Tensor, "1 3 h w"], reference: Float[Tensor, "1 3 h2 w2"]) -> Float[Tensor, "1 3 h w"]:
    """The picture with the mean and covariance of the reference's colours; may leave [0, 1] a little.

    The symmetric map Σ_i^-½ (Σ_i^½ Σ_r Σ_i^½)^½ Σ_i^-½ of Gatys 2017 (Controlling Perceptual Factors, 5.2), in the
    form that moves colours least (optimal transport between Gaussians).
    """
    pixels, other = (t.flatten(2)[0].double() for t in (image, reference))
    mean, target = pixels.mean(1, keepdim=True), other.mean(1, keepdim=True)
    own, wanted = (
        torch.cov(t, correction=0) + _EPS * torch.eye(3, dtype=t.dtype, device=t.device) for t in (pixels, other)
    )
    root = _power(own, 0.5)
    inverse = _power(own, -0.5)
    transform = inverse @ _power(root @ wanted @ root, 0.5) @ inverse
    return (transform @ (pixels - mean) + target).view(image.shape).to(image.dtype)


def _power(matrix: Float[Tensor, "3 3"], exponent: float) -> Float[Tensor, "3 3"]:
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = vectors * values.clamp_min(1e-12).pow(exponent) @ vectors.mT
    return power
