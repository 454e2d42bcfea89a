"""DISTS: structure and texture similarity from moments of features."""

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
from vggapps.losses._pictures import Gradient, Range, Reduction, Size
from vggapps.losses._precision import in_float32
from vggapps.vgg._moving import normal_tensors
from vggapps.weights._backbone import Backbone, load_network

_LAYERS = (IMAGE, "relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
_SMALL = 1e-6  # c1 and c2


class DISTS(FeatureLoss):
    """Deep image structure and texture similarity (Ding 2020, eq. 4-6): 0 for equal pictures, tolerant of texture
    resampling.

    1 - Σ over stages and channels of α l + β s, with l = (2 μx μy + c) / (μx² + μy² + c) and s = (2 σxy + c) /
    (σx² + σy² + c) of the whole map; the stages are the picture itself and five layers of VGG-16 with L2 pooling under
    a Hann window. Values match ``DISTS-pytorch``; so does the gradient, with ``require_grad=True`` of that package. The
    authors resize the shorter side to 256 pixels first: ``resize=256``.

    Under autocast the network still runs in float32, as the gradient in bfloat16 has a wrong direction for similar
    pictures. ``loss.half()`` and ``loss.bfloat16()`` do convert it.

    Args:
        backbone: the weights: a name, a record, or a loaded VGG-16; None for the convolutions of torchvision's VGG-16,
            which DISTS was calibrated on; they are downloaded once.
        reduction: as for :class:`~vggapps.losses.PerceptualLoss`, like the other options.

    Raises:
        WeightsError: the weights are not available.
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
            raise SettingsError(f"DISTS is calibrated on vgg16, not {vgg.plan.name}", "pass a vgg16")
        super().__init__(
            vgg.variant(pooling="hann"), _LAYERS, reduction=reduction, resize=resize, range=range,
            checkpoint=checkpoint, gradient=gradient,
        )  # fmt: skip
        with normal_tensors():
            self.constants = {name: number.clone() for name, number in calibrated("dists").items()}

    def _autocast(self, kind: str) -> AbstractContextManager[Any]:
        """Off: nearly cancelling variances need more precision than half."""
        return torch.autocast(kind, enabled=False)

    def measure(self, features: Mapping[str, Tensor], masks: Callable[[Tensor], Tensor | None]) -> dict[str, Measured]:
        """The maps, in at least float32: in half precision the moments cancel."""
        dtype = torch.promote_types(features[_LAYERS[-1]].dtype, torch.float32)
        return {name: features[name].to(dtype) for name in _LAYERS}

    def compare(
        self, x: Mapping[str, Measured], y: Mapping[str, Measured], masks: Callable[[Tensor], Tensor | None]
    ) -> dict[str, Float[Tensor, " n"]]:
        """Σ_c α (1 - l) + β (1 - s) of each stage."""
        parts, start = {}, 0
        maps = {name: maps_of_one_size("DISTS", x[name], y[name]) for name in _LAYERS}
        weights = [self.constants[name].to(maps[IMAGE][0]) for name in ("alpha", "beta")]
        total = weights[0].sum() + weights[1].sum()
        for name, (map_x, map_y) in maps.items():
            span = slice(start, start := start + map_x.shape[1])
            alpha, beta = (weight[span] / total for weight in weights)
            means, structure = similarities(map_x, map_y, masks(map_x))
            parts[name] = (alpha * (1 - means) + beta * (1 - structure)).sum(1)
        return parts

    def maps(self, x: Mapping[str, Measured], y: Mapping[str, Measured]) -> dict[str, Float[Tensor, "n h w"]]:
        """Not available."""
        raise SettingsError("DISTS compares whole pictures and has no map", "use LPIPS for a map")

    def formula(self) -> list[str]:
        """The stages and the distance."""
        return [f"1 · dists ({name})" for name in _LAYERS] + [
            "with dists = Σ_c α_c (1 - l_c) + β_c (1 - s_c), l of means, s of covariances, α and β calibrated"
        ]


@in_float32
def similarities(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], mask: Float[Tensor, "#n 1 h w"] | None = None
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """Similarities of means and of structure: 1 if equal (Ding 2020, eq. 4 and 5).

    They are computed from central moments, which avoid cancellation; the published code uses raw moments.
    """
    if mask is not None:
        mask = mask.to(x.dtype) / mask.sum((2, 3), keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)

    def mean(t: Tensor) -> Tensor:
        return t.mean((2, 3)) if mask is None else (mask * t).sum((2, 3))

    mean_x, mean_y = mean(x), mean(y)
    dx, dy = x - mean_x[:, :, None, None], y - mean_y[:, :, None, None]
    variance_x, variance_y, covariance = mean(dx.square()), mean(dy.square()), mean(dx * dy)
    means = (2 * mean_x * mean_y + _SMALL) / (mean_x.square() + mean_y.square() + _SMALL)
    return means, (2 * covariance + _SMALL) / (variance_x + variance_y + _SMALL)
