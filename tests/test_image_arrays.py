"""Pictures that are in memory: Pillow's, NumPy's and torch's, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vggapps.classification._classifier import Classifier
from vggapps.errors import PictureError, SettingsError
from vggapps.image import Picture, open_picture, rgb_of, save_picture

LEVELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
EXPECTED = torch.from_numpy(LEVELS / 255).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (LEVELS, EXPECTED),
        (LEVELS[..., 0], EXPECTED[:, :1]),
        (LEVELS[..., :1], EXPECTED[:, :1]),
        (LEVELS[:, ::-1], EXPECTED.flip(-1)),
        (LEVELS[..., ::-1], EXPECTED.flip(1)),
        (LEVELS.astype(np.uint16) * 257, EXPECTED),
        (LEVELS / 255, EXPECTED),
        ((LEVELS / 255).astype(np.float32), EXPECTED),
        (LEVELS[..., 0] > 127, (EXPECTED[:, :1] > 0.5).float()),
    ],
)
def test_arrays_are_pictures(array, expected):
    for rgb in (open_picture(array).rgb, rgb_of(array)):
        assert rgb.dtype == torch.float32
        assert torch.allclose(rgb, expected.expand(1, 3, -1, -1), atol=1e-6)
    assert open_picture(array, name="mine").name == "mine"


def test_the_fourth_channel_of_an_array_is_opacity():
    array = np.dstack([LEVELS, np.full((6, 8), 51, np.uint8)])
    picture = open_picture(array)
    assert torch.allclose(picture.alpha, torch.tensor(0.2))
    assert torch.allclose(picture.rgb.mean((2, 3)), EXPECTED.mean((2, 3)), atol=1e-5)
    assert np.array_equal(array[..., :3], LEVELS)  # it is the caller's


def test_arrays_are_scaled_down():
    array = np.full((300, 400, 3), 0.25)
    for wanted, size in [
        ({"longer_side": 40}, (30, 40)),
        ({"pixels": 1200}, (30, 40)),
        ({"at_least": 100}, (100, 134)),
    ]:
        picture = open_picture(array, **wanted)
        assert picture.size == size
        assert torch.allclose(picture.rgb, torch.tensor(0.25))
    assert open_picture(Picture(torch.rand(1, 3, 30, 40)), longer_side=20).size == (15, 20)
    assert open_picture(torch.rand(1, 3, 30, 40), longer_side=20).size == (15, 20)


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (LEVELS.astype(float), "range from 0 to 249.*looks like 0..255 .divide it by 255"),
        (LEVELS / 127.5 - 1, r"range from -1 to 0.95.*looks like -1..1 .*\(picture \+ 1\) / 2"),
        (LEVELS / np.where(LEVELS > 3, 255, np.nan), "not finite"),
        (np.full((6, 8, 3), np.inf), "not finite"),
        (LEVELS.astype(np.int64), "int64"),
        (LEVELS.astype(np.int8), "int8"),
        (LEVELS.astype(complex), "complex"),
        (LEVELS.astype(str), "not a picture"),
        (LEVELS.transpose(2, 0, 1), r"shape \(3, 6, 8\)"),
        (LEVELS[None], "shape"),
        (LEVELS[0, 0], "shape"),
        (np.zeros((6, 8, 2), np.uint8), "shape"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_arrays_are_refused_with_the_reason(array, word):
    with pytest.raises(SettingsError, match=word):
        open_picture(array)


@pytest.mark.parametrize("shape", [(0, 0, 3), (1, 1, 3), (9, 1)])
def test_arrays_without_pixels_are_refused(shape):
    with pytest.raises(PictureError, match="too few"):
        open_picture(np.zeros(shape, np.uint8))


def test_pictures_of_pillow_are_read_as_files_are():
    for image, mode in [(Image.fromarray(LEVELS), "RGB"), (Image.fromarray(LEVELS).quantize(256), "P")]:
        assert image.mode == mode
        assert (rgb_of(image) - EXPECTED).abs().mean() < 0.02
    large = Image.new("RGB", (400, 300), (64, 128, 255))
    assert open_picture(large, pixels=1200).size == (30, 40)
    assert large.size == (400, 300)


# Tensors


def test_tensors_in_range_are_taken_as_they_are():
    image = EXPECTED.clone().requires_grad_()
    assert rgb_of(image) is image
    assert rgb_of(EXPECTED.to(torch.bfloat16)).dtype == torch.float32
    assert torch.equal(rgb_of(torch.from_numpy(LEVELS).permute(2, 0, 1)[None]), EXPECTED)
    near = rgb_of(EXPECTED * 1.001 - 0.0005)
    assert (near.min(), near.max()) >= (0, 1) or near.max() <= 1
    assert torch.allclose(near, EXPECTED, atol=1e-3)


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (EXPECTED * 255, "range from 0 to 249.*looks like 0..255 .divide it by 255"),
        (
            (EXPECTED - 0.5) / 0.2,
            r"range from -2.5.*by ImageNet's mean and std .undo it: picture \* std \+ mean",
        ),
        (EXPECTED * 65535, "looks like 16-bit values .divide it by 65535"),
        (EXPECTED.log(), "not finite"),
        (torch.full((1, 3, 4, 4), float("nan")), "not finite"),
        (EXPECTED[0], "1 x 3 x H x W"),
        (EXPECTED.long(), "int64"),
        (torch.zeros(1, 3, 0, 4), "empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_tensors_are_refused_with_the_reason(image, word):
    for source in (image, Picture(image)):
        with pytest.raises(SettingsError, match=word):
            rgb_of(source)


def test_levels_can_be_written(tmp_path):
    levels = torch.from_numpy(LEVELS).permute(2, 0, 1)[None]
    assert torch.equal(open_picture(save_picture(levels, tmp_path / "a.png")).rgb, EXPECTED)
    half = torch.full((1, 1, 6, 8), 51, dtype=torch.uint8)
    assert open_picture(save_picture(levels, tmp_path / "b.png", alpha=half)).alpha.max() == torch.tensor(0.2)
    over_white = open_picture(save_picture(levels, tmp_path / "a.jpg", alpha=half, quality=100)).rgb
    assert torch.allclose(over_white, EXPECTED * 0.2 + 0.8, atol=0.03)
    with pytest.raises(SettingsError, match="int64"):
        save_picture(levels.long(), tmp_path / "c.png")
    with pytest.raises(SettingsError, match="does not fit"):
        save_picture(levels, tmp_path / "b.jpg", alpha=half[..., :4])


def test_a_classifier_takes_them_all():
    classifier = Classifier(device="cpu", dtype="float32")
    side = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8))
    array = np.asarray(side)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    truth = classifier.probabilities(side)
    for same in (array, array / 255, tensor, tensor / 255, tensor[None]):
        assert torch.allclose(classifier.probabilities(same), truth, atol=1e-5)
    with pytest.raises(SettingsError, match="divide"):
        classifier(tensor.float())
