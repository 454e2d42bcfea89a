"""Painting a photo in one call: names, sizes, colours, transparency and the recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vggapps
from vggapps.errors import OutOfMemoryError, SettingsError, WeightsError
from vggapps.image import Picture, open_picture, read_settings, resize
from vggapps.image._identity import identify
from vggapps.painters import Painter, PaintSettings, load_painter, paint, paint_tensor, save_painter
from vggapps.painters import _painting as painting

HOW: Any = {"size": 64, "device": "cpu", "dtype": "float32"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A painter of two styles with random weights."""
    torch.manual_seed(0)
    made = Painter(["waves", "night"], channels=16, blocks=2)
    nn.init.normal_(made.convs[-1].weight, std=0.05)
    for norm in made.norms:
        nn.init.normal_(norm.weight, mean=1, std=0.2)
    save_painter(made, tmp_path / "p.safetensors")
    return tmp_path / "p.safetensors"


@pytest.fixture
def photo() -> Picture:
    """Smooth, 96 x 72 px, with a transparent right half."""
    rgb = resize(torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(1)), (72, 96))
    alpha = torch.ones(1, 1, 72, 96)
    alpha[..., 48:] = 0
    return Picture(rgb, alpha, name="town.jpg")


def test_a_file_a_name_and_a_painter_give_the_same_picture(file: Path, photo: Picture, tmp_path: Path) -> None:
    photo.save(tmp_path / "town.png")
    from_files = paint(file, tmp_path / "town.png", "night", **HOW)
    loaded = load_painter(file)
    again = vggapps.paint(loaded, open_picture(tmp_path / "town.png"), {"night": 3}, PaintSettings(**HOW))
    assert torch.equal(from_files.rgb, again.rgb)
    resized = resize(open_picture(tmp_path / "town.png").rgb, (48, 64))
    assert torch.equal(from_files.rgb, paint_tensor(loaded, resized, {"night": 1}, dtype="float32"))
    assert (from_files.rgb - resized).abs().mean() > 0.02


def test_name_transparency_and_size_are_those_of_the_photo(file: Path, photo: Picture) -> None:
    painted = paint(file, photo, "waves", **HOW)
    assert painted.name == "town.jpg"
    assert painted.size == (48, 64)
    assert painted.alpha is not None
    torch.testing.assert_close(painted.alpha[..., :30], torch.ones(1, 1, 48, 30))
    torch.testing.assert_close(painted.alpha[..., 34:], torch.zeros(1, 1, 48, 30))


@pytest.mark.parametrize(("size", "wanted"), [("original", (72, 96)), ("0.5x", (36, 48)), (33, (25, 33))])
def test_sizes_are_those_of_stylize(file: Path, photo: Picture, size: int | str, wanted: tuple[int, int]) -> None:
    assert paint(file, photo, "waves", **{**HOW, "size": size}).size == wanted


def test_strength_0_is_the_photo(file: Path, photo: Picture) -> None:
    for colors in ("style", "content"):
        unchanged = paint(file, photo, "waves", **{**HOW, "size": "original"}, strength=0, colors=colors)
        assert torch.equal(unchanged.rgb, photo.rgb)


def test_a_mixture_is_in_proportion_to_the_weights_in_every_form(file: Path, photo: Picture) -> None:
    forms: list[Any] = [{"waves": 7, "night": 3}, [("waves", 0.7), ("night", 0.3)], [("waves", 7.0), ("night", 3.0)]]
    one, *others = (paint(file, photo, form, **HOW).rgb for form in forms)
    for other in others:
        torch.testing.assert_close(one, other)
    both = paint(file, photo, ["waves", "night"], **HOW).rgb
    torch.testing.assert_close(both, paint(file, photo, {"waves": 1, "night": 1}, **HOW).rgb)
    assert (both - one).abs().max() > 0.01


def test_with_the_photos_colours_mean_and_covariance_are_the_photos(file: Path, photo: Picture) -> None:
    opaque = replace(photo, rgb=0.4 + 0.2 * photo.rgb, alpha=None)  # far from 0 and 1, where colours are cut off
    painted = paint(file, opaque, "waves", colors="content", **{**HOW, "size": "original"})
    ours, theirs = painted.rgb[0].flatten(1), opaque.rgb[0].flatten(1)
    torch.testing.assert_close(ours.mean(1), theirs.mean(1), atol=2e-3, rtol=0)
    torch.testing.assert_close(ours.cov(), theirs.cov(), atol=2e-4, rtol=0.02)
    assert (ours - theirs).abs().mean() > 0.01  # it is painted


def test_the_only_style_need_not_be_named(photo: Picture) -> None:
    alone = Painter(["waves"], channels=8, blocks=1)
    assert paint(alone, photo, **HOW).settings["settings"]["styles"] == ["waves:1.0"]


def test_of_several_styles_one_must_be_named(file: Path, photo: Picture) -> None:
    with pytest.raises(SettingsError, match="waves, night"):
        paint(file, photo, **HOW)
    with pytest.raises(SettingsError, match="did you mean 'waves'"):
        paint(file, photo, "wave", **HOW)


def test_the_recipe_names_photo_painter_styles_and_settings(file: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)).save(tmp_path / "town.png")
    paint(file, tmp_path / "town.png", {"night": 0.25, "waves": 1}, strength=0.7, **HOW).save(tmp_path / "a.png")
    recipe = read_settings(tmp_path / "a.png")
    assert recipe is not None
    inputs: Any = recipe["inputs"]
    for name, path in {"content": tmp_path / "town.png", "painter": file}.items():
        assert inputs[name] == [{"name": path.name, "sha256": identify(path).sha256}]
    settings: Any = recipe["settings"]
    assert settings == {"styles": ["night:0.25", "waves:1.0"], "strength": 0.7, "colors": "style", **HOW}


def test_a_result_that_does_not_fit_into_memory_is_refused(
    file: Path, photo: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painting, "available_memory", lambda: (36 * 64 * 48 - 1, "the machine"))
    with pytest.raises(OutOfMemoryError, match="size=32"):
        paint(file, photo, "waves", **HOW)
    monkeypatch.setattr(painting, "available_memory", lambda: (36 * 64 * 48, "the machine"))
    paint(file, photo, "waves", **HOW)


@pytest.mark.parametrize(("wrong", "words"), [({"size": "big"}, "size is 'big'"), ({"strength": 2}, "strength is 2")])
def test_invalid_settings_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        PaintSettings(**wrong)


def test_a_missing_painter_is_said(tmp_path: Path, photo: Picture) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        paint(tmp_path / "none.safetensors", photo)
