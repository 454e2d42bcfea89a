"""The front of the room: one function for all methods, the question that they answer, and what is shown of them."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.explanation import METHODS, Explanation, ask, explain_batch
from vggapps.explanation._methods import input_size
from vggapps.explanation._question import Question, predicted_classes
from vggapps.explanation._report import figure
from vggapps.explanation._settings import ExplainSettings, MethodName
from vggapps.figures import overlay
from vggapps.image import Picture
from vggapps.objectives._objective import channel
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8, 8)))
QUICK: dict[str, dict[str, Any]] = {
    "rise": {"samples": 6},
    "integrated-gradients": {"samples": 4},
    "smoothgrad": {"samples": 3},
}


def network(head: Any = "gap", classes: int = 5) -> VGG:
    return initialize(VGG(NARROW, head=head, classes=classes), "glorot", seed=3).freeze()


def pictures(n: int = 2, height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


def made(method: str, values: list[float]) -> Explanation:
    map_ = torch.tensor(values).view(1, 1, 1, -1)
    question = Question(network(), channel("relu1_1", 0))
    return Explanation(question, pictures(1), METHODS[method], map_, None, torch.ones(1), torch.ones(1), 0.0)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_maps_of_the_pictures_size(method: str) -> None:
    found = explain_batch(network(), pictures(), 3, method, **QUICK.get(method, {}))
    assert (found.map.shape, found.map.dtype) == ((2, 1, 64, 96), torch.float32)
    assert found.map.isfinite().all()
    assert found.map.abs().max() > 0
    assert METHODS[method].signed or found.map.min() >= 0
    assert found.layer == ("relu5_2" if method.endswith(("cam", "++")) else None)
    heat = found.heat()
    assert heat.abs().amax((1, 2, 3)).tolist() == pytest.approx([1, 1])
    assert found.score.tolist() == pytest.approx(network()(pictures())[:, 3].tolist())
    assert found.confidence.tolist() == pytest.approx(network()(pictures()).softmax(1)[:, 3].tolist())


def test_settings_know_all_methods() -> None:
    assert tuple(METHODS) == get_args(MethodName)
    with pytest.raises(SettingsError, match="grad-cam"):
        ExplainSettings(method="gradcam")  # type: ignore[arg-type]


def test_nobody_says_what_so_it_is_the_likeliest_class_of_each() -> None:
    vgg, image = network(), pictures(4)
    indices = vgg(image).argmax(1).tolist()
    assert predicted_classes(vgg, image) == indices
    torch.testing.assert_close(explain_batch(vgg, image).map, explain_batch(vgg, image, indices).map)
    dense = vgg.dense()
    large = pictures(2, 224, 288)
    assert predicted_classes(dense, large) == dense(large).mean((2, 3)).argmax(1).tolist()


def test_of_single_pixels_signed_ones_are_added_over_colours_and_others_are_the_largest() -> None:
    vgg, image = network(), pictures().requires_grad_()
    (slopes,) = torch.autograd.grad(vgg(image)[:, 1].sum(), image)
    image = image.detach()
    torch.testing.assert_close(explain_batch(vgg, image, 1, "gradient").map, slopes.abs().amax(1, keepdim=True))
    mean = torch.tensor(vgg.convention.mean).view(3, 1, 1)
    expected = (slopes * (image - mean)).sum(1, keepdim=True)
    torch.testing.assert_close(explain_batch(vgg, image, 1, "gradient-x-input").map, expected)


def test_confidence_is_after_the_temperature_and_of_the_mean_over_positions() -> None:
    vgg, image = network().dense(), pictures(2, 224, 288)
    vgg.temperature = 0.5
    expected = (vgg(image).mean((2, 3)) / 0.5).softmax(1)[:, 2]
    torch.testing.assert_close(ask(vgg, 2).confidence(image), expected)
    torch.testing.assert_close(ask(vgg, 2).score(image), vgg(image).mean((2, 3))[:, 2])
    response = vgg.features(image, ["relu4_1"])["relu4_1"][:, 3].mean((1, 2))
    torch.testing.assert_close(ask(vgg, "relu4_1:3").confidence(image), response)


def test_classes_are_named_where_their_names_are_known() -> None:
    assert ask(network(), 3).objective.text == "class:3"
    assert ask(network(classes=1000), 281).objective.text == "class:tabby"
    named = network()
    named.classes = ("a", "b", "c", "d", "e")
    assert ask(named, 3).objective.text == "class:d"
    assert ask(nn.Identity().eval(), 3).objective.text == "class:3"


def test_wrong_words_are_told() -> None:
    vgg, image = network(), pictures()
    for arguments, word in {
        (3, "grad-camm"): "did you mean 'grad-cam'",
        (9, "grad-cam"): "there is no class 9",
        ("relu5_3:1", "gradient"): "no layer 'relu5_3'",
        ("caricature(relu4_1, cat.jpg)", "gradient"): "cat.jpg",
    }.items():
        with pytest.raises((SettingsError, OSError), match=word):
            explain_batch(vgg, image, *arguments)
    with pytest.raises(SettingsError, match="gradient takes no layer"):
        explain_batch(vgg, image, 3, "gradient", layer="relu4_1")
    with pytest.raises(SettingsError, match="3 classes for 2 pictures"):
        explain_batch(vgg, image, [1, 2, 3])
    with pytest.raises(SettingsError, match="training mode"):
        explain_batch(VGG(NARROW, head="gap"), image)


@pytest.mark.parametrize("method", ["grad-cam", "gradient", "occlusion", "lrp"])
def test_heat_of_a_map_of_zeros_is_zero(method: str) -> None:
    found = made(method, [0.0] * 5)
    assert (found.heat() == 0).all()
    assert (found.heat(2.0) == 0).all()
    assert (found.heat(0.0) == 0).all()


def test_heat_is_relative_to_the_largest_value_or_to_a_common_one() -> None:
    torch.testing.assert_close(made("grad-cam", [0.0, 1, 4]).heat().flatten(), torch.tensor([0.0, 0.25, 1]))
    torch.testing.assert_close(made("occlusion", [-4.0, 1, 2]).heat().flatten(), torch.tensor([-1, 0.25, 0.5]))
    torch.testing.assert_close(made("grad-cam", [0.0, 1, 4]).heat(8).flatten(), torch.tensor([0, 0.125, 0.5]))


def test_of_single_pixels_a_few_that_shoot_out_do_not_darken_the_rest() -> None:
    found = made("integrated-gradients", [-1.0, 0.5] * 100 + [1000])
    torch.testing.assert_close(found.heat().flatten()[-3:], torch.tensor([-1, 0.5, 1]))
    alone = made("gradient", [0.0] * 300 + [7])
    assert alone.heat().max() == 1  # where 99 % are zero there is nothing but the rest


def test_a_signed_map_is_red_for_and_blue_against() -> None:
    image = torch.full((1, 3, 1, 3), 0.5)
    shown = overlay(image, torch.tensor([[[[-0.8, 0, 0.8]]]]), signed=True)
    against, nothing, for_ = shown[0, :, 0].T
    torch.testing.assert_close(nothing, image[0, :, 0, 0])
    assert against[2] > against[0] + 0.2
    assert for_[0] > for_[2] + 0.2
    torch.testing.assert_close(for_, against.flip(0), atol=0.06, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(480, 800), (200, 800), (800, 300)])
@pytest.mark.parametrize("method", ["grad-cam", "occlusion"])
def test_the_figure_is_the_picture_and_its_map_side_by_side_or_one_below_the_other(
    height: int, width: int, method: str
) -> None:
    image, map_ = pictures(1, height, width), torch.zeros(1, 1, height, width)
    map_[..., : height // 2, :] = 3
    one = Explanation(ask(network(), 1), image, METHODS[method], map_, None, *torch.ones(2, 1), 0.0)
    drawn = figure(Picture(image), [one], captioned=False)
    assert drawn.shape[2:] == ((height * 2 + 8, width) if width == 4 * height else (height, width * 2 + 8))
    assert torch.equal(drawn[..., :height, :width], image)
    assert 0 <= drawn.min() <= drawn.max() <= 1
    laid = drawn[..., -height:, -width:]
    hot, cold = laid[..., : height // 2 - 1, :], laid[..., height // 2 + 1 :, :]
    torch.testing.assert_close(cold.amax(1), cold.amin(1))  # grey: all colour is the map's
    assert (hot.amax(1) - hot.amin(1)).min() > 0.2


@pytest.mark.parametrize(("height", "width"), [(480, 800), (200, 800), (800, 40)])
@pytest.mark.parametrize("method", ["grad-cam", "occlusion"])
def test_below_a_map_stand_its_class_method_and_scale(height: int, width: int, method: str) -> None:
    image, map_ = pictures(1, height, width), torch.rand(1, 1, height, width)
    one = Explanation(ask(network(), 1), image, METHODS[method], map_, "relu5_2", *torch.ones(2, 1), 0.0)
    bare, drawn = (figure(Picture(image), [one], captioned=captioned) for captioned in (False, True))
    rows = bare.shape[2]
    assert torch.equal(drawn[:, :, :rows], bare)
    strip = drawn[:, :, rows:]
    assert 0.2 < (strip == 1).float().mean() < 1  # ink on white
    colourful = (strip.amax(1) - strip.amin(1))[0] > 0.3
    assert colourful.any()
    columns = colourful.any(0).nonzero()[:, 0]
    bar = strip[0, :, int(colourful.any(1).nonzero()[:, 0].float().mean()), columns[0] : columns[-1] + 1]
    last, first = bar[:, -1], bar[:, 0]
    assert last[0] > last[2] + 0.2  # the hottest: plasma's yellow, or red
    assert (first[2] > first[0]) or method == "grad-cam"
    other = figure(Picture(image), [one], {method: 7.0})
    assert not torch.equal(other[:, :, rows:], strip)  # the scale says another number


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(224, 224, (224, 224)), (3000, 4000, (224, 288)), (50, 20, (576, 224))]
)
def test_a_picture_is_seen_in_whole_steps_of_the_last_pooling(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    assert input_size(height, width, 224) == expected
    rows, columns = input_size(10, 9000, 224)
    assert (rows, columns) == (224, 8 * 224)
