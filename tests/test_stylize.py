"""Stylizing from Python: targets, scales, colours, tiles, and a loop on a narrow network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from vggapps.errors import OutOfMemoryError, PictureError, SettingsError
from vggapps.image import Picture, save_picture
from vggapps.losses._distance import DISTANCES
from vggapps.losses._moments import moments
from vggapps.optimize._step import last
from vggapps.style import _memory as memory
from vggapps.style._color import match_colors
from vggapps.style._memory import plan_memory
from vggapps.style._score import StyleScore, StyleTerm, content_term, style_term, whole
from vggapps.style._settings import StyleLossName, StylizeSettings
from vggapps.style._tiling import Tiling, tiled, tiles
from vggapps.style._transfer import stylize_steps
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import PLANS

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def thin_vgg() -> VGG:
    """VGG-19's depth and strides at an eighth of its width."""
    plan = PLANS["vgg19"]
    thin = replace(plan, name="thin19", blocks=tuple(tuple(c // 8 for c in block) for block in plan.blocks))
    return initialize(VGG(thin, head="none", padding="replicate")).freeze()


@pytest.fixture(scope="module")
def narrow() -> VGG:
    return thin_vgg()


def noise(seed: int, height: int, width: int) -> Tensor:
    """A picture with structure at several sizes."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(1, 3, height, width)
    for cells in (2, 8, 32):
        grid = torch.rand(1, 3, cells, cells, generator=generator)
        image += torch.nn.functional.interpolate(grid, (height, width), mode="bilinear") / 3
    return image


def run(vgg: VGG, **settings: object) -> Tensor:
    steps = stylize_steps(noise(1, 64, 96), noise(2, 80, 80), vgg=vgg, size=96, steps=24, dtype="float32", **settings)
    return last(steps).image()


# The objective


def objective(vgg: VGG, content: Tensor, style: Tensor) -> StyleScore:
    with torch.no_grad():
        target = {name: moments(f) for name, f in vgg.features(style, STYLE).items()}
        found = content_term(vgg.features(content, ["relu3_1", "relu4_2"]), 0.5)
        return StyleScore([style_term(target), found], 3.0)


@pytest.mark.parametrize("size", [(96, 96), (333, 250), (161, 500)])
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_tiles_give_the_whole_pictures_loss_and_gradient(size: tuple[int, int], padding: str) -> None:
    thin = replace(PLANS["vgg19"], blocks=((4, 4), (4, 4), (8,) * 4, (8,) * 4, (8,) * 4))
    vgg = initialize(VGG(thin, head="none", padding=padding)).double().freeze()  # type: ignore[arg-type]
    image = noise(3, *size).double().requires_grad_()
    parts = objective(vgg, noise(1, *size).double(), noise(2, 120, 140).double())
    one, terms = whole(vgg, parts)(image)
    many, tiled_terms = tiled(vgg, parts, 96)(image)
    assert float(many.detach()) == pytest.approx(float(one.detach()), rel=1e-6)
    assert terms.keys() == tiled_terms.keys()
    expected, found = (torch.autograd.grad(loss, image)[0] for loss in (one, many))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("name", get_args(StyleLossName))
def test_tiles_are_exact_for_every_style_loss_and_for_more_terms(name: str) -> None:
    thin = replace(PLANS["vgg19"], blocks=((4,), (4,), (4,), (4,), (4,)))
    vgg = initialize(VGG(thin, head="none")).double().freeze()
    content, style, image = (noise(seed, 112, 144).double() for seed in (1, 2, 3))
    with torch.no_grad():
        target = {layer: moments(f) for layer, f in vgg.features(style, ["relu1_1", "relu3_1"]).items()}
        known = vgg.features(content, ["relu2_1", "relu3_1"])
    near = StyleTerm("near", 0.7, DISTANCES["cosine"], known, {"relu2_1": 0.2, "relu3_1": 0.8})
    terms = [style_term(target, name), content_term(known, 0.5), near]
    image.requires_grad_()
    one, many = whole(vgg, StyleScore(terms, 1.0))(image), tiled(vgg, StyleScore(terms, 1.0), 48)(image)
    assert {name: float(part.detach()) for name, part in many[1].items()} == pytest.approx(
        {name: float(part.detach()) for name, part in one[1].items()}, rel=1e-6
    )
    expected, found = (torch.autograd.grad(loss, image)[0] for loss in (one[0], many[0]))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


def test_tiles_cover_every_pixel_once() -> None:
    for size in [(16, 16), (500, 700), (1000, 16), (2047, 1365)]:
        count = torch.zeros(size)
        for tile in tiles(size, 256, 80):
            count[tile.core] += 1
        assert (count == 1).all()


def test_gathered_features_are_the_whole_pictures(narrow: VGG) -> None:
    image = noise(3, 300, 200)
    gathered = Tiling(narrow, ["relu2_1", "relu4_2"], 96).gather(image)
    for name, f in narrow.features(image, ["relu2_1", "relu4_2"]).items():
        torch.testing.assert_close(gathered[name], f, rtol=1e-4, atol=1e-5)


# Colours


def test_matched_colors_have_the_references_mean_and_covariance() -> None:
    a, b = noise(1, 40, 60), 0.2 + 0.5 * noise(2, 30, 30)
    found, wanted = (t[0].flatten(1).double().numpy() for t in (match_colors(a, b), b))
    np.testing.assert_allclose(found.mean(1), wanted.mean(1), atol=1e-5)
    np.testing.assert_allclose(np.cov(found, bias=True), np.cov(wanted, bias=True), atol=3e-5)


def test_colors_matched_to_themselves_stay() -> None:
    a = noise(1, 40, 60)
    torch.testing.assert_close(match_colors(a, a), a, atol=1e-5, rtol=0)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_pictures_have_colors_too(level: float) -> None:
    flat = torch.full((1, 3, 8, 8), level)
    assert torch.isfinite(match_colors(flat, noise(1, 8, 8))).all()
    torch.testing.assert_close(match_colors(noise(1, 8, 8), flat).mean(), torch.tensor(level), atol=1e-4, rtol=0)


# The run


def test_style_comes_and_content_stays_as_strength_says(narrow: VGG) -> None:
    content, style = noise(1, 64, 96), noise(2, 80, 80)
    parts = objective(narrow, content, style)

    def distances(image: Tensor) -> tuple[float, float]:
        features = narrow.features(image, parts.layers)
        style_part, content_part = parts.terms
        return (
            float(style_part({n: moments(features[n]) for n in STYLE})),
            float(content_part(features)),
        )

    photo_style, _ = distances(content)
    weak, strong = (distances(run(narrow, strength=s)) for s in (0.2, 0.9))
    assert strong[0] < weak[0] < photo_style
    assert weak[1] < strong[1]


def test_strength_zero_is_the_photo(narrow: VGG) -> None:
    assert (run(narrow, strength=0.0) - noise(1, 64, 96)).abs().mean() < 0.02


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(narrow: VGG) -> None:
    one, same, other = (run(narrow, init="noise", seed=s) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert (one - other).abs().mean() > 0.01


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("style_loss", ["mean-covariance", "gram", "mean-std"])
def test_every_optimizer_lowers_every_style_loss(narrow: VGG, optimizer: str, style_loss: str) -> None:
    steps = list(
        stylize_steps(
            noise(1, 64, 96), noise(2, 80, 80), vgg=narrow, size=96, steps=30,
            optimizer=optimizer, style_loss=style_loss, strength=1.0, init="noise",
        )
    )  # fmt: skip
    first = next(s for s in steps if s.size == (64, 96))
    assert steps[-1].terms["style"] < 0.9 * first.terms["style"] < steps[0].terms["style"]


def test_weights_mean_the_same_at_any_size(narrow: VGG) -> None:
    """Four copies side by side have the terms of one; only the seams differ, which total variation feels most."""
    content, style, image = noise(1, 96, 128), noise(2, 128, 128), noise(3, 96, 128)
    many = [t.repeat(1, 1, 2, 2) for t in (content, style, image)]
    _, one = whole(narrow, objective(narrow, content, style))(image)
    _, four = whole(narrow, objective(narrow, many[0], many[1]))(many[2])
    for name, tolerance in {"style": 0.15, "content": 0.15, "tv": 0.3}.items():
        assert float(four[name]) == pytest.approx(float(one[name]), rel=tolerance)


def test_a_mixture_lies_between_its_styles(narrow: VGG) -> None:
    content, a, b = noise(1, 64, 96), 0.3 * noise(2, 80, 80), 0.3 * noise(3, 80, 80) + 0.7
    results = [
        last(stylize_steps(content, styles, vgg=narrow, size=96, steps=24)).image().mean()
        for styles in ([(a, 1.0)], [(a, 1.0), (b, 1.0)], [b])
    ]
    assert results[0] + 0.1 < results[1] < results[2] - 0.1


def test_content_colors_are_kept(narrow: VGG) -> None:
    content, style = noise(1, 64, 96) * torch.tensor([1.0, 0.3, 0.2]).view(3, 1, 1), noise(2, 80, 80)
    kept = last(stylize_steps(content, style, vgg=narrow, size=96, steps=24, colors="content")).image()
    taken = last(stylize_steps(content, style, vgg=narrow, size=96, steps=24, colors="style")).image()
    means = [t.mean((0, 2, 3)) for t in (content, kept, taken)]
    assert (means[1] - means[0]).abs().max() < 0.1 < (means[2] - means[0]).abs().max()


@pytest.mark.parametrize("several", [list, tuple, iter])
def test_styles_may_come_in_any_sequence(narrow: VGG, several: type) -> None:
    pair = (noise(2, 64, 64), noise(3, 64, 64))
    assert last(stylize_steps(noise(1, 64, 64), several(pair), vgg=narrow, size=64, steps=1)).index == 1


def test_panoramas_and_strips_can_be_painted(narrow: VGG) -> None:
    for shape in ((20, 200), (200, 20)):
        step = last(stylize_steps(noise(1, *shape), noise(2, 64, 64), vgg=narrow, size=200, steps=6))
        assert step.size == shape


def test_the_result_has_the_size_asked_for_and_carries_the_photos_transparency(narrow: VGG) -> None:
    alpha = torch.zeros(1, 1, 40, 60)
    alpha[..., :30] = 1
    photo = Picture(noise(1, 40, 60), alpha, "cut-out")
    step = last(stylize_steps(photo, noise(2, 50, 50), vgg=narrow, size=96, steps=3))
    result = photo.with_rgb(step.full_image())
    assert result.size == (64, 96)
    assert result.alpha is not None
    assert float(result.alpha[..., :40].mean()) == pytest.approx(1, abs=0.02)
    assert float(result.alpha[..., 56:].mean()) == pytest.approx(0, abs=0.02)


def test_tiled_and_whole_runs_look_the_same(narrow: VGG, monkeypatch: pytest.MonkeyPatch) -> None:
    one = run(narrow)
    monkeypatch.setattr(memory, "TILE", 32)
    monkeypatch.setattr(memory, "free_memory", lambda _device: 2_000_000)
    assert plan_memory((64, 96), 16, torch.float32, torch.device("cpu")).tile == 32
    monkeypatch.setattr("vggapps.style._transfer.plan_memory", lambda *_: memory.MemoryPlan(32, 0, 1))
    many = run(narrow)
    assert (one - many).abs().mean() < 0.01


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_paints_what_the_cpu_paints(narrow: VGG) -> None:
    on_cpu = run(narrow)
    thin = VGG(narrow.plan, head="none", padding="replicate").freeze()
    thin.load_state_dict(narrow.state_dict())
    on_gpu = run(thin.to("cuda"))
    assert on_gpu.device.type == "cpu"
    assert (on_gpu - on_cpu).abs().mean() < 0.02


# What is refused, at the call and not at the first step


def test_bad_arguments_fail_at_the_call(narrow: VGG, tmp_path: Path) -> None:
    good = noise(1, 64, 64)
    with pytest.raises(SettingsError, match="did you mean 'relu4_1'"):
        stylize_steps(good, good, vgg=narrow, style_layers=("relu41:2",))
    with pytest.raises(SettingsError, match="1 x 3 x H x W"):
        stylize_steps(good[0], good, vgg=narrow)
    with pytest.raises(SettingsError, match="weights must be positive"):
        stylize_steps(good, [(good, 0.0)], vgg=narrow)
    with pytest.raises(SettingsError, match=r"64 x 8 px is too narrow.*a size of at least 124"):
        stylize_steps(noise(1, 8, 64), good, vgg=narrow, size=64)
    with pytest.raises(SettingsError, match="strength is 2"):
        stylize_steps(good, good, vgg=narrow, strength=2)
    with pytest.raises(PictureError, match="no-such"):
        stylize_steps(tmp_path / "no-such.jpg", good, vgg=narrow)
    with pytest.raises(PictureError, match="no-start"):
        stylize_steps(good, good, vgg=narrow, init=str(tmp_path / "no-start.jpg"))


def test_too_large_is_refused_with_a_size_that_fits(narrow: VGG, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda _device: 300_000_000)
    with pytest.raises(OutOfMemoryError, match=r"size=\d+"):
        stylize_steps(noise(1, 64, 64), noise(2, 64, 64), vgg=narrow, size=4096)


def test_files_pictures_and_tensors_are_the_same_to_it(narrow: VGG, tmp_path: Path) -> None:
    content, style = (noise(s, 48, 64).mul(255).round().div(255) for s in (1, 2))
    save_picture(content, tmp_path / "a.png")
    save_picture(style, tmp_path / "b.png")
    settings = StylizeSettings(size=64, steps=3)
    from_files = last(stylize_steps(tmp_path / "a.png", str(tmp_path / "b.png"), settings, vgg=narrow)).image()
    from_tensors = last(stylize_steps(content, [(Picture(style, None, "b"), 2.0)], settings, vgg=narrow)).image()
    torch.testing.assert_close(from_files, from_tensors, atol=1e-4, rtol=0)
