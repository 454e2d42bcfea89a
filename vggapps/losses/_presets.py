"""Perceptual losses of papers and their published code: layers, weights, criterion, network, input, source.

Only the terms of network features are included. Other terms of a method, such as a pixel loss or an adversarial loss,
are listed in ``beside`` with their weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from vggapps.losses._style import published_gram
from vggapps.losses._terms import Term
from vggapps.vgg._normalize import SIGNED, Convention
from vggapps.vgg._pooling import Pooling


@dataclass(frozen=True)
class Preset:
    """One published loss.

    Attributes:
        name: of the method.
        terms: of the sum.
        backbone: name of the paper's network and weights.
        source: paper and code.
        pooling: of the network.
        convention: of its input, if it differs from that of the weights.
        beside: the other terms of the method.
    """

    name: str
    terms: tuple[Term, ...]
    backbone: str
    source: str
    pooling: Pooling = "max"
    convention: Convention | None = None
    beside: str = ""


def _ones(block: int) -> list[str]:
    return [f"relu{b}_1" for b in range(1, block + 1)]


_REAL_ESRGAN = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
_PIX2PIXHD = {layer: 10 * weight for layer, weight in zip(_ones(5), (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1), strict=True)}
_LAMA = [f"relu{b}_{i}" for b, count in enumerate((2, 2, 4, 4, 1), 1) for i in range(1, count + 1)]
_STROTSS = ("image", *(f"relu{at}" for at in ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_3", "5_3")))


def _sharing(layers: tuple[str, ...], weight: float) -> dict[str, float]:
    return dict.fromkeys(layers, weight / len(layers))


_ALL = (
    Preset(
        "gatys",
        (
            Term({"relu4_2": 1.0}, "squared-error"),
            Term(dict.fromkeys(_ones(5), 1e3 / 5), "gram-gatys", "style"),
        ),
        "vgg19-installed",
        "Gatys 2016, eq. 1, 4, 5 and 7, with a ratio of content to style of 1e-3",
        pooling="mean",
    ),
    Preset(
        "johnson",
        (
            Term({"relu3_3": 1.0}, "l2"),
            Term(dict.fromkeys(("relu1_2", "relu2_2", "relu3_3", "relu4_3"), 5.0), "gram-johnson", "style"),
        ),
        "vgg16-caffe",
        "Johnson 2016; weights of jcjohnson/fast-neural-style",
        beside="total variation 1e-6 in units of 0..255",
    ),
    Preset(
        "srgan",
        (Term({"relu5_4": 0.006}, "l2"),),
        "vgg19-installed",
        "Ledig 2017, eq. 5: VGG54 of features divided by 12.75",
        beside="adversarial 1e-3",
    ),
    Preset(
        "esrgan",
        (Term({"conv5_4": 1.0}, "l1"),),
        "vgg19-convolutions",
        "Wang 2018, eq. 3; options of XPixelGroup/BasicSR",
        beside="pixel L1 1e-2, adversarial 5e-3",
    ),
    Preset(
        "real-esrgan",
        (Term(_REAL_ESRGAN, "l1"),),
        "vgg19-convolutions",
        "Wang 2021; options of xinntao/Real-ESRGAN",
        beside="pixel L1 1, adversarial 0.1",
    ),
    Preset(
        "pix2pixhd",
        (Term(_PIX2PIXHD, "l1"),),
        "vgg19-convolutions",
        "Wang 2018; NVIDIA/pix2pixHD, lambda_feat 10 included",
        convention=SIGNED,
        beside="adversarial 1, discriminator's features 10",
    ),
    Preset(
        "spade",
        (Term(_PIX2PIXHD, "l1"),),
        "vgg19-convolutions",
        "Park 2019; NVlabs/SPADE, lambda_vgg 10 included",
        convention=SIGNED,
        beside="adversarial 1, discriminator's features 10, KLD 0.05",
    ),
    Preset(
        "pconv-inpainting",
        (
            Term(dict.fromkeys(("pool1", "pool2", "pool3"), 0.05), "l1"),
            Term(
                dict.fromkeys(("pool1", "pool2", "pool3"), 120.0),
                partial(published_gram, normalize="johnson", criterion="l1"),
                "style",
            ),
        ),
        "vgg16-convolutions",
        "Liu 2018, eq. 2-7; for the output, and again for the output with the known pixels inserted",
        beside="L1 1 where known, 6 in the hole, total variation 0.1",
    ),
    Preset(
        "lama",
        (Term(dict.fromkeys(_LAMA, 1.0), "l2"),),
        "vgg19-convolutions",
        "advimman/lama, its VGG loss; the paper's own (Suvorov 2022) needs a segmentation network",
        pooling="mean",
        beside="adversarial 10, discriminator's features 100, R1 0.001, L1 10 where known",
    ),
    Preset(
        "contextual",
        (
            Term({"relu4_2": 1.0}, "contextual"),
            Term({"relu3_2": 1.0, "relu4_2": 1.0}, "contextual", "style"),
        ),
        "vgg19-installed",
        "Mechrez 2018; roimehrez/contextualLoss: h 0.5, the source at conv4_2, the target at conv3_2 and conv4_2",
    ),
    Preset(
        "strotss",
        (
            Term(_sharing(_STROTSS, 0.5), "self-similarity", joined=True),
            Term(_sharing(_STROTSS, 0.25), "relaxed-emd", "style", joined=True),
            Term(_sharing(_STROTSS, 0.25), "mean-covariance-l1", "style", joined=True),
        ),
        "vgg16-convolutions",
        "Kolkin 2019; its weights α / (2 + α) and 1 / (2 + α) with α = 2, the last of its scales; no palette term",
    ),
)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
"""The published losses of ``PerceptualLoss.preset``, by name."""
