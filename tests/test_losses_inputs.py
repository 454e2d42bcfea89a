"""Pictures, masks and names that can't be right are refused, in a line that says what to do instead."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.reference.narrow import network, perceptual, pictures
from tests.reference.published import seeded
from vggapps.errors import SettingsError
from vggapps.losses import DISTS, LPIPS, Bundle, PerceptualLoss
from vggapps.losses._trunk import Trunk

X, Y = pictures(1), pictures(2)
ONES = torch.ones(2, 1, 37, 46)


def alexnet() -> Trunk:
    return Trunk("alexnet", seeded("alexnet"), "seeded")


def changed(t: Tensor, number: float) -> Tensor:
    other = t.clone()
    other[1, 2, 3, 4] = number
    return other


PICTURES: dict[str, tuple[Any, Any, str]] = {
    "0..255": (X, 255 * Y, r"looks like 0\.\.255, not 0\.\.1 \(make the loss with range='0\.\.255'"),
    "-1..1": (X, 2 * Y - 1, r"looks like -1\.\.1, not 0\.\.1 \(make the loss with range='-1\.\.1'"),
    "both 0..255": (255 * X, 255 * Y, r"looks like 0\.\.255"),
    "not a number": (X, changed(Y, math.nan), r"the target has infinite or NaN values \(check how"),
    "infinite": (X, changed(Y, -math.inf), "the target has infinite"),
    "uint8": ((255 * X).byte(), (255 * Y).byte(), r"torch\.uint8.*divide it by 255.*range='0\.\.255'"),
    "C×H×W": (X[0], Y[0], r"3 × 37 × 46, not N × 3 × H × W \(for one picture use image\[None\]\)"),
    "C×H×W and a batch": (X[0], Y, r"3 × 37 × 46, not N × 3 × H × W"),
    "H×W×C": (X[0].permute(1, 2, 0), Y[0], r"37 × 46 × 3, not N"),
    "N×H×W×C": (X.permute(0, 2, 3, 1), Y.permute(0, 2, 3, 1), r"N × H × W × C: image\.permute\(0, 3, 1, 2\)"),
    "RGBA": (X[:, [0, 1, 2, 0]], Y[:, [0, 1, 2, 0]], r"4 channels \(.*drop alpha: image\[:, :3\]"),
    "two channels": (X[:, :2], Y[:, :2], r"2 channels \(give it as RGB or grey\)"),
    "a film": (X[None], Y[None], r"flatten the frames of a film: film\.flatten\(0, 1\)"),
    "nobody": (X[:0], Y[:0], r"the batch is empty \(skip empty batches\)"),
    "other numbers": (X, Y[:1], r"2 pictures and 1 targets \(prepare a target that serves all: loss\.prepare\(y\)"),
    "swapped": (X, Y.clone().requires_grad_(), r"swap them: loss\(output, target\)"),
    "too small": (X[..., :3, :], Y[..., :3, :], r"46×3: these layers need at least 4×4 pixels \(use an earlier layer"),
    "another device": (X, Y.to("meta"), r"on meta, the loss on cpu \(move one of them: loss\.to\('meta'\) or picture"),
    "numpy": (X.numpy(), Y, r"given as ndarray and Tensor \(pass tensors, N × 3 × H × W\)"),
    "numpy target": (X, Y.numpy(), r"given as Tensor and ndarray"),
    "nothing": (X, None, "given as Tensor and NoneType"),
}


@pytest.mark.parametrize("case", PICTURES)
def test_wrong_pictures(case: str) -> None:
    x, y, words = PICTURES[case]
    for loss in (perceptual(), Bundle({"a": perceptual()})):
        with pytest.raises(SettingsError, match=words):
            loss(x, y)


@pytest.mark.parametrize("case", ["0..255", "-1..1", "not a number", "uint8", "RGBA", "nobody", "another device"])
def test_wrong_targets_are_told_when_they_are_prepared(case: str) -> None:
    _, y, words = PICTURES[case]
    with pytest.raises(SettingsError, match=words):
        perceptual().prepare(y)


def test_a_numpy_picture_beside_a_prepared_target_and_a_target_left_elsewhere() -> None:
    loss = perceptual()
    with pytest.raises(SettingsError, match=r"of type ndarray \(give a tensor"):
        loss(X.numpy(), loss.prepare(Y))
    with pytest.raises(SettingsError, match=r"target is on meta, the picture on cpu \(move it: target\.to\('cpu'\)\)"):
        loss(X, loss.prepare(Y).to("meta"))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (2 * X - 1, r"that looks like -1\.\.1, not 0\.\.1 \(make the loss with range='-1\.\.1'"),
        (20 * X, r"that looks like 0\.\.255, not 0\.\.1 \(make the loss with range='0\.\.255'"),
        (255 * X, r"run from 0\.\d+ to 25\d: that looks like 0\.\.255"),
        (9 * X - 4, r"run from -4 to 5: that is not 0\.\.1 \(bring the picture into 0\.\.1\)"),
        (1e6 * X, r"run from .* to 1e\+06: that is not 0\.\.1"),
    ],
)
def test_what_is_trained_may_run_wild_and_is_warned_of_once(x: Tensor, words: str) -> None:
    """However wild: a training does not stop at one bad step. Its caller is told where it went on."""
    loss = perceptual()
    with pytest.warns(UserWarning, match=words) as caught:
        loss(x, Y)
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(x * 0.99, Y)  # other numbers, which a filter of equal words would let through


def test_what_overflowed_in_training_is_left_to_the_scaler_of_gradients() -> None:
    for number in (math.nan, math.inf):
        assert not perceptual()(changed(X, number), Y).isfinite()


def test_pictures_that_run_over_a_little_are_no_cause_for_words() -> None:
    for image in (1.3 * X - 0.15, torch.zeros_like(X), torch.ones_like(X)):
        assert perceptual()(image, image) == 0
    dark = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    dark[0, 0, 0, 0] = 1
    for frame in (dark, dark.float()):
        assert perceptual(range="0..255")(frame, frame) == 0
    with pytest.raises(SettingsError, match=r"looks like 0\.\.1, not 0\.\.255"):
        perceptual(range="0..255")(X, Y)


MASKS: dict[str, tuple[Any, str]] = {
    "H×W": (ONES[0, 0], r"the mask is 37 × 46 \(its shape must be 2 × 1 × H × W\)"),
    "three channels": (ONES.expand(-1, 3, -1, -1), r"2 × 3 × 37 × 46 \(its shape must be 2 × 1"),
    "other numbers": (torch.ones(3, 1, 37, 46), "3 × 1 × 37 × 46"),
    "another size": (ONES[..., :40], r"the mask is 40×37, the picture 46×37 \(make both the same size\)"),
    "negative": (-ONES, r"negative, infinite or NaN values \(give each position a weight of 0 or more\)"),
    "not a number": (ONES * math.nan, "negative, infinite or NaN values"),
    "numpy": (ONES.numpy(), r"the mask is of type ndarray \(pass a tensor, N × 1 × H × W\)"),
    "another device": (ONES.to("meta"), r"the mask is on meta, the picture on cpu \(move it: mask\.to\('cpu'\)\)"),
}


@pytest.mark.parametrize("case", MASKS)
def test_wrong_masks(case: str) -> None:
    mask, words = MASKS[case]
    with pytest.raises(SettingsError, match=words):
        perceptual()(X, Y, mask=mask)


def test_a_mask_with_a_map_or_a_target_of_another_size() -> None:
    with pytest.raises(SettingsError, match=r"a map takes no mask \(multiply the map by the mask\)"):
        perceptual()(X, Y, mask=ONES, map=True)
    with pytest.raises(SettingsError, match=r"with its own mask: loss\.prepare\(y, mask=\.\.\.\)"):
        perceptual(criterion="gram")(X, Y[..., :40], mask=ONES)


OPTIONS: dict[str, tuple[Callable[[], Any], str]] = {
    "layer": (lambda: perceptual("relu33"), r"no layer 'relu33' \(did you mean 'relu3_3'\?"),
    "style layer": (lambda: perceptual(style_layers=["rel1_1"]), "did you mean 'relu1_1'"),
    "criterion": (lambda: perceptual(criterion="charbonier"), "no criterion 'charbonier'.*did you mean 'charbonnier'"),
    "no criterion": (lambda: perceptual(criterion=3), r"the criterion is 3 \(pass a name such as 'l1' or a function"),
    "preset": (lambda: PerceptualLoss.preset("jonson"), "no preset 'jonson' .did you mean 'johnson'"),
    "reduction": (lambda: perceptual(reduction="avg"), "no reduction 'avg'.*mean, sum, none"),
    "range": (lambda: perceptual(range="-1,1"), r"no range of pictures '-1,1' \(did you mean '-1\.\.1'"),
    "resize": (lambda: perceptual(resize="256"), r"resize is '256' \(give the shorter side in pixels, or \(height"),
    "resize to 0": (lambda: perceptual(resize=0), "resize is 0"),
    "resize to three": (lambda: perceptual(resize=(1, 2, 3)), r"resize is \(1, 2, 3\)"),
    "backbone": (lambda: PerceptualLoss(backbone="vgg91"), "no network 'vgg91' .did you mean 'vgg19'"),
    "a module": (lambda: PerceptualLoss(backbone=nn.Linear(1, 1)), r"backbone is a Linear \(give a network's name"),  # type: ignore[arg-type]
    "net": (lambda: LPIPS("vgg16"), "no net of LPIPS 'vgg16' .did you mean 'vgg'"),  # type: ignore[arg-type]
    "version": (lambda: LPIPS(version="0.2"), "no version of LPIPS '0.2'"),  # type: ignore[arg-type]
    "LPIPS of VGG-19": (lambda: LPIPS(backbone=network()), r"calibrated on vgg16, not narrow \(pass a network vgg16\)"),
    "LPIPS of a VGG": (lambda: LPIPS("alex", backbone=network()), "net='alex' is calibrated on alexnet, not narrow"),
    "LPIPS of an AlexNet": (lambda: LPIPS(backbone=alexnet()), "net='vgg' is calibrated on vgg16, not alexnet"),
    "SqueezeNet": (lambda: LPIPS("squeeze", backbone=alexnet()), "calibrated on squeezenet1_1, not alexnet"),
    "DISTS of VGG-19": (lambda: DISTS(backbone=network()), r"DISTS is calibrated on vgg16, not narrow \(pass a vgg16"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_wrong_options(case: str) -> None:
    make, words = OPTIONS[case]
    with pytest.raises(SettingsError, match=words):
        make()


def test_metrics_refuse_the_same() -> None:
    loss = LPIPS("alex", backbone=alexnet())
    x, y = pictures(1, 2, 32, 40), pictures(2, 2, 32, 40)
    for wrong, words in ((255 * y, "looks like"), (y[:1], "2 pictures and 1 targets"), (y.numpy(), "ndarray")):
        with pytest.raises(SettingsError, match=words):
            loss(x, wrong)
    with pytest.raises(SettingsError, match=r"30×32: these layers need at least 31×31 pixels"):
        loss(x[..., :30], y[..., :30])
    with pytest.raises(SettingsError, match="LPIPS compares position by position"):
        loss(x, pictures(2, 2, 64, 64))


def test_the_smallest_sizes_that_are_asked_for_are_enough() -> None:
    for layer, side in (("relu1_2", 1), ("pool1", 2), ("relu3_1", 4), ("relu5_4", 16), ("pool5", 32)):
        loss = perceptual(layer, "gram")
        assert loss.side == side
        assert loss(pictures(1, 1, side, side), pictures(2, 1, side, side)).isfinite()
        if side > 1:
            with pytest.raises(SettingsError, match=f"need at least {side}×{side} pixels"):
                loss(pictures(1, 1, side - 1, side), pictures(2, 1, side - 1, side))
    assert LPIPS("alex", backbone=alexnet())(pictures(1, 1, 31, 31), pictures(2, 1, 31, 31)).isfinite()
