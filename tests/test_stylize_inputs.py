"""What stylizing makes of its inputs: grey, transparent, plain and tiny styles, in any mode of torch."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.test_stylize import noise, thin_vgg
from vggapps.errors import PictureError
from vggapps.image import Picture, save_picture
from vggapps.losses._moments import moments
from vggapps.losses._pictures import resize_mask
from vggapps.optimize._step import last
from vggapps.style import StylizeSettings, load_backbone, stylize_steps
from vggapps.style._color import match_colors
from vggapps.style._styles import read_styles, style_pixels, style_resolution
from vggapps.style._tiling import Tiling
from vggapps.vgg._network import VGG

PHOTO = noise(1, 64, 96)


@pytest.fixture(scope="module")
def narrow() -> VGG:
    return thin_vgg()


def run(vgg: VGG, content: Tensor | Picture, styles: object, **settings: object) -> Tensor:
    return last(stylize_steps(content, styles, vgg=vgg, **{"size": 96, "steps": 12} | settings)).image()  # type: ignore[arg-type]


def grey(image: Tensor) -> Tensor:
    return image.mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous()


def spread(image: Tensor) -> float:
    """The largest difference between the channels of a pixel."""
    return float((image.amax(1) - image.amin(1)).max())


def plain(*color: float, size: tuple[int, int] = (40, 60)) -> Tensor:
    return torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, *size).contiguous()


def cut_out(rgb: Tensor, alpha: Tensor) -> Picture:
    """As a file with transparency is read: what can't be seen has the mean colour of the rest."""
    mean = (rgb * alpha).sum((2, 3), keepdim=True) / alpha.sum()
    return Picture(rgb * alpha + mean * (1 - alpha), alpha, "cut.png")


# Grey


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("init", ["content", "noise"])
def test_a_grey_style_gives_exactly_grey_pixels(narrow: VGG, optimizer: str, init: str) -> None:
    assert spread(run(narrow, PHOTO, grey(noise(2, 80, 80)), optimizer=optimizer, init=init)) == 0


def test_every_picture_on_the_way_is_grey_and_so_is_one_that_is_stopped(narrow: VGG) -> None:
    for step in stylize_steps(noise(1, 160, 200), grey(noise(2, 80, 80)), vgg=narrow, size=200, steps=6):
        assert spread(step.image()) == 0
        assert spread(step.full_image()) == 0


def test_a_grey_photo_that_keeps_its_colors_stays_grey_and_one_that_does_not_gets_the_styles(narrow: VGG) -> None:
    assert spread(run(narrow, grey(PHOTO), noise(2, 80, 80), colors="content")) == 0
    assert spread(run(narrow, grey(PHOTO), noise(2, 80, 80))) > 0.05


def test_a_mixture_is_grey_only_if_all_styles_that_count_are(narrow: VGG) -> None:
    black_and_white, colored = grey(noise(2, 80, 80)), noise(3, 80, 80)
    assert spread(run(narrow, PHOTO, [(black_and_white, 1.0), (colored, 1.0)])) > 0.05
    assert spread(run(narrow, PHOTO, [(black_and_white, 1.0), (colored, 0.0)])) == 0


def test_a_grey_style_that_counts_nothing_leaves_the_photo_its_colors(narrow: VGG) -> None:
    assert (run(narrow, PHOTO, grey(noise(2, 80, 80)), strength=0.0) - PHOTO).abs().mean() < 0.02


