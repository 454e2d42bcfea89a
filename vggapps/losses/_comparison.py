"""The metrics of ``compare``: their names, how to make them, and what they need."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec

import psutil
import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import OutOfMemoryError, SettingsError, VggappsError, argument, out_of_memory, unknown
from vggapps.losses._dists import DISTS
from vggapps.losses._lpips import LPIPS
from vggapps.losses._perceptual import PerceptualLoss
from vggapps.losses._pictures import resized
from vggapps.losses._quality import MS_SSIM_SIDE, SSIM_SIDE, ms_ssim, psnr, ssim
from vggapps.vgg._facts import layer_facts
from vggapps.weights._records import RECORDS
from vggapps.weights._store import find

Loss = Callable[..., Tensor]  # of two pictures, N × 3 × H × W in [0, 1]; one number a picture

_LAYERS = ("relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_4")
_DISTS_SIDE = 256


@dataclass(frozen=True)
class Metric:
    """One measure of the similarity of two pictures.

    Attributes:
        name: as people type it.
        title: as reports show it.
        make: makes the loss on a device.
        lower_is_better: equal pictures then have the value 0.
        record: the weights that it downloads; empty if it needs none or only installed ones.
        package: an optional package that it imports, part of the extra ``metrics``.
        side: shorter side of the smallest supported pictures, in pixels.
        bytes: memory per pixel, measured on a CPU and rounded up.
        has_map: whether ``loss(x, y, map=True)`` gives the loss of each pixel.
        digits: decimal places to show.
    """

    name: str
    title: str
    make: Callable[[torch.device], Loss]
    lower_is_better: bool = True
    record: str = ""
    package: str = ""
    side: int = 1
    bytes: int = 200
    has_map: bool = False
    digits: int = 4

    @property
    def lacks_weights(self) -> bool:
        """Whether its weights must be downloaded first."""
        return bool(self.record) and find(RECORDS[self.record]) is None

    @property
    def lacks_package(self) -> bool:
        """Whether its package is not installed."""
        return bool(self.package) and find_spec(self.package) is None

    def text(self, value: float | None) -> str:
        """The value with the metric's decimal places; a dash for None."""
        return "-" if value is None else f"{value:.{self.digits}f}"


def _perceptual(device: torch.device) -> Loss:
    """Mean of 1 - cosine over positions and the last layers of VGG-19's five blocks: 0 for equal pictures, at most 1.

    This is LPIPS (Zhang 2018, eq. 1) without calibration, on another network. It is computed as half the squared
    distance of unit features, which is exact at 0; ``l2`` is a mean over channels, hence the factor of their number.
    """
    channels = {fact.name: fact.shape[0] for fact in layer_facts("vgg19", head="none")}
    weights = {layer: channels[layer] / 2 / len(_LAYERS) for layer in _LAYERS}
    return PerceptualLoss(weights, criterion="l2", normalize_features=True, reduction="none").to(device)


def _lpips(net: str, device: torch.device) -> Loss:
    return LPIPS(net, reduction="none").to(device)  # type: ignore[arg-type]


def _dists(device: torch.device) -> Loss:
    """DISTS at a shorter side of at most 256 pixels, as ``prepare_image`` of DISTS-pytorch resizes."""
    loss = DISTS(reduction="none").to(device)

    def at_most(image: Tensor) -> Tensor:
        return resized(image, _DISTS_SIDE) if min(image.shape[2:]) > _DISTS_SIDE else image

    return lambda x, y: loss(at_most(x), at_most(y))


def _plain(function: Loss, device: torch.device) -> Loss:
    return function


_ALL = (
    Metric("perceptual", "Perceptual (VGG-19)", _perceptual, side=16, bytes=2200, has_map=True),
    Metric(
        "lpips", "LPIPS (alex, 0.1)", partial(_lpips, "alex"), record="alexnet-convolutions", side=31, has_map=True
    ),
    Metric(
        "lpips-vgg", "LPIPS (vgg, 0.1)", partial(_lpips, "vgg"),
        record="vgg16-convolutions", side=16, bytes=2200, has_map=True,
    ),
    Metric(
        "lpips-squeeze", "LPIPS (squeeze, 0.1)", partial(_lpips, "squeeze"),
        record="squeezenet1_1-convolutions", side=17, bytes=600, has_map=True,
    ),
    Metric("dists", "DISTS", _dists, record="vgg16-convolutions", side=16),
    Metric("ssim", "SSIM", partial(_plain, ssim), lower_is_better=False, side=SSIM_SIDE),
    Metric(
        "ms-ssim", "MS-SSIM", partial(_plain, ms_ssim),
        lower_is_better=False, package="torchmetrics", side=MS_SSIM_SIDE,
    ),
    Metric("psnr", "PSNR (dB)", partial(_plain, psnr), lower_is_better=False, digits=2),
)  # fmt: skip
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def get_metrics(names: Iterable[str]) -> list[Metric]:
    """The metrics of these names, without duplicates; an unknown name is an error."""
    for name in (names := list(dict.fromkeys(names))):
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    return [METRICS[name] for name in names]


