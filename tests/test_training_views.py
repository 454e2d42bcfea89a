"""What a training sees of pictures: how they are read, random views, and the view of the classifier."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin
from torch import Tensor
from torchvision.transforms import v2

from vggapps.classification import Classifier
from vggapps.errors import PictureError, SettingsError
from vggapps.image import on_white, open_picture
from vggapps.training._augmentation import (
    PrincipalColors,
    Transform,
    augment,
    evaluate_transform,
    principal_colors,
)
from vggapps.training._cached import CachedBatches
from vggapps.training._pictures import Files, Pictures, TrainingData
from vggapps.training._prepare import Prepared, prepare
from vggapps.training._reading import read_rgb
from vggapps.training._settings import TrainSettings
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan

NO_SHIFT = PrincipalColors(torch.zeros(3), torch.eye(3))


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


# Reading


def saved(path: Path, kind: str) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)
    image, more = Image.fromarray(noise), dict[str, Any]()
    match kind:
        case "grey" | "CMYK" | "palette" | "alpha":
            image = image.convert({"grey": "L", "CMYK": "CMYK", "palette": "P", "alpha": "RGBA"}[kind])
            if kind == "alpha":
                image.putalpha(100)
        case "deep":
            image = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
        case "turned":
            more["exif"] = Image.Exif()
            more["exif"][0x112] = 6
        case "profile":
            more["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        case "gamma":
            more["pnginfo"] = PngImagePlugin.PngInfo()
            more["pnginfo"].add(b"gAMA", struct.pack(">I", 100_000))
        case "large":
            image = image.resize((900, 700))
    image.save(path, **more)
    return path


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [("jpg", kind) for kind in ("plain", "grey", "CMYK", "turned", "profile", "large")]
    + [("png", kind) for kind in ("plain", "grey", "palette", "alpha", "deep", "gamma", "large")]
    + [("webp", kind) for kind in ("plain", "alpha", "turned")],
)
def test_pictures_are_read_as_the_classifier_reads_them(tmp_path: Path, suffix: str, kind: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", kind)
    for at_least in (None, 20, 40, 300):
        wanted = on_white(open_picture(path, at_least=at_least))
        found = read_rgb(str(path), at_least)
        assert (found.mode, found.size) == ("RGB", wanted.size)
        assert np.array_equal(np.asarray(found), np.asarray(wanted))


def test_unreadable_pictures_are_errors_that_name_the_file(tmp_path: Path) -> None:
    cut = saved(tmp_path / "cut.jpg", "large")
    cut.write_bytes(cut.read_bytes()[:5000])
    Image.new("RGB", (1200, 2)).save(tmp_path / "strip.png")
    (tmp_path / "z.png").write_bytes(gzip.compress(b"not a picture"))
    for name in ("cut.jpg", "strip.png", "z.png", "missing.jpg"):
        with pytest.raises(PictureError) as caught:
            read_rgb(str(tmp_path / name))
        assert caught.value.message.startswith(str(tmp_path / name))


# Views


def coordinates(side: int, step: int = 1) -> Image.Image:
    """Red tells the column, green the row."""
    row = np.arange(side) * step
    levels = np.stack([np.tile(row, (side, 1)), np.tile(row[:, None], (1, side)), np.zeros((side, side))], -1)
    return Image.fromarray(levels.astype(np.uint8))


def spans(view: Tensor) -> tuple[float, float]:
    """Width and height in levels of 255 that a view of coordinates shows, from its first to its last pixel."""
    columns, rows = view[0] * 255, view[1] * 255
    return float((columns[:, -1] - columns[:, 0]).abs().mean()), float((rows[-1] - rows[0]).abs().mean())


@pytest.mark.parametrize("name", ["auto", "crops", "shifts", "paper", "none"])
@pytest.mark.parametrize("size", [28, 224])
def test_views_are_floats_from_0_to_1_and_torchs_generator_decides(name: Any, size: int) -> None:
    colors = PrincipalColors(torch.tensor([1.0, 2.0, 3.0]), torch.eye(3))
    transform = augment(name, size, colors=colors)
    for image in (Image.fromarray(noise(60, 40)), Image.fromarray(noise(300, 500))):
        torch.manual_seed(3)
        one = transform(image)
        torch.manual_seed(3)
        assert torch.equal(one, transform(image))
        assert (one.shape, one.dtype) == ((3, size, size), torch.float32)
        assert one.min() >= 0
        assert one.max() <= 1
        assert torch.equal(one, transform(image)) is (name == "none")


def test_crops_show_a_quarter_to_the_whole_at_3_to_4_or_4_to_3() -> None:
    steps = tuple(s for s in augment("crops", 56).steps if not isinstance(s, v2.ColorJitter | v2.RandomErasing))
    image = coordinates(224)
    seen = np.array([spans(Transform(steps, 0)(image)) for _ in range(600)]) * 56 / 55
    shares, aspects = seen.prod(1) / 224**2, seen[:, 0] / seen[:, 1]
    assert 0.23 < shares.min() < 0.28
    assert 0.95 < shares.max() < 1.02
    assert 0.72 < aspects.min() < 0.79
    assert 1.27 < aspects.max() < 1.39


def test_crops_vary_in_brightness_by_a_fifth_and_a_tenth_of_them_is_erased() -> None:
    transform, image, count = augment("crops", 24), Image.new("RGB", (24, 24), (128, 128, 128)), 1500
    views = [transform(image) for _ in range(count)]
    whole = [float(view.mean()) / (128 / 255) for view in views if view.std() < 1e-6]  # contrast has no effect on it
    assert 0.8 <= min(whole) < 0.81
    assert 1.19 < max(whole) <= 1.2001
    assert abs(len(whole) / count - 0.9) < 5 * np.sqrt(0.1 * 0.9 / count)


def test_shifts_are_up_to_a_14th_with_reflected_borders_and_a_quarter_is_erased() -> None:
    image = noise(28, 28)
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
    windows = [padded[y : y + 28, x : x + 28] for y in range(5) for x in range(5)]
    wanted = {view.tobytes(): number for number, view in enumerate([*windows, *(w[:, ::-1] for w in windows)])}
    transform, count = augment("shifts", 28), 1500
    views = [(transform(Image.fromarray(image)) * 255).round().byte().permute(1, 2, 0).numpy() for _ in range(count)]
    found = [wanted[view.tobytes()] for view in views if view.tobytes() in wanted]
    assert set(found) == set(range(50))
    assert abs(len(found) / count - 0.75) < 5 * np.sqrt(0.25 * 0.75 / count)


def test_grey_pictures_are_shifted() -> None:
    assert augment("auto", 224, is_grey=True).at_least == augment("shifts", 224).at_least
    assert augment("auto", 224).at_least == augment("crops", 224).at_least != augment("shifts", 224).at_least
    assert augment("auto", 64).at_least == augment("shifts", 64).at_least


def test_the_papers_crops_are_anywhere_and_mirrored_in_half_of_the_cases() -> None:
    transform, image = augment("paper", 224, scales=(256, 256), colors=NO_SHIFT), coordinates(256)
    views = [(transform(image) * 255).round().long() for _ in range(1500)]
    corners = {(int(view[1, 0, 0]), int(view[0, 0].min())) for view in views}
    mirrored = np.mean([bool(view[0, 0, 0] > view[0, 0, 1]) for view in views])
    assert all(set(view[0, 0].diff().tolist()) in ({1}, {-1}) for view in views)
    assert {top for top, _ in corners} == {left for _, left in corners} == set(range(33))
    assert abs(mirrored - 0.5) < 5 * 0.5 / np.sqrt(len(views))


@pytest.mark.parametrize("name", ["crops", "shifts", "paper"])
def test_views_are_mirrored_in_half_of_the_cases_or_never(name: Any) -> None:
    left_to_right = coordinates(240)
    for flip, share in ((True, 0.5), (False, 0.0)):
        transform = augment(name, 48, colors=NO_SHIFT, flip=flip)
        steps = tuple(s for s in transform.steps if not isinstance(s, v2.ColorJitter | v2.RandomErasing))
        views = [Transform(steps, 0)(left_to_right) for _ in range(400)]
        found = np.mean([bool(view[0, :, 0].mean() > view[0, :, -1].mean()) for view in views])
        assert abs(found - share) <= share * 5 / np.sqrt(len(views))


def test_the_papers_scale_is_uniform_between_its_bounds() -> None:
    transform, image = augment("paper", 20, scales=(20, 24), colors=NO_SHIFT), coordinates(200)
    # The picture's 200 levels are S pixels: 19 pixels of a view span 19 * 200 / S of them.
    scales = np.array([np.rint(19 * 200 / spans(transform(image))[1]) for _ in range(1000)])
    assert set(scales) == {20, 21, 22, 23, 24}
    assert min(np.mean(scales == scale) for scale in range(20, 25)) > 0.2 - 5 * np.sqrt(0.2 * 0.8 / 1000)


def test_the_papers_colour_shift_has_the_stated_distribution() -> None:
    vectors = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1))).Q
    colors = PrincipalColors(torch.tensor([0.05, 0.3, 0.8]), vectors)
    transform, image = augment("paper", 8, scales=(8, 8), colors=colors), Image.new("RGB", (8, 8), (128, 128, 128))
    shifts = torch.stack([transform(image) for _ in range(4000)]) - 128 / 255
    assert shifts.flatten(2).std(2).max() < 1e-6  # one shift for the whole picture
    # Krizhevsky et al. 2012, section 4.1: [p1 p2 p3] [a1 l1, a2 l2, a3 l3], a ~ N(0, 0.1)
    spread = (shifts[:, :, 0, 0] @ vectors).std(0)
    assert torch.allclose(spread, 0.1 * colors.values, rtol=0.06)


def test_principal_colours_are_those_of_all_pixels(tmp_path: Path) -> None:
    images = [noise(6 + n, 9, n) // (n + 1) * np.array([1, 0, 1], np.uint8) + np.uint8(9 * n) for n in range(5)]
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    names = tuple(str(tmp_path / f"{number}.png") for number in range(6))
    found = principal_colors(Pictures(names, (0,) * 6, Files(names)))  # the last is missing
    covariance = np.cov(np.concatenate([image.reshape(-1, 3) for image in images]) / 255, rowvar=False, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    assert np.allclose(found.values, values, atol=1e-6)
    assert np.allclose((found.vectors.double() * found.values) @ found.vectors.T.double(), covariance, atol=1e-6)
    assert np.allclose(np.abs(np.sum(found.vectors.numpy() * vectors, 0)), 1, atol=1e-4)


class Recorder:
    """A network that keeps what it is given."""

    temperature, seen = 1.0, torch.empty(0)

    def __call__(self, images: Tensor) -> Tensor:
        self.seen = images
        return torch.zeros(len(images), 2, 1, 1)


def sources(folder: Path) -> Iterator[Path]:
    for number, (height, width) in enumerate([(300, 256), (256, 301), (1111, 1500), (90, 100), (2100, 2050)]):
        Image.fromarray(noise(20, 20, number)).resize((width, height)).save(folder / f"{number}.jpg")
        yield folder / f"{number}.jpg"
    Image.fromarray(noise(290, 270)).convert("RGBA").save(folder / "a.png")
    yield folder / "a.png"


def test_evaluation_sees_what_the_classifier_sees(tmp_path: Path) -> None:
    network = initialize(VGG(Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8,))), head="gap", classes=2)).freeze()
    classifier = Classifier(network, dtype="float32", device="cpu")
    recorder = Recorder()
    classifier.networks = (recorder,)  # type: ignore[assignment]
    transform = evaluate_transform(256, 224)
    for path in sources(tmp_path):
        pictures = Pictures((str(path),), (0,), Files((str(path),))).at_least(transform.at_least)
        classifier(path)
        assert torch.equal(transform(pictures.open(0)), recorder.seen[0])


def halves(_: int) -> Image.Image:
    """A picture that is black on the left and white on the right."""
    return Image.fromarray(np.repeat(np.uint8([0, 255]), 8)[None, :, None].repeat(16, 0).repeat(3, 2))


def prepared(count: int = 8, **changes: Any) -> Prepared:
    pictures = Pictures(tuple(map(str, range(count))), tuple(n % 2 for n in range(count)), halves)
    small = {"arch": "4-4", "size": 16, "batch": 4, "workers": 0, "mixup": 0.0, "freeze_to": "pool1", "device": "cpu"}
    data = TrainingData(("a", "b"), pictures, pictures, (), False, 16)
    return prepare(TrainSettings(**small | changes), data, torch.device("cpu"))


@pytest.mark.parametrize("flip", [True, False])
def test_a_run_without_mirror_images_sees_none(flip: bool) -> None:
    views = [
        view
        for epoch in range(4)
        for batch in prepared(cache=False, flip=flip).training.epoch(epoch)
        for view in batch.images
    ]
    assert any(view[..., :8].mean() > view[..., 8:].mean() for view in views) is flip
    maps = [
        one
        for epoch in range(4)
        for batch in prepared(cache=True, flip=flip).training.epoch(epoch)
        for one in batch.images
    ]
    assert len(torch.stack(maps).unique(dim=0)) == 1 + flip


def test_maps_of_mirror_images_need_room_only_if_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 2 * (8 + 8) * 4 * 8 * 8  # bytes of bfloat16 maps of 8 pictures for training and 8 for validation
    monkeypatch.setattr("vggapps.training._prepare.available_memory", lambda: (2 * needed, ""))
    assert isinstance(prepared(flip=False).training, CachedBatches)
    assert not isinstance(prepared(flip=True).training, CachedBatches)


def test_impossible_views_are_errors() -> None:
    with pytest.raises(SettingsError, match="did you mean 'crops'"):
        augment("crop", 224)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="224 px can't be cropped from 200 px"):
        evaluate_transform(200, 224)
    with pytest.raises(SettingsError, match="can't be cropped"):
        augment("paper", 288, colors=NO_SHIFT)
    with pytest.raises(SettingsError, match="colors"):
        augment("paper", 224)
