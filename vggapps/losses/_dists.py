"""DISTS: structure and texture, compared by the moments of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.losses._calibrated import calibrated
from vggapps.losses._distance import Measured, maps_of_one_size
from vggapps.losses._feature_loss import IMAGE, FeatureLoss
from vggapps.losses._pictures import Gradient, Range, Size
from vggapps.losses._precision import comparison
from vggapps.losses._reduction import Reduction
from vggapps.vgg._moving import ordinary
from vggapps.weights._backbone import Backbone, load_network

_LAYERS = (IMAGE, "relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
_SMALL = 1e-6  # c1 and c2


class DISTS(FeatureLoss):
    """Deep image structure and texture similarity (Ding 2020, eq. 4-6): 0 for equal pictures, forgiving to texture.

    1 - Σ over stages and channels of α l + β s, with l = (2 μx μy + c) / (μx² + μy² + c) and s = (2 σxy + c) /
    (σx² + σy² + c) of the whole map; stages are the picture itself and five of VGG-16, whose poolings are the root of
    the squares' mean under a Hann window. The values are those of ``DISTS-pytorch``; the gradient is the whole one,
    which that package gives with ``require_grad=True`` only. Its authors bring the shorter side to 256 pixels first:
    ``resize=256``.

    Under autocast its network runs in float32 all the same: of similar pictures, bfloat16 gives a gradient that points
    elsewhere. ``loss.half()`` and ``loss.bfloat16()`` are taken at their word.

    Args:
        backbone: the network's weights: a name, a record, or a loaded VGG-16; None for torchvision's, which the
            numbers were calibrated on and of which the convolutions are downloaded once.
        reduction: see :class:`~vggapps.losses.PerceptualLoss`, as are ``resize``, ``range``, ``checkpoint``
            and ``gradient``.

    Raises:
        WeightsError: the network's weights can't be had.
    """

    def __init__(
        self,
        *,
        backbone: Backbone | None = None,
        reduction: Reduction = "mean",
        resize: Size = None,
        range: Range = "0..1",
        checkpoint: bool = False,
        gradient: Gradient = "first",
    ) -> None:
        vgg = load_network(backbone or "vgg16-convolutions")
        if vgg.plan.name != "vgg16":
            raise SettingsError(f"DISTS is calibrated on vgg16, not {vgg.plan.name}", "give a vgg16")
        super().__init__(
            vgg.variant(pooling="hann"), _LAYERS, reduction=reduction, resize=resize, range=range,
            checkpoint=checkpoint, gradient=gradient,
        )  # fmt: skip
        with ordinary():
            self.constants = {name: number.clone() for name, number in calibrated("dists").items()}

    def _autocast(self, kind: str) -> AbstractContextManager[Any]:
        """Off: variances that nearly cancel need more digits of the features than half precision has."""
        return torch.autocast(kind, enabled=False)

    def measure(self, features: Mapping[str, Tensor], masks: Callable[[Tensor], Tensor | None]) -> dict[str, Measured]:
        """The maps, in float32 at least: in less the moments cancel."""
        dtype = torch.promote_types(features[_LAYERS[-1]].dtype, torch.float32)
        return {name: features[name].to(dtype) for name in _LAYERS}

    def compare(
        self, x: Mapping[str, Measured], y: Mapping[str, Measured], masks: Callable[[Tensor], Tensor | None]
    ) -> dict[str, Float[Tensor, " n"]]:
        """Each stage's share: Σ_c α (1 - l) + β (1 - s)."""
        parts, start = {}, 0
        maps = {name: maps_of_one_size("DISTS", x[name], y[name]) for name in _LAYERS}
        weights = [self.constants[name].to(maps[IMAGE][0]) for name in ("alpha", "beta")]
        total = weights[0].sum() + weights[1].sum()
        for name, (own, wanted) in maps.items():
            span = slice(start, start := start + own.shape[1])
            alpha, beta = (weight[span] / total for weight in weights)
            means, structure = similarities(own, wanted, masks(own))
            parts[name] = (alpha * (1 - means) + beta * (1 - structure)).sum(1)
        return parts

    def maps(self, x: Mapping[str, Measured], y: Mapping[str, Measured]) -> dict[str, Float[Tensor, "n h w"]]:
        """There are none."""
        raise SettingsError("DISTS compares pictures as wholes, and has no map", "take LPIPS for a map")

    def formula(self) -> list[str]:
        """The stages and what is done with them."""
        return [f"1 · dists ({name})" for name in _LAYERS] + [
            "with dists = Σ_c α_c (1 - l_c) + β_c (1 - s_c), l of means, s of covariances, α and β calibrated"
        ]


@comparison
def similarities(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], mask: Float[Tensor, "#n 1 h w"] | None = None
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """Of means and of structure: 1 where they are equal (Ding 2020, eq. 4 and 5).

    Moments are taken about the means, in which nothing cancels; the published code takes raw ones.
    """
    if mask is not None:
        mask = mask.to(x.dtype) / mask.sum((2, 3), keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)

    def mean(t: Tensor) -> Tensor:
        return t.mean((2, 3)) if mask is None else (mask * t).sum((2, 3))

    mean_x, mean_y = mean(x), mean(y)
    away_x, away_y = x - mean_x[:, :, None, None], y - mean_y[:, :, None, None]
    variance_x, variance_y, covariance = mean(away_x.square()), mean(away_y.square()), mean(away_x * away_y)
    means = (2 * mean_x * mean_y + _SMALL) / (mean_x.square() + mean_y.square() + _SMALL)
    return means, (2 * covariance + _SMALL) / (variance_x + variance_y + _SMALL)
