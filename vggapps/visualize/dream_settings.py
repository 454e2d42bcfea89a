"""What one can say about a dream."""

from __future__ import annotations

from dataclasses import dataclass

from vggapps.settings import check, setting
from vggapps.vgg.plan import Dtype, Pooling


@dataclass(frozen=True)
class DreamSettings:
    """Everything that decides how a dream looks, but for what is dreamt of."""

    size: int = setting(768, minimum=32, maximum=32768, help="Longer side of the result, in pixels.")
    strength: float = setting(1.0, minimum=0, maximum=20, help="How far each step goes; the one knob for most people.")
    steps: int = setting(10, minimum=1, maximum=10000, help="Steps at each octave.")
    octaves: int = setting(4, minimum=1, maximum=20, help="Sizes, from small to large: more give larger creatures.")
    octave_scale: float = setting(1.4, minimum=1.05, maximum=4, help="From one octave to the next.")
    jitter: int = setting(32, minimum=0, maximum=512, help="Pixels that the view moves about.")
    guide: str | None = setting(
        None, metavar="IMAGE", help="Dream of what is in this picture, as the objective's layer sees it."
    )
    seed: int = setting(0, minimum=0, help="Of the movements; the same seed gives the same file.")
    backbone: str = setting("vgg19", metavar="NAME", help="The network: vgg11, vgg13, vgg16, vgg19, with _bn too.")
    weights: str = setting(
        "auto", metavar="NAME|PATH", help="Its weights: a name of `vggapps weights list`, or a file."
    )
    pooling: Pooling = setting("max", help="Average pooling gives smoother dreams.")
    device: str = setting("auto", metavar="auto|cpu|cuda|mps", help="Where to compute.")
    dtype: Dtype = setting("auto", help="Of the convolutions; auto is bfloat16 where the machine has it.")

    def __post_init__(self) -> None:
        check(self)
