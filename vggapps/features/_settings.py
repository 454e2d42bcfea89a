"""Settings of extraction, similarity search and probes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from vggapps.settings import check, setting
from vggapps.vgg._settings import PANEL, device_setting

Pool = Literal["avg", "max", "avg+max", "pyramid", "none"]
Kind = Literal["linear", "mlp", "radial", "knn"]

_setting = partial(setting, panel="Options")


@dataclass(frozen=True)
class ExtractSettings:
    """Settings of an extraction."""

    layer: str = _setting("pool5", metavar="NAME", help="Layer: relu5_3, pool5, fc7, ...")
    pool: Pool = _setting("avg", help="How to pool the feature map.")
    size: int | None = _setting(
        None,
        minimum=1,
        metavar="SIDE",
        help="Side of the square in pixels; by default that of the network's training, mostly 224.",
    )
    backbone: str = setting(
        "auto", metavar="NAME", help="The network; auto is vgg19, which is installed.", panel=PANEL, files=True
    )
    device: str = device_setting()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class SimilarSettings:
    """Settings of a similarity search."""

    top: int = _setting(12, minimum=1, metavar="N", help="Number of matches.")
    layer: str | None = _setting(None, metavar="NAME", help="Layer; by default pool5, or the table's.")
    pool: Pool | None = _setting(None, help="How to pool feature maps; by default avg, or the table's.")
    device: str = device_setting()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ProbeSettings:
    """Settings of a probe."""

    labels: str | None = _setting(None, metavar="FILE", help="CSV of file,class; by default folder names.")
    kind: Kind = _setting("linear", help="Kind of classifier.")
    teacher: str | None = _setting(None, metavar="FILE", help="A teacher's logits to learn from, .npy.")
    hidden: int = _setting(1024, minimum=1, metavar="N", help="Hidden units of mlp, centers of radial.")
    epochs: int | None = _setting(
        None, minimum=0, metavar="N", help="Epochs of mlp (50), or of linear with a teacher after ridge regression (0)."
    )
    root: bool = _setting(False, help="Use the signed square roots of the features.")
    seed: int = _setting(0, minimum=0, metavar="N", help="Random seed of the split and the training.")
    test: float = _setting(0.2, metavar="FRACTION", help="Held-out share of the pictures.")

    def __post_init__(self) -> None:
        check(self)
