"""Numbers for how alike two pictures are, by the names that papers report, and a heat map of where they are not."""

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
from vggapps.losses._pictures import scaled
from vggapps.losses._quality import MS_SSIM_SIDE, SSIM_SIDE, ms_ssim, psnr, ssim
from vggapps.vgg._plan import get_plan, layer_facts
from vggapps.weights._records import RECORDS
from vggapps.weights._store import find

Loss = Callable[..., Tensor]  # of two pictures, N × 3 × H × W in [0, 1]; one number a picture

_LAYERS = ("relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_4")
_DISTS_SIDE = 256


@dataclass(frozen=True)
class Metric:
    """One measure of how alike two pictures are.

    Attributes:
        name: what people type.
        title: as one reports it.
        make: gives the loss, on a device.
        lower_is_better: 0 is then the value of equal pictures.
        record: weights that it downloads; empty for none, or installed ones.
        package: what it imports beyond what is always installed, part of the extra ``metrics``.
        side: of the smallest pictures that it can measure, in pixels.
        bytes: of memory that it takes for each pixel, as measured on a processor and rounded up.
        has_map: whether ``loss(x, y, map=True)`` says how much each pixel contributes.
        digits: after the point, where it is read by people.
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
        """Whether its weights would have to be downloaded."""
        return bool(self.record) and find(RECORDS[self.record]) is None

    @property
    def lacks_package(self) -> bool:
        """Whether its package is not installed."""
        return bool(self.package) and find_spec(self.package) is None

    def text(self, value: float | None) -> str:
        """A number with as many digits as the metric is read with; a dash for none."""
        return "-" if value is None else f"{value:.{self.digits}f}"


def _perceptual(device: torch.device) -> Loss:
    """Mean of 1 - cosine over positions and the last layers of VGG-19's five blocks: 0 for equal pictures, at most 1.

    That is LPIPS (Zhang 2018, eq. 1) without its calibration, on another network. Written as half the squared
    distance of features of length 1, which has no rounding at 0; ``l2`` is a mean over channels, hence their number.
    """
    channels = {fact.name: fact.shape[0] for fact in layer_facts(get_plan("vgg19"), 224, "none")}
    weights = {layer: channels[layer] / 2 / len(_LAYERS) for layer in _LAYERS}
    return PerceptualLoss(weights, criterion="l2", normalize_features=True, reduction="none").to(device)


def _lpips(net: str, device: torch.device) -> Loss:
    return LPIPS(net, reduction="none").to(device)  # type: ignore[arg-type]


def _dists(device: torch.device) -> Loss:
    """A shorter side of over 256 pixels is brought to that, as ``prepare_image`` of DISTS-pytorch does."""
    loss = DISTS(reduction="none").to(device)

    def at_most(image: Tensor) -> Tensor:
        return scaled(image, _DISTS_SIDE) if min(image.shape[2:]) > _DISTS_SIDE else image

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
    """The metrics of these names, each once.

    Raises:
        SettingsError: there is no such metric; says which is nearest.
    """
    for name in (names := list(dict.fromkeys(names))):
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    return [METRICS[name] for name in names]


def restricted(metrics: Sequence[Metric], *, y_channel: bool, crop_border: int) -> list[Metric]:
    """The metrics, PSNR and SSIM of them on luma alone, or without a border, as papers on super-resolution report them.

    Args:
        metrics: the others stay as they are.
        y_channel: see `vggapps.losses._quality.luma`.
        crop_border: pixels that are left out at each border.

    Raises:
        SettingsError: PSNR and SSIM are not among the metrics.
    """
    functions = {"psnr": psnr, "ssim": ssim}
    if not functions.keys() & {metric.name for metric in metrics}:
        raise SettingsError(
            "only PSNR and SSIM have a Y channel and a cropped border", f"add them to {argument('metrics')}: psnr, ssim"
        )
    told = " on Y" * y_channel + f", {crop_border} px cropped" * (crop_border > 0)
    return [
        replace(
            metric,
            title=metric.title + told,
            make=partial(_plain, partial(functions[metric.name], y_channel=y_channel, crop_border=crop_border)),
            side=metric.side + 2 * crop_border,
        )
        if metric.name in functions
        else metric
        for metric in metrics
    ]


def available() -> list[str]:
    """Names of the metrics that can run with what is on this machine."""
    return [name for name, metric in METRICS.items() if not (metric.lacks_weights or metric.lacks_package)]


def wanting() -> dict[str, list[str]]:
    """The commands that bring the other metrics here, and which they bring."""
    weights = [metric for metric in METRICS.values() if metric.lacks_weights]
    records = " ".join(dict.fromkeys(metric.record for metric in weights))
    commands = {
        f"vggapps weights download {records}": [metric.name for metric in weights],
        "pip install 'vggapps[metrics]'": [name for name, metric in METRICS.items() if metric.lacks_package],
    }
    return {command: names for command, names in commands.items() if names}


@dataclass(frozen=True)
class Measured:
    """The numbers of one pair of pictures.

    Attributes:
        values: by metric; None where the pictures are too small for it, or an error tells why there is none.
        errors: by metric, what went wrong.
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
    """The numbers of two pictures of one size. PSNR of equal ones is infinite.

    A metric that fails does not keep the others from being measured: pictures that are too small for one that is
    needed are an error of that metric, and so is too little memory.

    Args:
        losses: for each metric what its ``make`` gave.
        x: a picture in [0, 1].
        y: what it is compared with.
        needed: names of metrics that should not be left out without an error.
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
                    f"{metric.title} needs {metric.side} pixels a side, and the pictures have {width}x{height}",
                    "enlarge both alike, or leave that metric out",
                )
        except Exception as error:
            if not (isinstance(error, VggappsError) or out_of_memory(error)):
                raise
            errors[metric.name] = error
    return Measured(values, errors)


def rounded(value: float) -> float:
    """To the seven digits that float32 has."""
    return float(f"{value:.7g}")


def _check_memory(metric: Metric, x: Tensor) -> None:
    """Before the system ends the program without a word. CUDA says it by itself."""
    wanted, free = metric.bytes * x.shape[2] * x.shape[3], psutil.virtual_memory().available
    if x.device.type != "cuda" and wanted > free:
        enough = int(max(x.shape[2:]) * math.sqrt(free / wanted))
        raise OutOfMemoryError(
            f"{metric.title} of {x.shape[3]}x{x.shape[2]} pixels takes about {wanted / 1e9:.1f} GB of memory, "
            f"and {free / 1e9:.1f} GB are free",
            f"compare smaller copies, {argument('size', max(1, enough))}, or close other programs",
        )
