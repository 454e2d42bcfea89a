"""Colours of one picture for another, by the linear map between their colour distributions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Added to the covariances, in squared units of [0, 1]: a grey picture has no colour axes to stretch.
_EPS = 1e-5
_CHUNK = 2**20  # pixels that are held in float64 at a time


def match_colors(
    image: Float[Tensor, "1 3 h w"],
    reference: Float[Tensor, "1 3 h2 w2"],
    image_alpha: Float[Tensor, "1 1 h w"] | None = None,
    reference_alpha: Float[Tensor, "1 1 h2 w2"] | None = None,
) -> Float[Tensor, "1 3 h w"]:
    """The picture with the mean and covariance of the reference's colours; may leave [0, 1] a little.

    The symmetric map Σ_i^-½ (Σ_i^½ Σ_r Σ_i^½)^½ Σ_i^-½ of Gatys 2017 (Controlling Perceptual Factors, 5.2), in the
    form that moves colours least (optimal transport between Gaussians).

    Args:
        image: whose colours change, in [0, 1].
        reference: whose colours it gets, in [0, 1], of any size.
        image_alpha: how much each pixel of the picture counts; all alike by default.
        reference_alpha: the same for the reference.
    """
    (mean, own), (target, wanted) = _statistics(image, image_alpha), _statistics(reference, reference_alpha)
    root = _power(own, 0.5)
    inverse = _power(own, -0.5)
    transform = inverse @ _power(root @ wanted @ root, 0.5) @ inverse
    offset = (target - transform @ mean).to(image.dtype)
    return torch.addmm(offset, transform.to(image.dtype), image[0].flatten(1)).view(image.shape)


def _statistics(image: Tensor, alpha: Tensor | None) -> tuple[Float[Tensor, "3 1"], Float[Tensor, "3 3"]]:
    """Mean and covariance in float64, the latter with a little added."""
    pixels = image[0].flatten(1)
    weights = pixels.new_ones(1, 1).expand(1, pixels.shape[1]) if alpha is None else alpha[0].flatten(1)
    total, first, second = (pixels.new_zeros(shape, dtype=torch.float64) for shape in ((1, 1), (3, 1), (3, 3)))
    for p, w in zip(*(torch.split(t, _CHUNK, 1) for t in (pixels, weights)), strict=True):
        p, w = p.double(), w.double()
        weighted = p * w
        total += w.sum()
        first += weighted.sum(1, keepdim=True)
        second += weighted @ p.T
    mean = first / total
    return mean, second / total - mean @ mean.T + _EPS * torch.eye(3, dtype=torch.float64, device=image.device)


def _power(matrix: Float[Tensor, "3 3"], exponent: float) -> Float[Tensor, "3 3"]:
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = vectors * values.clamp_min(1e-12).pow(exponent) @ vectors.mT
    return power
