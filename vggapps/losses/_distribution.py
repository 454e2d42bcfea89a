"""Distances between distributions of features: the positions of a picture as a point cloud.

``x`` is the picture being optimised and ``y`` the target: maps of one layer, of equal batch size. Sizes may differ. The
result is one value per picture, with gradients to both.

The matrix of all pairs of positions is never held: for 128 × 128 positions it has 1 GB, and autograd keeps several. It
is computed in strips of rows, and recomputed for the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vggapps.errors import SettingsError, unknown
from vggapps.losses._moments import moments
from vggapps.losses._pictures import wants_gradient
from vggapps.losses._precision import in_float32, length
from vggapps.vgg._derivatives import is_transformed

Kernel = Literal["linear", "polynomial", "gaussian"]
Metric = Literal["cosine", "euclidean"]

# Entries of a strip for the whole batch: 64 MiB in float32, and a few times that while in use.
ENTRIES_AT_ONCE = 2**24
# Features shorter than _SHORT times the root mean square are not normalised to length 1. The root mean square of a
# picture counts as at least _FAINT times that of the other.
_SHORT, _FAINT = 1e-3, 1e-2
# The least width of a kernel relative to the features' length: when all are the same, the rest is rounding.
_NARROW = 1e-3


def positions(features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n m c"]:
    """A map's positions, row by row of the picture."""
    return features.flatten(2).mT


def unit(x: Float[Tensor, "n m c"], y: Float[Tensor, "n k c"]) -> tuple[Float[Tensor, "n m c"], Float[Tensor, "n k c"]]:
    """Both point clouds with features of length 1, for cosines.

    The gradient of a direction grows without bound towards zero, where it is undefined. So features shorter than a
    thousandth of their picture's root mean square are divided by that bound instead, and end up shorter than 1. For a
    picture of zero features the bound comes from the other picture.
    """
    power, power2 = _mean_square(x), _mean_square(y)

    def normalized(f: Tensor, power: Tensor, other: Tensor) -> Tensor:
        shortest = _SHORT**2 * (power + _FAINT**2 * other) + torch.finfo(f.dtype).tiny
        return f / f.square().sum(2, keepdim=True).clamp(min=shortest).sqrt()

    return normalized(x, power, power2), normalized(y, power2, power)


def _mean_square(cloud: Float[Tensor, "n m c"]) -> Float[Tensor, "n 1 1"]:
    """Mean squared length of the features, a constant for the gradient."""
    return cloud.detach().square().sum(2, keepdim=True).mean(1, keepdim=True)


