"""Settings of classifications, evaluations and localizations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from vggapps.settings import setting
from vggapps.vgg._plan import Device, Dtype
from vggapps.vgg._settings import PANEL, ClassSettings, device_setting

Views = Literal["center", "ten", "dense", "multi-scale", "multi-crop", "multi-crop+dense"]

_setting = partial(setting, panel="Options")


@dataclass(frozen=True)
class ClassifierSettings(ClassSettings):
    """The networks of a classifier."""

    backbone: tuple[str, ...] = setting(
        ("auto",),
        help="Networks; their probabilities are averaged: auto, vgg16, a name of weights, a file, or vgg16=FILE.",
        metavar="NAME,...",
        panel=PANEL,
        files=True,
    )
    device: Device = device_setting()
    dtype: Dtype = setting("auto", help="Number format of the network; auto: bfloat16 where it is fast.", panel=PANEL)


@dataclass(frozen=True)
class ClassifySettings(ClassifierSettings):
    """Settings of a classification."""

    views: Views = _setting("center", help="Which crops of a picture are classified.")
    top: int = _setting(5, help="Number of classes to list.", minimum=1, metavar="N")


@dataclass(frozen=True)
class EvaluateSettings(ClassifierSettings):
    """Settings of an evaluation."""

    views: Views = _setting("center", help="Which crops of a picture are classified.")
    boxes: str | None = _setting(
        None, metavar="FILE.csv", help="Ground truth boxes: evaluate localization, too.", files=True
    )
    boxes_from: str | None = _setting(None, metavar="FILE", help="Trained box regression, .safetensors.", files=True)


@dataclass(frozen=True)
class LocalizeSettings(ClassifierSettings):
    """Settings of a localization."""

    top: int = _setting(1, help="Number of classes to localize, the most probable first.", minimum=1, metavar="N")
    boxes_from: str | None = _setting(None, metavar="FILE", help="Trained box regression, .safetensors.", files=True)

    @property
    def views(self) -> Views:
        """The whole picture: an object may be anywhere."""
        return "dense"
