"""The paper's protocol (section 3.2): counts, places and averages, each worked out by hand or by torchvision."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision import models, transforms

from vggapps.classification._classifier import Classifier, Views
from vggapps.classification._views import CROP, VIEWS, corners, crops, probabilities, scales_of
from vggapps.datasets._reading import scaled_to, to_tensor
from vggapps.errors import PictureError, SettingsError
from vggapps.image import open_picture
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._normalize import IMAGENET
from vggapps.vgg._plan import Plan, Pooled
from vggapps.weights._load import load_vgg

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8,)))
THIN = Plan("thin", "T", ((1,), (1,), (1,), (1,), (1,)))


@pytest.fixture(scope="module")
def full() -> VGG:
    return initialize(VGG(NARROW, head="fc", classes=7), seed=3).freeze()


@pytest.fixture(scope="module")
def pooled() -> VGG:
    return initialize(
        VGG(NARROW, head="gap", classes=7, pooled=Pooled(summary="avg+max", root=True, hidden=5))
    ).freeze()


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_the_scores_are_torchvisions(name: str) -> None:
    ours = load_vgg(name, None, seed=1)
    with torch.device("meta"):
        theirs = getattr(models, name)(weights=None)
    keys = theirs.state_dict().keys()
    theirs.load_state_dict(dict(zip(keys, ours.state_dict().values(), strict=True)), assign=True)
    image = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        wanted = theirs.eval()(IMAGENET(image))
        torch.testing.assert_close(ours(image), wanted, rtol=0, atol=1e-5)
        torch.testing.assert_close(ours.dense()(image)[:, :, 0, 0], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("q", [224, 256, 288, 352, 384, 416, 512])
def test_a_dense_map_has_a_position_for_each_step_of_32_pixels(full: VGG, q: int) -> None:
    assert full.dense()(picture(q, q)).shape == (1, 7, q // 32 - 6, q // 32 - 6)


def test_dense_scores_are_those_of_every_window_of_7_by_7_positions(full: VGG) -> None:
    image = picture(256, 300)
    last = full.features(image, ["pool5"])["pool5"]
    wanted = torch.empty(1, 7, 2, 3)
    for y in range(2):
        for x in range(3):
            row = last[:, :, y : y + 7, x : x + 7].flatten(1)
            for linear in (full.fc6, full.fc7):
                row = F.relu(row @ linear.weight.T + linear.bias)
            wanted[..., y, x] = row @ full.fc8.weight.T + full.fc8.bias
    torch.testing.assert_close(full.dense()(image), wanted, rtol=1e-4, atol=1e-5)


def test_a_summary_slides_in_windows_of_7_by_7_positions(pooled: VGG) -> None:
    image = picture(256, 300)
    last = pooled.features(image, ["pool5"])["pool5"]
    found = pooled.dense()(image)
    assert found.shape == (1, 7, 2, 3)
    for y in range(2):
        for x in range(3):
            window = last[:, :, y : y + 7, x : x + 7]
            row = torch.cat([window.mean((2, 3)), window.amax((2, 3))], 1).sqrt()
            row = F.relu(row @ pooled.fc7.weight.T + pooled.fc7.bias) @ pooled.fc8.weight.T + pooled.fc8.bias
            torch.testing.assert_close(found[..., y, x], row, rtol=1e-4, atol=1e-5)
    at_224 = picture(224, 224)
    torch.testing.assert_close(pooled.dense()(at_224)[..., 0, 0], pooled(at_224), rtol=1e-5, atol=1e-6)


def test_what_adaptive_pooling_gives_is_not_the_mean_of_the_windows(full: VGG) -> None:
    """torchvision squashes a large map to 7×7: that is another number than the paper's, and not by a rounding."""
    image = picture(384, 384)
    squashed, dense = full(image), full.dense()(image).mean((2, 3))
    assert (squashed - dense).abs().max() > 0.05 * dense.std()


