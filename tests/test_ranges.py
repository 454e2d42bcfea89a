"""One diagnosis of what a picture's numbers are in, and everybody who takes a tensor uses it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import normalize

from tests.reference.narrow import NARROW, network, perceptual, pictures
from vggapps._ranges import kind_of
from vggapps.classification._classifier import Classifier
from vggapps.classification._localize import locate
from vggapps.errors import SettingsError
from vggapps.explanation._methods import explain_batch
from vggapps.image import Picture, open_picture, rgb_of
from vggapps.losses import Bundle, functional
from vggapps.optimize._step import last
from vggapps.vgg._extractor import FeatureExtractor
from vggapps.vgg._network import VGG, initialize
from vggapps.visualization._activations import maps_of
from vggapps.visualization._inversion import invert_steps

X = pictures(1, 1, 32, 40).float()
LEVELS = (255 * X).round()
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # as torchvision's documentation states them
CAFFE = (LEVELS - 255 * torch.tensor(MEAN).view(3, 1, 1)).flip(1)  # Keras' preprocess_input, mode caffe, about

# A way to store one and the same picture, what it is called, and what to do.
STORED: dict[str, tuple[Tensor, str, str]] = {
    "-1..1": (2 * X - 1, r"looks like -1\.\.1", r"\(picture \+ 1\) / 2|range='-1\.\.1'"),
    "0..255": (255 * X, r"looks like 0\.\.255", r"divide it by 255|range='0\.\.255'"),
    "imagenet": (normalize(X, MEAN, STD), "normalized by ImageNet's mean and std", r"picture \* std \+ mean"),
    "caffe": (CAFFE, r"looks like 0\.\.255 minus the mean", "add the mean, and divide by 255"),
    "12 bits": ((4095 * X).round(), "12-bit values", "divide it by 4095"),
    "16 bits": ((65535 * X).round(), "16-bit values", "divide it by 65535"),
}
stored = pytest.mark.parametrize("name", STORED)


@stored
@pytest.mark.parametrize("range", ["0..1", "-1..1", "0..255"])
def test_a_target_of_another_kind_is_named_whatever_range_was_declared(name: str, range: str) -> None:
    """So that no hint leads to the next error."""
    image, kind, remedy = STORED[name]
    loss = perceptual(range=range).float()
    if name == range:
        assert loss(image, image) == 0
        return
    for refused in (loss, Bundle({"a": loss})):
        with pytest.raises(SettingsError, match=f"{kind}.*({remedy})"):
            refused(image, image)


@stored
def test_the_remedy_that_is_named_is_the_cure(name: str) -> None:
    image, kind = STORED[name][0], kind_of(*map(float, STORED[name][0].aminmax()))
    assert kind is not None
    mean, std = (torch.tensor(row).view(3, 1, 1) for row in (MEAN, STD))
    cures: dict[str, Callable[[Tensor], Tensor]] = {
        "(picture + 1) / 2": lambda picture: (picture + 1) / 2,
        "picture * std + mean": lambda picture: picture * std + mean,
        "divide it by 255": lambda picture: picture / 255,
        "add the mean": lambda picture: picture.flip(1) / 255 + mean,
        "divide it by 4095": lambda picture: picture / 4095,
        "divide it by 65535": lambda picture: picture / 65535,
    }
    cure = next(cure for words, cure in cures.items() if words in kind.remedy)
    assert torch.allclose(cure(image), X, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64, torch.float32])
def test_levels_above_255_are_no_range(dtype: torch.dtype) -> None:
    loss = perceptual(range="0..255").float()
    levels = (4095 * X).to(dtype)
    for x, y in ((levels, levels), (levels, loss.prepare(LEVELS))) if dtype != torch.float32 else ((levels, levels),):
        with pytest.raises(SettingsError, match=r"12-bit values, not 0\.\.255 \(divide it by 4095.*range='0\.\.1'"):
            loss(x, y)
    assert loss(LEVELS.to(dtype), LEVELS.to(dtype)) == 0
    resampled = 1.3 * LEVELS - 35  # bicubic enlarging runs over both ends
    assert loss(resampled, resampled) == 0


@pytest.mark.parametrize("range", ["0..1", "0..255"])
def test_uint16_is_told_what_to_divide_by(range: str) -> None:
    levels = (65535 * X).to(torch.uint16)
    with pytest.raises(SettingsError, match=r"torch\.uint16 \(divide it by 65535"):
        perceptual(range=range)(levels, levels)
    with pytest.raises(SettingsError, match=r"torch\.uint16"):
        FeatureExtractor(network(), ["relu2_1"])(levels)
    assert torch.allclose(rgb_of(levels), X, atol=1e-4)


# who takes pictures in [0, 1]


def headed() -> VGG:
    return initialize(VGG(NARROW, head="gap", classes=5)).freeze()


TAKERS: dict[str, Callable[[Tensor], Any]] = {
    "classifier": lambda image: Classifier(headed(), device="cpu")(image),
    "one of a batch": lambda image: Classifier(headed(), device="cpu")([X, image]),
    "picture": lambda image: Classifier(headed(), device="cpu")(Picture(image)),
    "open_picture": lambda image: open_picture(Picture(image)),
    "explain": lambda image: explain_batch(headed(), image, 1, "gradient"),
    "locate": lambda image: locate([headed()], image, [1]),
    "maps": lambda image: maps_of(headed(), "relu2_1", image),
    "invert": lambda image: last(invert_steps(image, "relu2_1", network=headed(), steps=1, size=32)),
}
takers = pytest.mark.parametrize("taker", TAKERS)


@takers
@stored
def test_what_takes_pictures_refuses_other_kinds_by_name(taker: str, name: str) -> None:
    image, kind, remedy = STORED[name]
    with pytest.raises(SettingsError, match=f"{kind}.*({remedy})"):
        TAKERS[taker](image)


def test_levels_are_divided_alike() -> None:
    network, levels = headed(), LEVELS.byte()
    found = explain_batch(network, levels, 1, "gradient").map
    torch.testing.assert_close(found, explain_batch(network, LEVELS / 255, 1, "gradient").map)
    torch.testing.assert_close(maps_of(network, "relu2_1", levels), maps_of(network, "relu2_1", LEVELS / 255))
    classifier = Classifier(network, device="cpu")
    torch.testing.assert_close(classifier.probabilities(levels), classifier.probabilities(LEVELS / 255))


@stored
@pytest.mark.parametrize("measure", [functional.psnr, functional.ssim, functional.focal_frequency])
def test_measures_of_pixels_refuse_a_reference_of_another_kind(name: str, measure: Callable[..., Tensor]) -> None:
    image, kind, remedy = STORED[name]
    assert measure(image, X).isfinite()  # an output may be anything
    with pytest.raises(SettingsError, match=f"{kind}.*({remedy})"):
        measure(image, image)
    with pytest.raises(SettingsError, match=r"torch\.uint8 .convert them"):
        measure(LEVELS.byte(), LEVELS.byte())


# the network itself

SHAPES: dict[str, tuple[Any, str]] = {
    "C×H×W": (X[0], r"3 × 32 × 40, not N × 3 × H × W \(for one picture use image\[None\]\)"),
    "a film": (X[None], r"flatten the frames of a film: film\.flatten\(0, 1\)"),
    "RGBA": (X[:, [0, 1, 2, 0]], r"4 channels \(.*drop alpha: image\[:, :3\]"),
    "two channels": (X[:, :2], "2 channels"),
    "N×H×W×C": (X.permute(0, 2, 3, 1), r"image\.permute\(0, 3, 1, 2\)"),
    "numpy": (X.numpy(), r"of type ndarray \(give a tensor"),
    "small": (X[..., :7, :], r"40×7: these layers need at least 8×8 pixels \(enlarge it, or use an earlier layer\)"),
    "a row": (X[..., :1, :], r"40×1: these layers need at least 8"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_a_network_says_what_is_wrong_with_a_shape(case: str) -> None:
    image, words = SHAPES[case]
    vgg = network().float()
    for run in (FeatureExtractor(vgg, ["relu4_1"]), lambda image: vgg.features(image, ["relu4_1"])):
        with pytest.raises(SettingsError, match=words):
            run(image)


def test_the_smallest_picture_that_is_asked_for_is_enough() -> None:
    for head, layer in (("none", "relu3_2"), ("gap", "fc8"), ("fc", "fc8"), ("conv", "fc8")):
        vgg = initialize(VGG(NARROW, head=head, classes=3)).freeze()
        side = vgg.smallest_side([layer])
        assert vgg.features(torch.rand(1, 3, side, side), [layer])[layer].isfinite().all()
        with pytest.raises(SettingsError, match=f"need at least {side}×{side} pixels"):
            vgg.features(torch.rand(1, 3, side - 1, side), [layer])


@stored
def test_an_extractor_warns_once_at_the_callers_line(name: str) -> None:
    image, kind, remedy = STORED[name]
    extract = FeatureExtractor(network(), ["relu2_1"])
    with pytest.warns(UserWarning, match=f"{kind}.*({remedy})") as caught:
        extract(image)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extract(image * 0.99)
        FeatureExtractor(network(), ["relu2_1"])(1.2 * X - 0.1)


def test_numbers_are_not_looked_at_where_they_can_not_be() -> None:
    extract = FeatureExtractor(network().float(), ["relu2_1"])
    found = torch.func.vmap(lambda image: extract(image[None])["relu2_1"])(255 * torch.cat([X, X]))
    with pytest.warns(UserWarning, match="looks like"):
        torch.testing.assert_close(found[0], extract(255 * X)["relu2_1"], rtol=1e-3, atol=1e-3)
