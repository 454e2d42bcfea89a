"""Numbers that stylizing takes and refuses: weights of styles and layers, seeds, sizes in pixels and in words."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.test_stylize import noise, thin_vgg
from tests.test_stylize_inputs import PHOTO, run
from vggapps.errors import SettingsError
from vggapps.image import scaled
from vggapps.style import StylizeSettings, stylize_steps
from vggapps.style._transfer import size_for
from vggapps.vgg._network import VGG


@pytest.fixture(scope="module")
def narrow() -> VGG:
    return thin_vgg()


# Weights and how styles are given


def test_a_dictionary_of_styles_gives_their_weights(narrow: VGG) -> None:
    a, b = noise(2, 64, 64), 0.3 * noise(3, 64, 64)
    assert torch.equal(run(narrow, PHOTO, {a: 0.7, b: 0.3}), run(narrow, PHOTO, [(a, 0.7), (b, 0.3)]))


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, -1.0, 0.0])
def test_weights_that_make_no_sense_are_refused_at_the_call(narrow: VGG, weight: float) -> None:
    with pytest.raises(SettingsError, match="weights must be positive"):
        stylize_steps(PHOTO, [(noise(2, 64, 64), weight)], vgg=narrow)
    if weight:
        with pytest.raises(SettingsError, match="weights must be positive"):
            stylize_steps(PHOTO, [(noise(2, 64, 64), weight), (noise(3, 64, 64), 1.0)], vgg=narrow)


def test_no_style_is_refused(narrow: VGG) -> None:
    for none in ([], {}):
        with pytest.raises(SettingsError, match="there is no style"):
            stylize_steps(PHOTO, none, vgg=narrow)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"style_layers": ("relu1_1:inf",)}, "style_layers has 'relu1_1:inf'"),
        ({"style_layers": ("relu1_1", "relu2_1:nan")}, "style_layers has 'relu2_1:nan'"),
        ({"style_layers": ("relu1_1:-1",)}, "style_layers has 'relu1_1:-1'"),
        ({"style_layers": ("relu1_1:0",)}, "a layer with a weight above 0"),
        ({"style_layers": ()}, "give it a list of one name or more"),
        ({"content_layers": ()}, "give it a list of one name or more"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
        ({"seed": 10**30}, "seed is 1000"),
        ({"seed": -1}, "seed is -1"),
        ({"size": "large"}, "size is 'large'"),
        ({"size": "2"}, "size is '2'"),
        ({"size": "x"}, "size is 'x'"),
        ({"size": "-2x"}, "size is '-2x'"),
        ({"size": "nanx"}, "size is 'nanx'"),
        ({"size": 31}, "size is 31"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        StylizeSettings(**setting)  # type: ignore[arg-type]


def test_the_largest_seed_is_taken(narrow: VGG) -> None:
    assert run(narrow, PHOTO, noise(2, 64, 64), steps=1, init="noise", seed=2**63 - 1).shape == (1, 3, 64, 96)


# Sizes


@pytest.mark.parametrize(
    ("size", "photo", "pixels"),
    [
        (512, 100, 512),
        ("original", 1234, 1234),
        ("2x", 300, 600),
        ("0.5x", 301, 151),
        (".25x", 400, 100),
        ("1x", 32, 32),
    ],
)
def test_a_size_is_a_number_or_relative_to_the_photos(size: int | str, photo: int, pixels: int) -> None:
    assert StylizeSettings(size=size).longer_side(photo) == pixels


@pytest.mark.parametrize(
    ("size", "photo"), [("original", 31), ("original", 40000), ("3x", 11000), ("0.1x", 300), ("0x", 9)]
)
def test_a_relative_size_has_the_bounds_of_a_number(size: str, photo: int) -> None:
    with pytest.raises(SettingsError, match=rf"size=.?{size}.? of a photo of {photo} px gives \d+ px .*at most 32768"):
        StylizeSettings(size=size).longer_side(photo)


def test_results_have_the_photos_size_or_a_multiple(narrow: VGG) -> None:
    assert run(narrow, noise(1, 48, 64), noise(2, 64, 64), steps=1, size="original").shape[2:] == (48, 64)
    assert run(narrow, noise(1, 48, 64), noise(2, 64, 64), steps=1, size="1.5x").shape[2:] == (72, 96)


@given(longer=st.integers(1, 40000), shorter=st.integers(1, 40000))
def test_the_size_that_is_named_for_a_narrow_picture_is_the_smallest_that_works(longer: int, shorter: int) -> None:
    longer, shorter = max(longer, shorter), min(longer, shorter)
    size = size_for(longer, shorter, 16)
    assert min(scaled(longer, shorter, size)) >= 16
    if size > 16:
        assert min(scaled(longer, shorter, size - 1)) < 16


@pytest.mark.parametrize(("shape", "hint"), [((2, 3000), "a size of at least 23250"), ((40, 2000), "at least 775")])
def test_a_narrow_picture_is_refused_with_a_size_that_works(narrow: VGG, shape: tuple[int, int], hint: str) -> None:
    with pytest.raises(SettingsError, match=hint):
        stylize_steps(torch.rand(1, 3, *shape), PHOTO, vgg=narrow, size=96)
    with pytest.raises(SettingsError, match="crop the photo"):
        stylize_steps(torch.rand(1, 3, 1, 3000), PHOTO, vgg=narrow, size=96)
