"""What one can say about a classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vggapps.errors import SettingsError
from vggapps.settings import check, setting
from vggapps.vgg._plan import Device, Dtype
from vggapps.vgg._settings import ClassSettings

Views = Literal["center", "ten", "dense", "multi-scale", "multi-crop", "multi-crop+dense"]


@dataclass(frozen=True)
class ClassifySettings(ClassSettings):
    """How pictures are classified."""

    backbone: tuple[str, ...] = setting(
        ("auto",),
        help="Networks, whose probabilities are averaged: auto, vgg16, a name of weights, a file, or vgg16=FILE.",
        metavar="NAME,...",
    )
    views: Views = setting("center", help="What of a picture is looked at.")
    top: int = setting(5, help="How many classes are named.", minimum=1, metavar="N")
    device: Device = setting("auto", help="Where to compute.", metavar="auto|cpu|cuda|mps")
    dtype: Dtype = setting("auto", help="Of the network; auto is bfloat16 where it is fast.")

    def __post_init__(self) -> None:
        check(self)
        if not self.backbone:
            raise SettingsError("no backbone is named", "auto takes what is on this machine")
