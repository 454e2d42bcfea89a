"""Contextual losses: the similarity of each feature to all others of the picture.

``x`` is the picture being optimised and ``y`` the target: maps of one layer, of equal batch size. The result is one
value per picture, with gradients to both. The matrices of all pairs of positions are computed in strips of rows
(:func:`strips`), and features near zero are treated as in :func:`unit`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.losses._distribution import positions, strips, unit
from vggapps.losses._precision import in_float32

# Mean cosine distances below this are rounding errors: all features of the picture have the same direction.
_SAME = 1e-6


@in_float32
def contextual(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h2 w2"], *, bandwidth: float = 0.5, epsilon: float = 1e-5
) -> Float[Tensor, " n"]:
    """Contextual loss (Mechrez 2018, arXiv 1803.02077), as in the authors' TensorFlow code.

    Each position of x distributes a weight of 1 over the target's, by exp(-d / h (min d + ε)) with the halved cosine
    distance d; the loss is -log of the mean, over the target's positions, of the largest weight each one gets. Sizes
    may differ.

    Features are centred on the target's channel means, of each picture rather than of the whole batch as in the
    authors' code, so that a picture's loss does not depend on the rest of the batch. contextual_loss_pytorch uses the
    unhalved cosine distance and -log(CX + 1e-5); the authors' own PyTorch file uses Euclidean distances and h = 1.

    Args:
        bandwidth: h, 0.1 to 0.5 in the paper. Smaller values match fewer positions.
        epsilon: keeps the ratio to the smallest distance finite.
    """
    mean = y.mean((2, 3), keepdim=True)
    return _contextual(x - mean, y - mean, bandwidth, epsilon)


@in_float32
def cobi(
    x: Float[Tensor, "n c h w"],
    y: Float[Tensor, "n c h2 w2"],
    *,
    bandwidth: float = 0.5,
    spatial_weight: float = 0.1,
    epsilon: float = 1e-5,
    grid: float = 1.0,
) -> Float[Tensor, " n"]:
    """Contextual bilateral loss, CoBi (Zhang 2019, arXiv 1905.05169): contextual, with a preference for near positions.

    The weights mix those by features with those by squared distance in the picture, both as in ``contextual``. Sizes
    may differ: each picture has its own grid of rows k / height and columns k / width.

    The paper adds up the distances; the authors' code mixes weights as here, with epsilon 1e-3 and grid 255.

    Args:
        bandwidth: h.
        spatial_weight: share of the spatial weights in the mixture, 0 to 1.
        epsilon: keeps both ratios to the smallest distance finite.
        grid: a picture's side in the units of ``epsilon``.
    """
    mean = y.mean((2, 3), keepdim=True)
    return _contextual(x - mean, y - mean, bandwidth, epsilon, spatial_weight, grid)


@in_float32
def id_mrf(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], *, bandwidth: float = 0.5, epsilon: float = 1e-5
) -> Float[Tensor, " n"]:
    """ID-MRF, implicit diversified Markov random fields (GMCNN, Wang 2018, arXiv 1810.08771).

    ``contextual`` with another centre: in the published code the target's mean over channels at each position, which
    requires equal sizes. That code sums over the batch.

    Raises:
        SettingsError: maps of different sizes.
    """
    _check_equal_sizes("ID-MRF centres each position on the target's at the same position", x, y)
    mean = y.mean(1, keepdim=True)
    return _contextual(x - mean, y - mean, bandwidth, epsilon)


@in_float32
def self_similarity(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Self-similarity (STROTSS, Kolkin 2019, arXiv 1904.12785): content as similarities within the picture.

    Mean absolute difference of the two matrices of cosine distances between a picture's own positions, each column
    divided by its sum, times the number of positions, as in the authors' code.

    Raises:
        SettingsError: maps of different sizes.
    """
    _check_equal_sizes("self-similarity compares the same positions", x, y)
    a, b = unit(positions(x), positions(y))
    count = a.shape[1]

    def distances(strip: Tensor, f: Tensor) -> Tensor:
        # The column's sum needs no matrix: Σᵢ (1 - fᵢ·fⱼ) = m - (Σᵢ fᵢ)·fⱼ.
        sums = count - f.sum(1, keepdim=True) @ f.mT
        return (1 - strip @ f.mT) / sums.clamp_min(_SAME * count)

    def part(strip: Tensor, other: Tensor) -> Tensor:
        return (distances(strip, a) - distances(other, b)).abs().sum((1, 2))

    return torch.stack(strips(part, a, b, columns=count)).sum(0) / count


def _contextual(
    x: Tensor,
    y: Tensor,
    bandwidth: float,
    epsilon: float,
    spatial_weight: float = 0.0,
    grid: float = 1.0,
) -> Float[Tensor, " n"]:
    """-log CX of centred maps."""
    a, b = unit(positions(x), positions(y))
    here, there = _places(x, grid), _places(y, grid)

    def shares(distance: Tensor) -> Tensor:
        # exp((1 - d / (min d + ε)) / h), each row divided by its sum.
        return torch.softmax(-distance / (bandwidth * (distance.min(2, keepdim=True).values + epsilon)), 2)

    def part(strip: Tensor, place: Tensor) -> Tensor:
        weights = shares((1 - strip @ b.mT) / 2)
        if spatial_weight:
            apart = (place.unsqueeze(2) - there.unsqueeze(1)).square().sum(3)
            weights = (1 - spatial_weight) * weights + spatial_weight * shares(apart)
        return weights.max(1).values

    return -torch.stack(strips(part, a, here, columns=b.shape[1])).max(0).values.mean(1).log()


def _places(features: Tensor, grid: float) -> Float[Tensor, "1 m 2"]:
    """Row and column of each position, in a picture whose sides have the length ``grid``."""
    dtype, device = features.dtype, features.device
    rows, columns = (torch.arange(side, dtype=dtype, device=device) * (grid / side) for side in features.shape[2:])
    return torch.cartesian_prod(rows, columns).unsqueeze(0)


def _check_equal_sizes(why: str, x: Tensor, y: Tensor) -> None:
    if x.shape != y.shape:
        sizes = " and ".join(f"{f.shape[3]} × {f.shape[2]}" for f in (x, y))
        raise SettingsError(f"{why}; these maps are {sizes}", "resize the target to the picture's size")
