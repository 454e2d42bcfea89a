"""Networks for pictures of other sizes than 224 px: their convention says the size, and every command keeps to it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision import transforms

import vggapps
from vggapps.classification import Classifier
from vggapps.classification._box_regression import describe_windows
from vggapps.classification._localize import localize
from vggapps.classification._views import VIEWS, crops
from vggapps.errors import SettingsError, WeightsError
from vggapps.explanation import METHODS, ask, input_size
from vggapps.explanation._methods import network_input
from vggapps.explanation._perturb import occlusion
from vggapps.features import extract_chunks
from vggapps.vgg import VGG, initialize
from vggapps.vgg._normalize import IMAGENET, PLAIN
from vggapps.visualization import exemplars, patches_of, sample
from vggapps.visualization._activations import shorter_side
from vggapps.weights import load_network, load_vgg, save_weights
from vggapps.weights._heads import write_head

SMALL = replace(IMAGENET, resize=32, crop=28)
CLASSES = ("cat", "dog", "owl")
HEADS = ("gap", "fc")


def network(head: Any = "gap", crop: int = 28, resize: int = 32, plan: str = "4x2-6-8x2_bn", **more: Any) -> VGG:
    convention = replace(IMAGENET, resize=resize, crop=crop)
    made = VGG(plan, head=head, classes=3, class_names=CLASSES, convention=convention, **more)
    return initialize(made, "glorot", seed=1).freeze()


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: grey pictures of 28 px in two classes, a photo, and the file of a network."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name in ("data/cat/0.png", "data/cat/1.png", "data/dog/2.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (28, 28), np.uint8)).save(name)
    Image.fromarray(generator.integers(0, 256, (60, 90, 3), np.uint8)).save("photo.png")
    save_weights(network(), "own.safetensors")
    return tmp_path


class TestConvention:
    def test_a_file_keeps_it(self, digits: Path) -> None:
        assert (
            load_network("own.safetensors").convention
            == load_vgg("4x2-6-8x2_bn", "own.safetensors").convention
            == SMALL
        )

    def test_a_file_of_an_earlier_version_has_the_usual_size(self, digits: Path) -> None:
        about = {name: value for name, value in asdict(SMALL).items() if name not in ("resize", "crop")}
        rewritten(about)
        assert load_network("own.safetensors").convention == IMAGENET

    @pytest.mark.parametrize("size", [{"crop": 33}, {"crop": 0}, {"resize": 27}])
    def test_impossible_sizes_are_refused(self, digits: Path, size: dict[str, int]) -> None:
        with pytest.raises(SettingsError, match="crop must be at least 1"):
            replace(SMALL, **size)
        rewritten(asdict(SMALL) | size)
        with pytest.raises(WeightsError, match="damaged"):
            load_network("own.safetensors")

    def test_a_head_keeps_the_size_of_its_features(self, tmp_path: Path) -> None:
        tensors = {"fc8.weight": torch.zeros(2, 512), "fc8.bias": torch.zeros(2)}
        for crop, resize in ((224, 256), (320, 366)):
            write_head(
                tmp_path / "head.safetensors", tensors,
                network="vgg19", base="vgg19-installed", head="gap", classes=("a", "b"), crop=crop,
            )  # fmt: skip
            found = load_vgg("vgg19", tmp_path / "head.safetensors").convention
            assert (found.crop, found.resize, found.mean) == (crop, resize, load_vgg("vgg19").convention.mean)


def rewritten(convention: dict[str, Any]) -> None:
    """Replace the convention in the file's notes."""
    with safetensors.safe_open("own.safetensors", "pt") as opened:
        notes = json.loads(opened.metadata()["vggapps"])
    tensors = safetensors.torch.load_file("own.safetensors")
    metadata = {"vggapps": json.dumps(notes | {"convention": convention})}
    safetensors.torch.save_file(tensors, "own.safetensors", metadata)


