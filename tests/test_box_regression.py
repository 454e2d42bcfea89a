"""Boxes learnt from windows of bright rectangles on the dark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vggapps.classification._box_regression import (
    BoxRegressor,
    box_examples,
    describe_windows,
    load_boxes,
    save_boxes,
    train_boxes,
)
from vggapps.classification._boxes import Box, iou
from vggapps.errors import SettingsError, WeightsError
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan, Pooled
from vggapps.weights._files import save_weights

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8,)))


def rectangles(seed: int, n: int) -> tuple[Tensor, list[Box], list[int]]:
    """Descriptions of windows with a rectangle in them, its box, and a class.

    What is described is the rectangle; the box of class 1 lies 60 pixels further right and is half as high, as a box
    around "what hangs beside it" would: only a regressor that knows the class can tell.
    """
    random = np.random.default_rng(seed)
    rows, found, classes = [], [], []
    for _ in range(n):
        w, h = random.uniform(60, 110, 2)
        x, y = random.uniform(0, 110, 2)
        picture = torch.zeros(224, 224)
        picture[int(y) : int(y + h), int(x) : int(x + w)] = 1
        rows.append(torch.cat([picture.view(28, 8, 224).amax((1, 2)), picture.view(224, 28, 8).amax((0, 2))]))
        kind = int(random.integers(2))
        found.append(Box(x + 60, y, x + 60 + w, y + h / 2) if kind else Box(x, y, x + w, y + h))
        classes.append(kind)
    return torch.stack(rows), found, classes


def predicted(regressor: BoxRegressor, features: Tensor, classes: Sequence[int]) -> list[Box]:
    return [regressor.predict(f[None, :, None, None], c)[0] for f, c in zip(features, classes, strict=True)]


def test_boxes_are_learnt_and_per_class_where_they_depend_on_the_class() -> None:
    features, truths, classes = rectangles(0, 400)
    new, wanted, kinds = rectangles(1, 100)
    overlaps = {}
    for count in (None, 2):
        regressor = train_boxes(features, truths, classes, count)
        found = predicted(regressor, new, kinds)
        overlaps[count] = np.array([iou(a, b) for a, b in zip(found, wanted, strict=True)])
    assert (overlaps[2] > 0.5).mean() > 0.95
    assert (overlaps[None] > 0.5).mean() < 0.5
    plain = [i for i, kind in enumerate(classes) if not kind]
    single = train_boxes(features[plain], [truths[i] for i in plain])
    same = [i for i, kind in enumerate(kinds) if not kind]
    found = predicted(single, new[same], [0] * len(same))
    assert np.mean([iou(a, wanted[i]) > 0.5 for a, i in zip(found, same, strict=True)]) > 0.95


@pytest.mark.parametrize("n", [30, 90])  # less and more than the 56 numbers of a description
def test_the_weights_are_ridge_regressions(n: int) -> None:
    """The gradient of Euclidean loss plus penalty is zero there."""
    features, truths, _ = rectangles(2, n)
    x = features.double()
    regressor = train_boxes(features, truths, ridge=0.01).double().requires_grad_(True)
    sides = [((b.left + b.right) / 2, (b.top + b.bottom) / 2, b.width, b.height) for b in truths]
    y = torch.tensor(sides, dtype=torch.float64) / 224
    weight = regressor.linear.weight
    penalty = 0.01 * (x - x.mean(0)).square().sum(1).mean()
    loss = (regressor(x)[:, 0] - y).square().sum() + penalty * weight.square().sum()
    loss.backward()
    for gradient, scale in ((weight.grad, x.abs().sum()), (regressor.linear.bias.grad, n)):
        assert gradient is not None
        assert gradient.abs().max() < 1e-5 * float(scale)


def test_a_class_without_examples_has_the_boxes_of_all() -> None:
    features, truths, classes = rectangles(3, 50)
    three, one = train_boxes(features, truths, classes, 3), train_boxes(features, truths)
    torch.testing.assert_close(three(features)[:, 2], one(features)[:, 0])
    assert not torch.allclose(three(features)[:, 1], one(features)[:, 0], atol=0.01)


def test_examples_that_are_none_are_refused() -> None:
    with pytest.raises(SettingsError, match="0 windows"):
        train_boxes(torch.zeros(0, 4), [])
    with pytest.raises(SettingsError, match="2 windows, 1 boxes"):
        train_boxes(torch.zeros(2, 4), [Box(0, 0, 1, 1)])
    with pytest.raises(SettingsError, match="0 to 3 of 3"):
        train_boxes(torch.zeros(2, 4), [Box(0, 0, 1, 1)] * 2, [0, 3], 3)


def test_each_window_tells_of_its_own_place() -> None:
    """A regressor that always says "all of the window" gives the windows."""
    whole = BoxRegressor(4)
    with torch.no_grad():
        whole.linear.weight.zero_()
        whole.linear.bias.copy_(torch.tensor([0.5, 0.5, 1, 1]))
    found = whole.predict(torch.rand(1, 4, 2, 3), 0)
    corners = [(0, 0), (32, 0), (64, 0), (0, 32), (32, 32), (64, 32)]
    assert found == [Box(x, y, x + 224, y + 224) for x, y in corners]
    with pytest.raises(SettingsError, match="a window has 5 features"):
        whole.predict(torch.rand(1, 5, 1, 1), 0)
    with pytest.raises(SettingsError, match="no boxes of class 2"):
        BoxRegressor(4, 2).predict(torch.rand(1, 4, 1, 1), 2)


def network(head: Any = "gap", classes: int = 3) -> VGG:
    return initialize(VGG(NARROW, head=head, classes=classes), "glorot", seed=3).freeze()


def test_a_window_is_described_by_fc7_or_by_ninths_of_pool5() -> None:
    image = torch.rand(1, 3, 256, 288)
    vgg = network("fc")
    windows = describe_windows(vgg, image)
    assert windows.shape == (1, 4096, 2, 3)
    torch.testing.assert_close(windows, vgg.dense().features(image, ["relu7"])["relu7"])
    bare = network("none")
    windows, pool5 = describe_windows(bare, image), bare(image)
    assert windows.shape == (1, 8 * 9, 2, 3)
    for row in range(3):
        for column in range(3):
            square = pool5[0, :, 1 + 2 * row : 4 + 2 * row, 2 + 2 * column : 5 + 2 * column]
            torch.testing.assert_close(windows[0, 3 * row + column :: 9, 1, 2], square.mean((1, 2)))
    with pytest.raises(SettingsError, match="contain no window"):
        describe_windows(bare, torch.rand(1, 3, 223, 300))


def test_windows_are_the_same_where_the_network_ends_at_a_head_before_pool5() -> None:
    image, bare = torch.rand(1, 3, 256, 288), network("none")
    for layer in ("relu5_1", "relu4_1"):
        headed = VGG(NARROW, head="gap", classes=2, pooled=Pooled(layer)).freeze()
        headed.load_state_dict(bare.state_dict(), strict=False)
        if layer == "relu5_1":
            torch.testing.assert_close(describe_windows(headed.dense(), image), describe_windows(bare, image))
        else:
            with pytest.raises(SettingsError, match="ends at relu4_1"):
                describe_windows(headed, image)


def test_windows_learn_from_boxes_that_they_see_half_of() -> None:
    windows = torch.arange(3.0).view(1, 1, 1, 3)  # at 0, 32 and 64
    rows, found = box_examples(windows, Box(200, 10, 264, 50))  # of its width 24, 56 and all 64 pixels are seen
    assert rows.flatten().tolist() == [1, 2]
    assert found == [Box(168, 10, 232, 50), Box(136, 10, 200, 50)]
    assert box_examples(windows, Box(0, 900, 9, 950))[0].shape == (0, 1)


@pytest.mark.parametrize("classes", [None, 3])
def test_boxes_survive_a_file(classes: int | None, tmp_path: Path) -> None:
    regressor, path = BoxRegressor(6, classes), tmp_path / "boxes.safetensors"
    save_boxes(regressor, path)
    again = load_boxes(path)
    assert again.classes == classes
    x = torch.rand(2, 6)
    torch.testing.assert_close(again(x), regressor(x))
    with pytest.raises(WeightsError, match=r"as boxes\.pt"):
        save_boxes(regressor, tmp_path / "boxes.pt")
    save_weights(network(), tmp_path / "vgg.safetensors")
    with pytest.raises(WeightsError, match="contains no box regression"):
        load_boxes(tmp_path / "vgg.safetensors")
