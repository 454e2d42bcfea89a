"""Which network, how its file is read, and how it runs: what the settings of several rooms share."""

from __future__ import annotations

from dataclasses import dataclass

from vggapps.settings import check, setting
from vggapps.vgg._plan import Dtype, Head, Pooling

PANEL = "The network"
BACKBONE = "The network: auto, vgg16, a name of `vggapps weights list`, a file, or vgg16=FILE."


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """What a file of weights may not say of itself."""

    convention: str | None = setting(
        None,
        metavar="NAME",
        help="What a file's network wants as input: imagenet (torchvision's), oxford (Caffe's and Keras's), plain "
        "([0, 1]), signed ([-1, 1]).",
        panel=PANEL,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class ClassSettings(FileSettings):
    """The same of a network with classes."""

    classes: str | None = setting(
        None,
        metavar="FILE|FOLDER|numbers",
        help="Names of the network's outputs: a file, a name a line or JSON; a folder of class folders, in "
        "ImageFolder's order; or numbers.",
        panel=PANEL,
        files=True,
    )


@dataclass(frozen=True)
class NetworkSettings(FileSettings):
    """A network of ours; rooms inherit it, and add what they can be told."""

    backbone: str = setting("auto", metavar="NAME", help=BACKBONE, panel=PANEL, files=True)
    pooling: Pooling = setting("max", help="Average and L2 pooling give smoother pictures.", panel=PANEL)
    device: str = setting("auto", metavar="auto|cpu|cuda|mps", help="Where to compute.", panel=PANEL)
    dtype: Dtype = setting(
        "auto",
        help="Of the convolutions; auto is bfloat16 where the machine has instructions for it.",
        panel=PANEL,
    )


@dataclass(frozen=True)
class LayersSettings:
    """Of which picture and head layers are listed."""

    size: str = setting(
        "224", metavar="SIDE|WIDTHxHEIGHT", help="The picture, in pixels: 224, or 640x480.", panel="Options"
    )
    head: Head = setting("fc", help="What follows pool5.", panel="Options")

    def __post_init__(self) -> None:
        check(self)