def restricted(metrics: Sequence[Metric], *, y_channel: bool, crop_border: int) -> list[Metric]:
    """The metrics with PSNR and SSIM on luma only, or without a border, as papers on super-resolution report them."""
    functions = {"psnr": psnr, "ssim": ssim}
    if not functions.keys() & {metric.name for metric in metrics}:
        raise SettingsError(
            "only PSNR and SSIM have a Y channel and a cropped border", f"add them to {argument('metrics')}: psnr, ssim"
        )
    suffix = " on Y" * y_channel + f", {crop_border} px cropped" * (crop_border > 0)
    return [
        replace(
            metric,
            title=metric.title + suffix,
            make=partial(_plain, partial(functions[metric.name], y_channel=y_channel, crop_border=crop_border)),
            side=metric.side + 2 * crop_border,
        )
        if metric.name in functions
        else metric
        for metric in metrics
    ]


def available() -> list[str]:
    """Names of the metrics whose weights and packages are installed."""
    return [name for name, metric in METRICS.items() if not (metric.lacks_weights or metric.lacks_package)]


def install_commands() -> dict[str, list[str]]:
    """Commands that install what the other metrics need, with the names of those metrics."""
    weights = [metric for metric in METRICS.values() if metric.lacks_weights]
    records = " ".join(dict.fromkeys(metric.record for metric in weights))
    commands = {
        f"vggapps weights download {records}": [metric.name for metric in weights],
        "pip install 'vggapps[metrics]'": [name for name, metric in METRICS.items() if metric.lacks_package],
    }
    return {command: names for command, names in commands.items() if names}


@dataclass(frozen=True)
class Measured:
    """The values of one pair of pictures.

    Attributes:
        values: by metric; None if the pictures are too small for it or it failed.
        errors: by metric that failed.
    """

    values: dict[str, float | None]
    errors: dict[str, Exception]


def measure(
    losses: Mapping[Metric, Loss],
    x: Float[Tensor, "1 3 h w"],
    y: Float[Tensor, "1 3 h w"],
    *,
    needed: Collection[str] = (),
) -> Measured:
    """Measure two pictures of one size in [0, 1]. The PSNR of equal pictures is infinite.

    A metric that fails does not stop the others; its error is in the result.

    Args:
        losses: for each metric the result of ``make``.
        x: the first picture.
        y: the second picture.
        needed: names of metrics for which too small pictures are an error.
    """
    height, width = x.shape[2:]
    values: dict[str, float | None] = {}
    errors: dict[str, Exception] = {}
    for metric, loss in losses.items():
        values[metric.name] = None
        try:
            if min(height, width) >= metric.side:
                _check_memory(metric, x)
                with torch.no_grad():
                    values[metric.name] = rounded(loss(x, y).item())
            elif metric.name in needed:
                raise SettingsError(
                    f"{metric.title} needs {metric.side} pixels a side, and the pictures are {width}x{height}",
                    "enlarge both, or leave that metric out",
                )
        except Exception as error:
            if not (isinstance(error, VggappsError) or out_of_memory(error)):
                raise
            errors[metric.name] = error
    return Measured(values, errors)


def rounded(value: float) -> float:
    """Rounded to the seven digits of float32."""
    return float(f"{value:.7g}")


def _check_memory(metric: Metric, x: Tensor) -> None:
    """Raise an error before the system kills the process for lack of memory. CUDA raises its own."""
    needed, free = metric.bytes * x.shape[2] * x.shape[3], psutil.virtual_memory().available
    if x.device.type != "cuda" and needed > free:
        fitting = int(max(x.shape[2:]) * math.sqrt(free / needed))
        raise OutOfMemoryError(
            f"{metric.title} of {x.shape[3]}x{x.shape[2]} pixels takes about {needed / 1e9:.1f} GB of memory, "
            f"and {free / 1e9:.1f} GB are free",
            f"compare smaller copies, {argument('size', max(1, fitting))}, or close other programs",
        )