def test_a_grey_picture_has_the_photos_structure(narrow: VGG) -> None:
    result = run(narrow, PHOTO, grey(noise(2, 80, 80)), strength=0.3)
    both = torch.stack([result.mean(1).flatten(), PHOTO.mean(1).flatten()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.6


# Transparency


def test_only_the_visible_part_of_a_style_counts(narrow: VGG) -> None:
    rgb, alpha = noise(2, 80, 160), torch.zeros(1, 1, 80, 160)
    alpha[..., :80] = 1
    assert torch.equal(run(narrow, PHOTO, cut_out(rgb, alpha)), run(narrow, PHOTO, rgb[..., :80]))


def test_statistics_of_a_masked_style_are_weighted_means_over_its_positions(narrow: VGG) -> None:
    rgb, alpha = noise(2, 220, 180), (noise(5, 220, 180)[:, :1] > 0.5).float()
    found = Tiling(narrow, ["relu2_1", "relu4_1"], 96).moments(rgb, alpha)
    for name, f in narrow.features(rgb, ["relu2_1", "relu4_1"]).items():
        wanted = moments(f, resize_mask(alpha, (f.shape[2], f.shape[3])))
        torch.testing.assert_close(found[name].mean, wanted.mean, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(found[name].second, wanted.second, rtol=1e-3, atol=1e-5)


def test_what_hides_under_transparent_pixels_changes_no_color() -> None:
    rgb, alpha = noise(2, 40, 60), torch.zeros(1, 1, 40, 60)
    alpha[..., 10:30, 20:50] = 1
    seen = rgb[..., 10:30, 20:50]
    torch.testing.assert_close(match_colors(PHOTO, rgb, None, alpha), match_colors(PHOTO, seen))
    torch.testing.assert_close(match_colors(rgb, PHOTO, alpha)[..., 10:30, 20:50], match_colors(seen, PHOTO))


def test_the_visible_part_of_a_photo_gets_the_styles_colors(narrow: VGG) -> None:
    alpha = torch.zeros(1, 1, 64, 96)
    alpha[..., :32] = 1
    style = noise(2, 64, 96)
    start = run(narrow, cut_out(PHOTO, alpha), style, steps=1, content_weight=0.0, style_weight=1e-6)[..., :32]
    torch.testing.assert_close(start.mean((2, 3)), style.mean((2, 3)), atol=0.03, rtol=0)
    torch.testing.assert_close(start.std((2, 3)), style.std((2, 3)), atol=0.03, rtol=0)


def test_the_shape_of_what_is_visible_is_kept_where_it_is_no_rectangle() -> None:
    alpha = torch.zeros(1, 1, 96, 96)
    alpha[..., 16:48, 16:48] = alpha[..., 48:80, 48:80] = 1
    (painting,) = read_styles(cut_out(noise(2, 96, 96), alpha), noise(1, 96, 96), 1.0)
    assert painting.alpha is not None
    assert torch.equal(painting.alpha, alpha[..., 16:80, 16:80])


def test_a_transparent_style_is_told(narrow: VGG, caplog: pytest.LogCaptureFixture) -> None:
    alpha = torch.ones(1, 1, 80, 80)
    alpha[..., :40, :40] = 0
    run(narrow, PHOTO, cut_out(noise(2, 80, 80), alpha), steps=1)
    assert "cut.png: it is partly transparent" in caplog.text


@pytest.mark.parametrize("specks", [[], [(3, 3)], [(3, 3), (70, 70)], [(3, 70), (40, 3), (75, 40)]])
def test_a_style_of_which_nothing_can_be_seen_is_an_error(narrow: VGG, specks: list[tuple[int, int]]) -> None:
    alpha = torch.zeros(1, 1, 80, 80)
    for row, column in specks:
        alpha[..., row : row + 3, column : column + 3] = 1
    with pytest.raises(PictureError, match=r"cut\.png: too little of it is visible"):
        stylize_steps(PHOTO, Picture(noise(2, 80, 80), alpha, "cut.png"), vgg=narrow, size=96)


def test_where_a_picture_to_start_from_is_transparent_the_usual_start_is_seen(narrow: VGG, tmp_path: Path) -> None:
    rgb, alpha = plain(0.9, 0.1, 0.1, size=(64, 96)), torch.zeros(1, 1, 64, 96)
    alpha[..., :48] = 1
    save_picture(Picture(rgb, alpha), tmp_path / "start.png")
    settings = {"steps": 1, "content_weight": 0.0, "style_weight": 1e-6}
    usual = run(narrow, PHOTO, noise(2, 80, 80), **settings)
    found = run(narrow, PHOTO, noise(2, 80, 80), init=str(tmp_path / "start.png"), **settings)
    assert (found - rgb)[..., :40].abs().max() < 0.05
    assert (found - usual)[..., 56:].abs().max() < 0.05


# Styles of one colour, and tiny ones


@pytest.mark.parametrize("color", [(0.8, 0.1, 0.1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.1, 0.2, 0.6)])
@pytest.mark.parametrize("style_loss", ["mean-covariance", "gram", "mean-std"])
def test_a_style_of_one_color_gives_the_photo_in_that_color(
    narrow: VGG, color: tuple[float, ...], style_loss: str
) -> None:
    result = run(narrow, PHOTO, plain(*color), style_loss=style_loss)
    assert (result.mean((0, 2, 3)) - torch.tensor(color)).abs().max() < 0.15
    both = torch.stack([result.mean(1).flatten(), PHOTO.mean(1).flatten()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.6
    rough = [float((image[..., 1:] - image[..., :-1]).abs().mean()) for image in (result, PHOTO)]
    assert rough[0] < 2 * rough[1]


def test_a_style_counts_more_the_more_texture_it_has() -> None:
    faint = [0.5 + amount * (noise(2, 64, 64) - 0.5) for amount in (0.0, 0.02, 0.1, 1.0)]
    shares = [sum(p.share for p in read_styles(style, PHOTO, 1.0) if p.rgb.shape[2:] == (64, 64)) for style in faint]
    assert shares[0] == 0 < shares[1] < shares[2] < shares[3] == 1


@pytest.mark.parametrize("shape", [(2, 2), (15, 15), (1, 300), (3000, 20)])
def test_styles_of_odd_sizes_are_taken(narrow: VGG, shape: tuple[int, int]) -> None:
    result = run(narrow, PHOTO, torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(1)), steps=4)
    assert torch.isfinite(result).all()


# How much of a style is seen


@given(
    style=st.tuples(st.integers(16, 9000), st.integers(16, 9000)),
    result=st.tuples(st.integers(16, 4000), st.integers(16, 4000)),
    style_size=st.floats(0.05, 20),
)
def test_a_style_is_seen_with_the_results_area_in_its_own_shape_and_never_enlarged(
    style: tuple[int, int], result: tuple[int, int], style_size: float
) -> None:
    seen = style_resolution(style, result, style_size)
    assert min(seen) >= 16
    assert all(ours <= whole for ours, whole in zip(seen, style, strict=True))
    for ours, whole in zip(seen, style, strict=True):  # the same shape, to half a pixel
        assert abs(ours - whole * math.sqrt(math.prod(seen) / math.prod(style))) <= 1 + ours / min(seen)
    wanted = style_pixels(result, style_size)
    if min(seen) > 16 and seen != style:
        assert math.prod(seen) == pytest.approx(wanted, rel=0.1)
    assert style_resolution(seen, result, style_size) == seen  # what has been shrunk is not shrunk again


def test_large_styles_are_shrunk_at_once() -> None:
    (painting,) = read_styles(noise(2, 900, 1200), PHOTO, 0.5)
    assert painting.rgb[0, 0].numel() == pytest.approx(64 * 96 / 4, rel=0.05)


# Modes of torch


def test_it_works_in_inference_mode_and_gives_the_same(narrow: VGG) -> None:
    outside = run(narrow, noise(1, 64, 96), noise(2, 80, 80))
    with torch.inference_mode():
        inside = run(narrow, noise(1, 64, 96), noise(2, 80, 80))
        assert torch.is_inference_mode_enabled()
    assert torch.equal(inside, outside)


def test_the_mode_of_the_caller_is_restored_between_steps(narrow: VGG) -> None:
    with torch.inference_mode():
        for step in stylize_steps(noise(1, 64, 96), noise(2, 80, 80), vgg=narrow, size=96, steps=3):
            assert torch.is_inference_mode_enabled()
            step.image()


def test_a_network_loaded_in_inference_mode_can_be_learnt_from() -> None:
    with torch.inference_mode():
        vgg = load_backbone(StylizeSettings())
        assert last(stylize_steps(noise(1, 32, 32), noise(2, 32, 32), vgg=vgg, size=32, steps=1)).index == 1


def test_notes_are_no_errors(narrow: VGG, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        run(narrow, PHOTO, plain(0.8, 0.1, 0.1), steps=1)
    assert "hardly any texture" in caplog.text
