"""What one can say about features: how they are extracted, compared and learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from vggapps.settings import check, setting
from vggapps.vgg._settings import PANEL

Pool = Literal["avg", "max", "avg+max", "pyramid", "none"]

_setting = partial(setting, panel="Options")


@dataclass(frozen=True)
class ExtractSettings:
    """What becomes a row of numbers."""

    layer: str = _setting("pool5", metavar="NAME", help="Whose output: relu5_3, pool5, fc7, ...")
    pool: Pool = _setting("avg", help="How a map becomes a row.")
    size: int = _setting(224, minimum=1, metavar="SIDE", help="Side of the square, in pixels.")
    backbone: str = setting(
        "auto", metavar="NAME", help="The network; auto is vgg19, which is installed.", panel=PANEL, files=True
    )
    device: str = setting("auto", help="Where to compute.", metavar="auto|cpu|cuda|mps", panel=PANEL)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class SimilarSettings:
    """What makes pictures similar, and how many are looked for."""

    top: int = _setting(12, minimum=1, metavar="N", help="How many.")
    layer: str | None = _setting(None, metavar="NAME", help="Whose output; by default pool5, or the table's.")
    pool: Pool | None = _setting(None, help="How maps become rows; by default avg, or the table's.")
    device: str = setting("auto", help="Where to compute.", metavar="auto|cpu|cuda|mps", panel=PANEL)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ProbeSettings:
    """What is learnt, and how."""

    labels: str | None = _setting(None, metavar="FILE", help="CSV of file,class; by default folders' names.")
    kind: Literal["linear", "mlp", "radial", "knn"] = _setting("linear", help="What learns.")
    teacher: str | None = _setting(None, metavar="FILE", help="Logits to learn, .npy.")
    hidden: int = _setting(1024, minimum=1, metavar="N", help="Hidden units of mlp, centres of radial.")
    epochs: int | None = _setting(
        None, minimum=0, metavar="N", help="Of mlp (50); of linear with a teacher, after ridge regression (0)."
    )
    root: bool = _setting(False, help="Learn from the features' signed square roots.")
    seed: int = _setting(0, minimum=0, metavar="N", help="Of the split and of what is random.")
    test: float = _setting(0.2, metavar="FRACTION", help="Share of the pictures that is held out.")

    def __post_init__(self) -> None:
        check(self)