def test_dense_networks_share_their_weights(full: VGG) -> None:
    assert full.dense().fc6.weight.data_ptr() == full.fc6.weight.data_ptr()
    with pytest.raises(SettingsError, match="has no head"):
        VGG(NARROW, head="none").dense()


@pytest.mark.parametrize(
    ("views", "trained_at", "scales"),
    [
        ("center", (256, 512), (256,)),
        ("dense", (256, 256), (256,)),
        ("dense", (256, 512), (384,)),
        ("multi-scale", (256, 256), (224, 256, 288)),
        ("multi-scale", (384, 384), (352, 384, 416)),
        ("multi-scale", (256, 512), (256, 384, 512)),
        ("multi-crop", (256, 512), (256, 384, 512)),
    ],
)
def test_the_scales_are_those_of_section_4(views: str, trained_at: tuple[int, int], scales: tuple[int, ...]) -> None:
    assert scales_of(views, trained_at) == scales  # type: ignore[arg-type]


@pytest.mark.parametrize(("views", "count"), [("center", 1), ("ten", 10), ("multi-crop", 50)])
@pytest.mark.parametrize("size", [(256, 256), (384, 512), (513, 385)])
def test_crops_are_counted_distinct_and_reach_the_corners(views: str, count: int, size: tuple[int, int]) -> None:
    found = crops(picture(*size), views)  # type: ignore[arg-type]
    assert found.shape == (count, 3, CROP, CROP)
    assert len(np.unique(found.flatten(1).numpy(), axis=0)) == count
    if views != "center":
        down, right = size[0] - CROP, size[1] - CROP
        assert {(0, 0), (0, right), (down, 0), (down, right)} <= set(corners(views, *size))  # type: ignore[arg-type]


def test_the_grid_of_multi_crop_is_regular() -> None:
    assert corners("multi-crop", 256, 384)[:6] == [(0, 0), (0, 40), (0, 80), (0, 120), (0, 160), (8, 0)]


@pytest.mark.parametrize("size", [(300, 301), (256, 256), (217, 641), (2, 2), (90, 40)])
def test_the_center_view_is_torchvisions_resize_and_crop(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 256, (*size, 3), np.uint8))
    wanted = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])(image)
    torch.testing.assert_close(
        crops(to_tensor(scaled_to(open_picture(image), 256)), "center")[0], wanted, rtol=0, atol=0
    )


def test_what_is_transparent_lies_on_white() -> None:
    image = Image.new("RGBA", (300, 300), (255, 0, 0, 0))
    assert (scaled_to(open_picture(image), 256) == 255).all()


def by_hand(vgg: VGG, image: Tensor, mirrored: bool = True) -> Tensor:
    """Softmax of the mean over positions, then the mean over the picture and its mirror image."""
    both = [image, image.flip(3)] if mirrored else [image]
    return torch.stack([vgg.dense()(x).mean((2, 3)).softmax(1)[0] for x in both]).mean(0)


def test_multi_scale_averages_scores_over_positions_and_probabilities_over_scales_and_mirrors(full: VGG) -> None:
    scales = tuple(picture(q, q + 40) for q in (224, 256, 288))
    wanted = torch.stack([by_hand(full, scale) for scale in scales]).mean(0)
    torch.testing.assert_close(probabilities(full.dense(), scales, "multi-scale"), wanted)


def test_multi_crop_averages_150_probabilities_and_both_is_the_mean(full: VGG) -> None:
    scales = tuple(picture(q, q + 40) for q in (224, 256, 288))
    shown = torch.cat([crops(scale, "multi-crop") for scale in scales])
    assert len(shown) == 150
    wanted = torch.cat([full(crop[None]).softmax(1) for crop in shown]).mean(0)
    crop_mean = probabilities(full.dense(), scales, "multi-crop")
    torch.testing.assert_close(crop_mean, wanted)
    both = probabilities(full.dense(), scales, "multi-crop+dense")
    torch.testing.assert_close(both, (wanted + probabilities(full.dense(), scales, "multi-scale")) / 2)


