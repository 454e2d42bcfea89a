"""Which network, and how it runs: what the settings of several rooms share."""

from __future__ import annotations

from dataclasses import dataclass

from vggapps.settings import check, setting
from vggapps.vgg.plan import Dtype, Pooling

PANEL = "The network"


@dataclass(frozen=True)
class NetworkSettings:
    """A network of ours; rooms inherit it, and add what they can be told."""

    backbone: str = setting(
        "vgg19", metavar="NAME", help="The network: vgg11, vgg13, vgg16, vgg19, with _bn too.", panel=PANEL
    )
    weights: str = setting(
        "auto", metavar="NAME|PATH", help="Its weights: a name of `vggapps weights list`, or a file.", panel=PANEL
    )
    pooling: Pooling = setting("max", help="Average and L2 pooling give smoother pictures.", panel=PANEL)
    device: str = setting("auto", metavar="auto|cpu|cuda|mps", help="Where to compute.", panel=PANEL)
    dtype: Dtype = setting(
        "auto",
        help="Of the convolutions; auto is bfloat16 where the machine has instructions for it.",
        panel=PANEL,
    )

    def __post_init__(self) -> None:
        check(self)
