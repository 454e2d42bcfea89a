"""Colour transfer by the linear map between two colour distributions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_EPS = 1e-5  # added to the covariances, which are singular for grey pictures; colours are in [0, 1]
_CHUNK = 2**20  # pixels in float64 at a time


def match_colors(
    image: Float[Tensor, "1 3 h w"],
    reference: Float[Tensor, "1 3 h2 w2"],
    image_alpha: Float[Tensor, "1 1 h w"] | None = None,
    reference_alpha: Float[Tensor, "1 1 h2 w2"] | None = None,
) -> Float[Tensor, "1 3 h w"]:
    """The picture with the mean and covariance of the reference's colours; values may slightly exceed [0, 1].

    The symmetric map Σ_i^-½ (Σ_i^½ Σ_r Σ_i^½)^½ Σ_i^-½ of Gatys 2017 (Controlling Perceptual Factors, 5.2), the
    optimal transport between Gaussians, which changes colours least.

    Args:
        image: the picture to recolour, in [0, 1].
        reference: the picture with the target colours, in [0, 1], of any size.
        image_alpha: weight of each pixel of the picture; equal by default.
        reference_alpha: weight of each pixel of the reference; equal by default.
    """
    mean, covariance = _statistics(image, image_alpha)
    target_mean, target_covariance = _statistics(reference, reference_alpha)
    root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
    transform = inverse @ _power(root @ target_covariance @ root, 0.5) @ inverse
    offset = (target_mean - transform @ mean).to(image.dtype)
    return torch.addmm(offset, transform.to(image.dtype), image[0].flatten(1)).view(image.shape)


def _statistics(image: Tensor, alpha: Tensor | None) -> tuple[Float[Tensor, "3 1"], Float[Tensor, "3 3"]]:
    """Mean and regularised covariance in float64."""
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
