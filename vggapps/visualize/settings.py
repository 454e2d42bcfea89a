"""What one can say about a visualization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vggapps.settings import check, setting
from vggapps.vgg.plan import Dtype, Pooling

Parameterization = Literal["fourier", "maco", "laplacian", "pixel", "cppn"]


@dataclass(frozen=True)
class VisualizeSettings:
    """Everything that decides how a visualization looks."""

    size: int | None = setting(
        None, minimum=16, maximum=4096, help="Side in pixels; by default what the layer can see."
    )
    steps: int = setting(
        128, minimum=1, maximum=100000, help="Steps: 64 for a draft; more than 256 make colours glaring."
    )
    pictures: int = setting(
        1, minimum=1, maximum=64, help="So many of one objective, side by side; diversity(LAYER) tells them apart."
    )
    parameterization: Parameterization = setting(
        "fourier", help="How the picture is written down: maco has the frequencies of photographs."
    )
    start: str | None = setting(None, metavar="IMAGE", help="A picture to start from, instead of grey noise.")
    jitter: float | None = setting(
        None, minimum=0, maximum=512, help="Pixels that the view moves about; by default the layer's stride."
    )
    scale: float = setting(1.1, minimum=1, maximum=2, help="The view is enlarged and shrunk by up to this.")
    rotate: float = setting(8.0, minimum=0, maximum=180, help="Degrees that the view turns, to each side.")
    tv_weight: float = setting(0.0, minimum=0, help="Weight of total variation, which smooths.")
    spectrum: str | None = setting(
        None, metavar="DIR", help="For maco: take the frequencies of the pictures in this folder."
    )
    seed: int = setting(0, minimum=0, help="Of the noise and the movements; the same seed gives the same file.")
    backbone: str = setting("vgg19", metavar="NAME", help="The network: vgg11, vgg13, vgg16, vgg19, with _bn too.")
    weights: str = setting(
        "auto", metavar="NAME|PATH", help="Its weights: a name of `vggapps weights list`, or a file."
    )
    pooling: Pooling = setting("max", help="Average pooling gives smoother pictures.")
    device: str = setting("auto", metavar="auto|cpu|cuda|mps", help="Where to compute.")
    dtype: Dtype = setting("auto", help="Of the convolutions; auto is bfloat16 where the machine has it.")

    def __post_init__(self) -> None:
        check(self)
