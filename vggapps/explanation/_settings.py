"""Settings of an explanation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vggapps.settings import setting
from vggapps.vgg._settings import PANEL, ClassSettings, backbone_setting, device_setting

MethodName = Literal[
    "gradient",
    "gradient-x-input",
    "guided-backprop",
    "deconvnet",
    "integrated-gradients",
    "smoothgrad",
    "grad-cam",
    "grad-cam++",
    "layer-cam",
    "hires-cam",
    "score-cam",
    "ablation-cam",
    "occlusion",
    "rise",
    "lrp",
]


@dataclass(frozen=True)
class ExplainSettings(ClassSettings):
    """Settings of an explanation."""

    target: str | None = setting(
        None,
        metavar="TEXT",
        help="What to explain: class:NAME; -class:NAME, evidence against it; or a layer's response, relu5_4:200. By "
        "default the class that classify predicts.",
    )
    method: Literal[MethodName, "all"] = setting("grad-cam", metavar="NAME", help="Method; all: side by side.")
    layer: str | None = setting(
        None, metavar="NAME", help="Layer of the ...-cam methods; by default the ReLU of the last convolution."
    )
    size: int | None = setting(
        None,
        minimum=1,
        maximum=4096,
        metavar="SIDE",
        help="Shorter side of the network's input in pixels; default and minimum: that of its training, mostly 224.",
    )
    samples: int | None = setting(
        None, minimum=1, maximum=1_000_000, help="Number of samples of integrated-gradients, smoothgrad and rise."
    )
    scale: Literal["own", "common"] = setting(
        "own", help="Scale the colors to each picture's maximum, or to a common one, for comparison."
    )
    seed: int = setting(0, minimum=0, help="Random seed of smoothgrad, rise and the evaluation.")
    backbone: str = backbone_setting()
    device: str = device_setting()
    dtype: Literal["auto", "float32", "bfloat16"] = setting(
        "float32",
        help="Number format of the network; bfloat16 is faster on some machines, and less precise.",
        panel=PANEL,
    )
