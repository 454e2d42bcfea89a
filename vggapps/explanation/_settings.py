"""Settings of an explanation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vggapps.settings import check, setting
from vggapps.vgg._settings import BACKBONE, PANEL, ClassSettings

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
    """Everything that decides how an explanation looks."""

    target: str | None = setting(
        None,
        metavar="TEXT",
        help="What is explained: class:NAME; -class:NAME, against it; or a layer's response, relu5_4:200. By default "
        "the class that classify names.",
    )
    method: Literal[MethodName, "all"] = setting("grad-cam", metavar="NAME", help="How; all: one beside the other.")
    layer: str | None = setting(
        None, metavar="NAME", help="Whose positions the ...-cam methods show; by default the last convolution's ReLU."
    )
    size: int = setting(
        224, minimum=224, maximum=4096, help="Shorter side in pixels at which the network sees the picture."
    )
    samples: int | None = setting(
        None, minimum=1, maximum=1_000_000, help="Pictures tried by integrated-gradients, smoothgrad and rise."
    )
    scale: Literal["own", "common"] = setting(
        "own", help="Whether the hottest colour is each picture's own maximum, or that of all, to compare them."
    )
    seed: int = setting(
        0, minimum=0, help="Of smoothgrad's noise, rise's masks and the random parts of the evaluation."
    )
    backbone: str = setting("auto", metavar="NAME", help=BACKBONE, panel=PANEL, files=True)
    device: str = setting("auto", metavar="auto|cpu|cuda|mps", help="Where to compute.", panel=PANEL)
    dtype: Literal["auto", "float32", "bfloat16"] = setting(
        "float32",
        help="Of the network; bfloat16 is quicker where the machine has instructions for it, and coarser.",
        panel=PANEL,
    )

    def __post_init__(self) -> None:
        check(self)