def test_a_temperature_divides_the_scores(full: VGG) -> None:
    image = picture(224, 224)
    wanted = (full(image) / 3).softmax(1)[0]
    torch.testing.assert_close(probabilities(full.dense(), (image,), "center", temperature=3), wanted)


@pytest.mark.parametrize(("crop", "stride"), [(CROP, 32), (CROP, 16), (28, 8)])
def test_a_panorama_is_looked_at_in_strips_that_miss_no_window(crop: int, stride: int) -> None:
    """A network that sees no further than its window gives the same as on the whole picture."""
    shown: list[tuple[int, int]] = []

    def means(image: Tensor) -> Tensor:
        shown.append((image.shape[2], image.shape[3]))
        return F.avg_pool2d(image, crop, stride)

    panorama = picture(256, 5000)
    whole = F.avg_pool2d(panorama, crop, stride).mean((2, 3)).softmax(1)[0]
    mirror = F.avg_pool2d(panorama.flip(3), crop, stride).mean((2, 3)).softmax(1)[0]
    found = probabilities(means, (panorama,), "dense", crop=crop, stride=stride)
    torch.testing.assert_close(found, (whole + mirror) / 2)
    assert max(max(size) for size in shown) <= 2048


@pytest.mark.parametrize("views", VIEWS)
def test_every_view_gives_probabilities(full: VGG, views: str) -> None:
    scales = tuple(picture(q, q) for q in scales_of(views))  # type: ignore[arg-type]
    found = probabilities(full.dense(), scales, views)  # type: ignore[arg-type]
    assert found.shape == (7,)
    assert math.isclose(float(found.sum()), 1, rel_tol=1e-5)


@pytest.mark.parametrize("views", ["center", "ten", "dense"])
def test_a_single_output_has_the_sigmoid_of_its_score_as_probability(views: str) -> None:
    """The softmax of one number is 1, whatever the picture shows."""
    network = initialize(VGG(NARROW, head="gap", classes=1), seed=3).freeze()
    network.temperature = 2.0
    image = picture(256, 256)
    (found,) = Classifier(network, views=views, device="cpu", dtype="float32").probabilities(image)  # type: ignore[arg-type]
    shown = crops(image, views) if views != "dense" else torch.cat([image, image.flip(3)])  # type: ignore[arg-type]
    wanted = (network.dense()(shown).mean((2, 3)) / 2).sigmoid().mean()
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)
    assert 0 < float(found) < 1


@pytest.mark.parametrize("views", ["center", "ten", "dense", "multi-scale", "multi-crop", "multi-crop+dense"])
@pytest.mark.parametrize(("height", "width"), [(3, 900), (900, 3), (2, 4000)])
def test_a_strip_is_looked_at_by_its_crops_or_refused_in_a_line(
    views: Views, height: int, width: int, tmp_path: Path
) -> None:
    vgg = initialize(VGG(THIN, head="gap", classes=3), seed=0).freeze()
    Image.new("RGB", (width, height), "teal").save(tmp_path / "strip.png")
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "photo.png")
    classifier = Classifier(vgg, views=views, device="cpu")
    strip, photo = classifier.run([tmp_path / "strip.png", tmp_path / "photo.png"], workers=0)
    assert photo.probabilities is not None
    if max(height, width) == 900 and "dense" not in views and views != "multi-scale":
        assert strip.probabilities is not None
        return
    told = f"strip.png: {width} x {height} px is too long a strip"
    assert strip.error is not None
    assert strip.error.message.startswith(told)
    with pytest.raises(PictureError, match=told):
        classifier(tmp_path / "strip.png")


def test_a_panorama_is_no_strip(tmp_path: Path) -> None:
    vgg = initialize(VGG(THIN, head="gap", classes=3), seed=0).freeze()
    Image.new("RGB", (160, 10), "teal").save(tmp_path / "panorama.png")
    (found,) = Classifier(vgg, views="dense", device="cpu").run([tmp_path / "panorama.png"])
    assert found.probabilities is not None