def strips(part: Callable[..., Tensor], *rows: Tensor, columns: int) -> list[Tensor]:
    """Apply ``part`` to strips of a matrix's rows, each of at most ``ENTRIES_AT_ONCE`` entries.

    Several strips are recomputed in the backward pass; only their inputs and outputs are kept. ``torch.func`` does not
    support that, so there everything is kept.

    Args:
        part: computes a strip of the matrix and reduces it.
        rows: tensors of n × rows × anything, split along the rows.
        columns: number of columns of the matrix.
    """
    pictures, height = rows[0].shape[:2]
    at_once = max(1, ENTRIES_AT_ONCE // (pictures * columns))
    if height <= at_once:
        return [part(*rows)]
    split = zip(*(torch.split(r, at_once, dim=1) for r in rows), strict=True)
    if is_transformed(*rows):
        return [part(*strip) for strip in split]
    return [checkpoint(part, *strip, use_reentrant=False, preserve_rng_state=False) for strip in split]


@in_float32
def sliced(
    x: Float[Tensor, "n c h w"],
    y: Float[Tensor, "n c h2 w2"],
    *,
    directions: int | Float[Tensor, "k c"] | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " n"]:
    """Sliced Wasserstein distance (Heitz 2021, arXiv 2006.07229): squared, mean over projections on lines.

    On a line the optimal transport matches sorted values. For different numbers of positions the squared difference of
    the two quantile functions is integrated exactly, so a tiled target gives the same distance. (The published code
    requires one size to be a multiple of the other.)

    Args:
        directions: directions of any length to project on, or their number: the number of channels by default.
        generator: draws the directions anew at each call. By default torch's global one if a gradient is required, else
            the same directions at each call: evaluation is repeatable and does not change the random numbers of
            training.

    Raises:
        SettingsError: no directions, or a wrong number of channels.
    """
    channels = x.shape[1]
    if not isinstance(directions, Tensor):
        count = channels if directions is None else directions
        device = x.device if generator is None else generator.device
        if generator is None and not wants_gradient(x, y):
            directions = cast(Tensor, _lines(count, channels))
        else:
            directions = torch.randn(count, channels, generator=generator, dtype=x.dtype, device=device)
    if directions.dim() != 2 or directions.shape[0] < 1 or directions.shape[1] != channels:
        raise SettingsError(
            f"directions of shape {tuple(directions.shape)} don't fit features of {channels} channels",
            f"pass at least one row of {channels} numbers, or how many to draw",
        )
    lines = F.normalize(directions.to(x), dim=1)
    return _transport(lines @ x.flatten(2), lines @ y.flatten(2))


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _lines(count: int, channels: int) -> Float[Tensor, "k c"]:
    """The same directions at each call."""
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@in_float32
def histogram(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h2 w2"]) -> Float[Tensor, " n"]:
    """Histogram loss (Risser 2017, arXiv 1701.08893): mean squared distance to channels matched to the target's.

    This is ``sliced`` along the axes of the channels. The paper keeps the matched features constant, which gives x the
    same gradient, and sums instead of taking the mean.
    """
    return _transport(x.flatten(2), y.flatten(2))


def _transport(x: Float[Tensor, "n k m"], y: Float[Tensor, "n k m2"]) -> Float[Tensor, " n"]:
    """Squared distance of the quantile functions, mean over k."""
    x, y = x.sort(dim=2).values, y.sort(dim=2).values
    m, m2 = x.shape[2], y.shape[2]
    if m == m2:
        return (x - y).square().mean((1, 2))
    # The ends of the steps of both quantile functions, in units of 1 / (m * m2).
    steps = (torch.arange(1, count + 1, device=x.device) * (m * m2 // count) for count in (m, m2))
    ends = torch.cat(list(steps)).sort().values
    widths = torch.diff(ends, prepend=ends.new_zeros(1)) / (m * m2)
    gaps = x.index_select(2, (ends - 1) // m2) - y.index_select(2, (ends - 1) // m)
    return (gaps.square() * widths.to(x)).sum(2).mean(1)


@in_float32
def mmd(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h2 w2"], *, kernel: Kernel = "gaussian"
) -> Float[Tensor, " n"]:
    """Squared maximum mean discrepancy (Li 2017, arXiv 1701.01036), the biased estimate that pairs each position with
    itself, too.

    - ``linear``, k = a·b: squared distance of the means.
    - ``polynomial``, k = (a·b)²: squared Frobenius distance of the second moments, so Gatys' loss up to a factor.
    - ``gaussian``, k = exp(-‖a - b‖² / 2σ²), σ² the mean squared distance of two positions each drawn from either
      picture, a constant for the gradient. At equality zero up to rounding, of either sign.

    Raises:
        SettingsError: no such kernel.
    """
    if kernel not in get_args(Kernel):
        raise unknown("MMD kernel", kernel, get_args(Kernel))
    if kernel == "gaussian":
        return _gaussian(positions(x), positions(y))
    m, m2 = moments(x), moments(y)
    difference = m.mean - m2.mean if kernel == "linear" else m.second - m2.second
    return difference.square().flatten(1).sum(1)


def _gaussian(x: Float[Tensor, "n m c"], y: Float[Tensor, "n m2 c"]) -> Float[Tensor, " n"]:
    centre = (x.detach().mean(1, keepdim=True) + y.detach().mean(1, keepdim=True)) / 2
    x, y = x - centre, y - centre  # the same distances, with smaller rounding errors
    # The mean squared distance of independent draws is twice the mean square about their centre.
    width = (_mean_square(x) + _mean_square(y)).clamp(min=_NARROW**2 * _mean_square(centre))
    scale = 2 * width + torch.finfo(x.dtype).tiny

    def mean_kernel(a: Tensor, b: Tensor) -> Tensor:
        lengths = b.square().sum(2).unsqueeze(1)

        def part(strip: Tensor) -> Tensor:
            squared = strip.square().sum(2, keepdim=True) + lengths - 2 * (strip @ b.mT)
            return torch.exp(-squared / scale).sum((1, 2))

        return torch.stack(strips(part, a, columns=b.shape[1])).sum(0) / (a.shape[1] * b.shape[1])

    return mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)


@in_float32
def relaxed_emd(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h2 w2"], *, metric: Metric = "cosine"
) -> Float[Tensor, " n"]:
    """Relaxed earth mover's distance (STROTSS, Kolkin 2019, arXiv 1904.12785, eq. 3 to 5).

    The larger of the two mean distances to the nearest position of the other picture. The cosine distance 1 - a·b of
    unit vectors is computed as ‖a - b‖² / 2, which is exactly zero for equal ones.

    The authors sample 1024 positions of several joined layers; this uses all positions of the map.

    Raises:
        SettingsError: no such metric.
    """
    if metric not in get_args(Metric):
        raise unknown("metric", metric, get_args(Metric))
    a, b = positions(x), positions(y)
    if metric == "cosine":
        a, b = unit(a, b)

    def to_nearest(a: Tensor, b: Tensor) -> Tensor:
        gaps = a - b.gather(1, _nearest(a, b).unsqueeze(2).expand_as(a))
        return (gaps.square().sum(2) / 2 if metric == "cosine" else length(gaps, 2)).mean(1)

    return torch.maximum(to_nearest(a, b), to_nearest(b, a))


@torch.no_grad()
def _nearest(a: Float[Tensor, "n m c"], b: Float[Tensor, "n k c"]) -> Int[Tensor, "n m"]:
    """For each position of a the nearest of b, without a graph: only the chosen pairs have a gradient."""
    half = b.square().sum(2).unsqueeze(1) / 2
    return torch.cat(strips(lambda strip: (half - strip @ b.mT).argmin(2), a, columns=b.shape[1]), 1)