class TestDense:
    @pytest.mark.parametrize("crop", [8, 28, 45, 56, 96, 112])
    @pytest.mark.parametrize("head", HEADS)
    def test_a_crop_has_the_scores_of_the_network(self, head: str, crop: int) -> None:
        vgg = network(head, crop, crop)
        image = picture(crop, crop)
        torch.testing.assert_close(vgg.dense()(image), vgg(image)[..., None, None], rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("crop", [28, 56, 60, 96])
    def test_a_larger_picture_has_those_of_every_window_of_the_last_map(self, crop: int) -> None:
        vgg = network("fc", crop, crop)
        image, side = picture(crop + 20, crop + 33), crop // 8
        last = vgg.features(image, ["pool3"])["pool3"]
        found = vgg.dense()(image)
        assert found.shape == (1, 3, last.shape[2] - side + 1, last.shape[3] - side + 1)
        for y in range(found.shape[2]):
            for x in range(found.shape[3]):
                row = F.adaptive_avg_pool2d(last[:, :, y : y + side, x : x + side], 7).flatten(1)
                row = vgg.fc8(F.relu(vgg.fc7(F.relu(vgg.fc6(row)))))
                torch.testing.assert_close(found[..., y, x], row, rtol=1e-4, atol=1e-6)

    def test_it_shares_its_weights_and_can_be_made_dense_twice_and_saved(self, tmp_path: Path) -> None:
        vgg = network("fc")
        dense = vgg.dense().dense()
        image = picture(44, 60)
        assert dense.fc6.weight.data_ptr() == vgg.fc6.weight.data_ptr()
        torch.testing.assert_close(dense(image), vgg.dense()(image))
        save_weights(dense, tmp_path / "dense.safetensors")
        torch.testing.assert_close(load_network(tmp_path / "dense.safetensors", needs="classes")(image), vgg(image))

    @pytest.mark.parametrize("head", HEADS)
    def test_a_picture_below_the_crops_is_refused(self, head: str) -> None:
        with pytest.raises(SettingsError, match="enlarge it"):
            network(head).dense()(picture(20, 20))


class TestClassify:
    @pytest.mark.parametrize("head", HEADS)
    def test_the_center_is_torchvisions_resize_and_crop(self, digits: Path, head: str) -> None:
        vgg = network(head)
        image = Image.open("photo.png")
        seen = transforms.Compose([transforms.Resize(32), transforms.CenterCrop(28), transforms.ToTensor()])(image)
        found = Classifier(vgg, device="cpu", dtype="float32").probabilities(image)
        torch.testing.assert_close(found, vgg(seen[None]).softmax(1)[0])

    @pytest.mark.parametrize("views", VIEWS)
    @pytest.mark.parametrize("head", HEADS)
    @pytest.mark.parametrize("resize", [28, 32])
    def test_every_view_is_the_mean_of_its_crops_or_windows(self, head: str, resize: int, views: Any) -> None:
        vgg = network(head, resize=resize)
        classifier = Classifier(vgg, views=views, device="cpu", dtype="float32")
        image = picture(60, 90)
        expected = [resize]
        if views in ("multi-scale", "multi-crop", "multi-crop+dense"):
            expected = [28, 32] if resize == 28 else [28, 32, 36]  # a seventh of 28 px apart; none below 28 px
        assert classifier.scales == tuple(expected)
        shown = [scaled(image, side) for side in classifier.scales]
        dense = [vgg.dense()(x).mean((2, 3)).softmax(1) for one in shown for x in (one, one.flip(3))]
        cut = [vgg(crops(one, views, 28)).softmax(1) for one in shown if views not in ("dense", "multi-scale")]
        parts = ([torch.cat(cut)] if cut else []) + ([torch.cat(dense)] if views in WHOLE else [])
        wanted = torch.stack([part.mean(0) for part in parts]).mean(0)
        torch.testing.assert_close(classifier.probabilities(image), wanted, rtol=1e-4, atol=1e-6)

    def test_networks_of_different_sizes_are_refused(self) -> None:
        Classifier([network(), network("fc")], device="cpu")
        with pytest.raises(SettingsError, match="different sizes: 4x2-6-8x2_bn 28 px of 32, 4x2_bn 28 px of 28"):
            Classifier([network(), network(resize=28, plan="4x2_bn")], device="cpu")

    def test_a_larger_training_has_scales_32_px_apart(self) -> None:
        classifier = Classifier(network(crop=224, resize=384), views="multi-scale", device="cpu")
        assert classifier.scales == (352, 384, 416)

    def test_published_weights_trained_on_at_other_sizes_are_taken_at_these(self) -> None:
        vgg = network(weights_name="vgg16-caffe")
        assert Classifier(vgg, views="dense", device="cpu").scales == (32,)
        vgg.convention = PLAIN
        assert Classifier(vgg, views="dense", device="cpu").scales == (384,)


WHOLE = ("dense", "multi-scale", "multi-crop+dense")


def scaled(image: Tensor, side: int) -> Tensor:
    eight = Image.fromarray((image[0].permute(1, 2, 0) * 255).round().byte().numpy())
    found: Tensor = transforms.Compose([transforms.Resize(side), transforms.ToTensor()])(eight)
    return found[None]


class TestExplain:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("head", HEADS)
    def test_every_method_takes_the_networks_own_size(self, digits: Path, head: str, method: Any) -> None:
        samples = {"samples": 4} if "samples" in METHODS[method].takes else {}
        why = vggapps.explain("data/cat/0.png", network=network(head).dense(), method=method, **samples)
        assert why.explanations[0].map.shape == (1, 1, 28, 28)
        assert why.explanations[0].map.isfinite().all()
        assert why.picture.size[0] > 100  # drawn larger

    def test_a_photo_keeps_its_shape_and_a_larger_size_may_be_given(self, digits: Path) -> None:
        vgg = network().dense()
        assert vggapps.explain("photo.png", network=vgg).explanations[0].image.shape == (1, 3, 28, 40)
        assert vggapps.explain("photo.png", network=vgg, size=64).explanations[0].image.shape == (1, 3, 64, 96)

    @pytest.mark.parametrize("size", [27, 1])
    def test_a_size_below_the_crops_is_refused(self, digits: Path, size: int) -> None:
        with pytest.raises(SettingsError, match=f"size is {size} .it must be at least 28"):
            vggapps.explain("photo.png", network=network().dense(), size=size)

    def test_published_networks_keep_224_and_multiples_of_32(self) -> None:
        with torch.device("meta"):
            vgg = VGG("vgg16", head="gap")
        for size in ((28, 28), (300, 451), (3000, 4000)):
            assert network_input(vgg, *size) == input_size(*size, 224)
        assert network_input(vgg, 300, 400, 320) == input_size(300, 400, 320)

    def test_occlusion_hides_a_seventh_of_the_crops(self) -> None:
        question, image = ask(network().dense(), 1), picture(28, 36)
        torch.testing.assert_close(occlusion(question, image), occlusion(question, image, patch=4, stride=2))

    def test_boxes_are_found_on_an_enlarged_picture(self, digits: Path) -> None:
        (found,) = localize(Classifier(network(), views="dense", device="cpu"), "photo.png")
        assert found.map.shape == (40, 60)  # ten sevenths of 28 px, as 320 is of 224
        assert 0 <= found.box.left < found.box.right <= 90

    def test_box_regression_has_windows_of_the_paper_only(self) -> None:
        with pytest.raises(SettingsError, match="3 poolings, and was trained on crops of 28 px"):
            describe_windows(network(), picture(224, 224))


class TestFeatures:
    @pytest.mark.parametrize(("size", "resize", "crop"), [(None, 32, 28), (56, 64, 56)])
    def test_rows_are_of_torchvisions_resize_and_crop(self, digits: Path, size: Any, resize: int, crop: int) -> None:
        vgg = network()
        chain = [transforms.Resize(resize), transforms.CenterCrop(crop), transforms.ToTensor()]
        seen = transforms.Compose(chain)(Image.open("photo.png"))[None]
        (chunk,) = extract_chunks(["photo.png"], vgg, "pool3", size=size, workers=0)
        wanted = vgg.features(seen, ["pool3"])["pool3"].mean((2, 3))
        torch.testing.assert_close(torch.from_numpy(chunk.rows), wanted, rtol=1e-4, atol=1e-5)

    def test_a_table_says_the_size(self, digits: Path) -> None:
        table = vggapps.extract("data", "pool3", backbone="own.safetensors", device="cpu")
        assert table.settings.size == 28
        assert (table.settings.network, table.settings.weights) == ("4x2-6-8x2_bn", "own.safetensors")


def test_classes_and_layers_are_drawn(digits: Path) -> None:
    assert network().receptive_field("").image_side == 28
    vgg = load_network("own.safetensors", needs="classes")
    for objective in ("class:cat", "conv3_2:1"):
        vggapps.visualize(objective, network=vgg, steps=2)


@pytest.mark.parametrize(
    "words",
    [
        "classify photo.png data --views {views}",
        "classify photo.png --explain why.png",
        "evaluate data --views {views}",
        "explain photo.png data/cat/0.png -o why/",
        "explain photo.png --target relu2_1:1 --size 64",
        "explain photo.png --method lrp --evaluate",
        "localize photo.png data/cat/0.png -o found/",
        "extract data --layer pool3 -o rows.npy",
        "visualize class:owl conv3_1:0 --steps 2",
        "activations photo.png --layer relu2_1",
        "activations --filters",
        "exemplars data --layer conv3_1 --channel 1",
        "atlas data --layer conv3_1 --steps 2",
        "dream photo.png --objective relu3_1 --steps 1 --size 64",
        "invert photo.png --layer conv2_1 --steps 2 --size 64",
        "stylize photo.png data/dog/2.png --style-layers relu1_1,relu2_1 --content-layers relu2_1 --steps 2 --size 64",
    ],
)
def test_every_command_with_a_backbone_takes_the_file(digits: Path, cli: Any, words: str) -> None:
    for views in VIEWS if "{views}" in words else ("",):
        ran = cli(*words.format(views=views).split(), "--backbone", "own.safetensors", "-q")
        assert ran.code == 0, ran.err
        assert "error" not in ran.err


def test_activations_exemplars_and_atlas_take_pictures_of_the_networks_size(digits: Path) -> None:
    found = exemplars(network(), "relu2_1", ["data/cat/0.png", "photo.png"], [0], top=2)
    assert sorted(one.size for one in found.by_channel[0]) == [(28, 28), (28, 42)]
    patches = patches_of(found.by_channel[0])
    assert all(patch.shape[2] <= 28 for patch in patches.values())
    samples = sample(network(), "relu2_1", ["photo.png"])
    assert samples.places[0][2] == (28, 42)
    assert shorter_side(network()) == 28
    assert shorter_side(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))) == 224
