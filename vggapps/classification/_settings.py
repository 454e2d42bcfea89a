"""Settings of classifications, evaluations and localizations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from vggapps.errors import SettingsError
from vggapps.settings import check, setting
from vggapps.vgg._plan import Device, Dtype
from vggapps.vgg._settings import PANEL, ClassSettings

Views = Literal["center", "ten", "dense", "multi-scale", "multi-crop", "multi-crop+dense"]

_setting = partial(setting, panel="Options")


@dataclass(frozen=True)
class ClassifierSettings(ClassSettings):
    """Which networks classify."""

    backbone: tuple[str, ...] = setting(
        ("auto",),
        help="Networks, whose probabilities are averaged: auto, vgg16, a name of weights, a file, or vgg16=FILE.",
        metavar="NAME,...",
        panel=PANEL,
        files=True,
    )
    device: Device = setting("auto", help="Where to compute.", metavar="auto|cpu|cuda|mps", panel=PANEL)
    dtype: Dtype = setting("auto", help="Of the network; auto is bfloat16 where it is fast.", panel=PANEL)

    def __post_init__(self) -> None:
        check(self)
        if not self.backbone:
            raise SettingsError("no backbone is named", "auto takes what is on this machine")


@dataclass(frozen=True)
class ClassifySettings(ClassifierSettings):
    """How pictures are classified."""

    views: Views = _setting("center", help="What of a picture is looked at.")
    top: int = _setting(5, help="How many classes are named.", minimum=1, metavar="N")


@dataclass(frozen=True)
class EvaluateSettings(ClassifierSettings):
    """How a classifier is measured."""

    views: Views = _setting("center", help="What of a picture is looked at.")
    boxes: str | None = _setting(
        None, metavar="FILE.csv", help="True boxes: measure also where objects are found.", files=True
    )
    boxes_from: str | None = _setting(None, metavar="FILE", help="Trained boxes, .safetensors.", files=True)


@dataclass(frozen=True)
class LocalizeSettings(ClassifierSettings):
    """What is localized."""

    top: int = _setting(1, help="How many of the most probable classes are localized.", minimum=1, metavar="N")
    boxes_from: str | None = _setting(None, metavar="FILE", help="Trained boxes, .safetensors.", files=True)

    @property
    def views(self) -> Views:
        """All of a picture: an object may be anywhere."""
        return "dense"
