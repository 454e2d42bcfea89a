"""Settings of the network, which several rooms share: which one, how its file is read, how it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggapps.settings import check, setting
from vggapps.vgg._plan import Dtype, Head, Pooling

PANEL = "The network"


def backbone_setting() -> Any:
    """The network of one run, as :func:`~vggapps.weights.load_network` takes it."""
    return setting(
        "auto",
        metavar="NAME",
        help="The network: auto, vgg16, a name of `vggapps weights list`, a file, or vgg16=FILE.",
        panel=PANEL,
        files=True,
    )


def device_setting(panel: str = PANEL) -> Any:
    """Where to compute."""
    return setting("auto", metavar="auto|cpu|cuda|mps", help="Where to compute.", panel=panel)


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """Facts that a file of weights may not state."""

    convention: str | None = setting(
        None,
        metavar="NAME",
        help="Input normalization of a file of weights: imagenet (torchvision), oxford (Caffe, Keras), plain "
        "([0, 1]), signed ([-1, 1]).",
        panel=PANEL,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class ClassSettings(FileSettings):
    """The same for a network with classes."""

    classes: str | None = setting(
        None,
        metavar="FILE|FOLDER|numbers",
        help="Names of the network's outputs: a text file with one name per line, a JSON file, a folder of class "
        "folders in ImageFolder's order, or numbers.",
        panel=PANEL,
        files=True,
    )


@dataclass(frozen=True)
class NetworkSettings(FileSettings):
    """A VGG; settings of commands inherit this."""

    backbone: str = backbone_setting()
    pooling: Pooling = setting("max", help="Pooling; average and l2 give smoother pictures.", panel=PANEL)
    device: str = device_setting()
    dtype: Dtype = setting(
        "auto",
        help="Dtype of the convolutions; auto is bfloat16 if the device has instructions for it.",
        panel=PANEL,
    )


@dataclass(frozen=True)
class LayersSettings:
    """Settings of the table of layers."""

    size: str = setting(
        "224", metavar="SIDE|WIDTHxHEIGHT", help="Size of the picture in pixels: 224 or 640x480.", panel="Options"
    )
    head: Head = setting("fc", help="Layers after pool5.", panel="Options")

    def __post_init__(self) -> None:
        check(self)
