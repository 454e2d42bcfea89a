"""The perceptual loss: what is summed, over which positions, for which targets, on which network."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference.narrow import D, network, perceptual, pictures
from vggapps.errors import SettingsError
from vggapps.losses import DISTANCES, Term
from vggapps.losses.functional import charbonnier, published_gram

X, Y = pictures(1), pictures(2)

SLOW = {
    "l1": lambda x, y: np.abs(x - y).mean(),
    "l2": lambda x, y: ((x - y) ** 2).mean(),
    "charbonnier": lambda x, y: (np.sqrt((x - y) ** 2 + 1e-6) - 1e-3).mean(),
    "huber": lambda x, y: np.where(np.abs(x - y) <= 1, (x - y) ** 2 / 2, np.abs(x - y) - 0.5).mean(),
    "cosine": lambda x, y: (1 - (x * y).sum(0) / np.sqrt((x**2).sum(0) * (y**2).sum(0))).mean(),
    "frobenius": lambda x, y: math.sqrt(((x - y) ** 2).sum()),
    "squared-error": lambda x, y: ((x - y) ** 2).sum() / 2,
}


@pytest.mark.parametrize("name", SLOW)
def test_criteria_are_their_formulas_for_each_picture_of_a_batch(name: str) -> None:
    x, y = (network().features(t, ["conv3_2"])["conv3_2"].numpy() for t in (X, Y))
    assert np.abs(x - y).max() > 1.5  # both sides of Huber's knee
    found = perceptual("conv3_2", name, reduction="none")(X, Y)
    assert found.tolist() == pytest.approx([SLOW[name](a, b) for a, b in zip(x, y, strict=True)], rel=1e-9)


def test_the_breakdown_is_each_layers_weight_times_its_loss_and_sums_to_the_loss() -> None:
    loss = perceptual({"image": 3, "relu1_2": 0.5, "conv4_1": 2}, style_layers={"relu2_1": 10}, reduction="none")
    found = loss.breakdown(X, Y)
    for layer, weight in (("image", 3), ("relu1_2", 0.5), ("conv4_1", 2)):
        torch.testing.assert_close(found[f"content.{layer}"], weight * perceptual(layer, reduction="none")(X, Y))
    torch.testing.assert_close(
        found["style.relu2_1"], 10 * perceptual("relu2_1", "gram-johnson", reduction="none")(X, Y)
    )
    torch.testing.assert_close(sum(found.values()), loss(X, Y))


def test_a_loss_may_be_made_of_terms_of_names_or_of_style_alone() -> None:
    by_terms = perceptual([Term({"relu2_1": 1.0}, "l2"), Term({"relu3_1": 2.0}, "gram", "style")])
    by_names = perceptual("relu2_1", "l2", style_layers={"relu3_1": 2.0}, style_criterion="gram")
    torch.testing.assert_close(by_terms(X, Y), by_names(X, Y))
    style = perceptual([], style_layers=["relu3_1"], style_criterion="gram")
    torch.testing.assert_close(style(X, Y), by_names.breakdown(X, Y)["style.relu3_1"] / 2)
    listed = perceptual(name for name in ("relu2_1", "relu3_1"))
    assert list(listed.breakdown(X, Y)) == ["relu2_1", "relu3_1"]


@pytest.mark.parametrize("layers", [[], {}, ["relu2_1", Term({"relu3_1": 1.0}, "l1")]])
def test_no_layers_or_terms_and_names_together_are_refused(layers: Any) -> None:
    with pytest.raises(SettingsError, match=r"no layer to compare|as terms and by name"):
        perceptual(layers)


def test_your_own_function_is_taken_and_must_give_one_number_a_picture() -> None:
    def mine(x: Tensor, y: Tensor) -> Tensor:
        return (x - y).abs().mean((1, 2, 3))

    torch.testing.assert_close(perceptual(criterion=mine)(X, Y), perceptual()(X, Y))
    for wrong in (lambda x, y: (x - y).abs().mean(), lambda x, y: (x - y).abs()):
        with pytest.raises(SettingsError, match=r"not one per picture \(take the mean of each picture"):
            perceptual(criterion=wrong)(X, Y)


def test_options_of_a_criterion_are_bound_and_told() -> None:
    loss = perceptual(criterion=partial(charbonnier, epsilon=0.5))
    assert "charbonnier(epsilon=0.5)" in loss.describe()
    torch.testing.assert_close(
        loss(X, Y), charbonnier(*(network().features(t, ["relu3_3"])["relu3_3"] for t in (X, Y)), epsilon=0.5).mean()
    )
    assert (
        "gram-johnson(criterion='l1')"
        in perceptual(criterion=partial(published_gram, normalize="johnson", criterion="l1")).describe()
    )


def test_features_of_length_1_have_no_scale() -> None:
    louder = network()
    with torch.no_grad():
        louder.conv3_3.weight *= 7
    plain, loud = (perceptual("relu3_3", normalize_features=True, backbone=vgg)(X, Y) for vgg in (network(), louder))
    torch.testing.assert_close(plain, loud)


@pytest.mark.parametrize(("reduction", "reduce"), [("mean", torch.mean), ("sum", torch.sum), ("none", lambda t: t)])
def test_reductions(reduction: Any, reduce: Any) -> None:
    each = torch.stack([perceptual()(x, y) for x, y in zip(X.split(1), Y.split(1), strict=True)])
    torch.testing.assert_close(perceptual(reduction=reduction)(X, Y), reduce(each))


def test_declared_ranges_and_grey_pictures_are_the_same_pictures() -> None:
    expected = perceptual()(X, Y)
    torch.testing.assert_close(perceptual(range="-1..1")(2 * X - 1, 2 * Y - 1), expected)
    torch.testing.assert_close(perceptual(range="0..255")(255 * X, 255 * Y), expected)
    bytes_ = [(255 * t).round().byte() for t in (X, Y)]
    torch.testing.assert_close(
        perceptual(range="0..255")(*bytes_), perceptual()(*(t.double() / 255 for t in bytes_)), rtol=1e-5, atol=1e-6
    )
    grey = [t[:, :1] for t in (X, Y)]
    torch.testing.assert_close(perceptual()(*grey), perceptual()(*(t.expand(-1, 3, -1, -1) for t in grey)))


def test_resize_brings_both_pictures_to_a_shorter_side_or_a_size() -> None:
    def small(image: Tensor, size: tuple[int, int]) -> Tensor:
        return torch.nn.functional.interpolate(image, size, mode="bilinear", antialias=True)

    for resize, size in ((24, (24, 30)), ((20, 40), (20, 40))):
        found = perceptual(resize=resize)(X, Y)
        torch.testing.assert_close(found, perceptual()(small(X, size), small(Y, size)))


def test_statistics_take_pictures_of_different_sizes_and_places_do_not() -> None:
    other = pictures(3, 2, 48, 33)
    for name in ("gram", "wasserstein", "sliced", "contextual"):
        assert perceptual(criterion=name)(X, other) > 0
    for name in ("l1", "frobenius"):
        with pytest.raises(
            SettingsError, match=r"compares position by position, and the maps are 11×9 and 8×12 \(make both"
        ):
            perceptual(criterion=name)(X, other)


# masks


def slow_mask(mask: np.ndarray, halvings: int) -> np.ndarray:
    for _ in range(halvings):  # a last odd row or column is dropped, as the pooling does
        height, width = (side // 2 for side in mask.shape)
        mask = np.array(
            [[mask[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(width)] for i in range(height)]
        )
    return mask


@pytest.mark.parametrize("criterion", ["l1", "cosine"])
def test_a_mask_weighs_each_layers_positions_also_at_odd_sizes(criterion: str) -> None:
    mask = torch.rand(2, 1, 37, 46, generator=torch.Generator().manual_seed(5), dtype=D) ** 3
    for layer, halvings in (("relu1_1", 0), ("relu2_1", 1), ("relu3_3", 2), ("relu4_1", 3)):
        found = perceptual(layer, criterion, reduction="none")(X, Y, mask=mask)
        for i in range(2):
            x, y = (network().features(t[i : i + 1], [layer])[layer] for t in (X, Y))
            values = DISTANCES[criterion].function(x, y)[0].numpy()
            weights = slow_mask(mask[i, 0].numpy(), halvings)
            assert float(found[i]) == pytest.approx((weights * values).sum() / weights.sum(), rel=1e-9)


@pytest.mark.parametrize("criterion", ["l2", "mean-covariance", "wasserstein"])
def test_a_mask_of_ones_is_none_and_one_of_a_region_takes_that_region_alone(criterion: str) -> None:
    loss, ones = perceptual("relu3_3", criterion), torch.ones(1, 1, 37, 46)
    torch.testing.assert_close(loss(X, Y, mask=ones), loss(X, Y), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(loss(X, Y, mask=ones.bool()), loss(X, Y), rtol=1e-9, atol=1e-12)
    region = torch.zeros(1, 1, 37, 46)
    region[..., 8:24, 12:40] = 1  # positions 2 to 5 and 3 to 9 of block 3
    x, y = (network().features(t, ["relu3_3"])["relu3_3"][:, :, 2:6, 3:10] for t in (X, Y))
    distance = DISTANCES[criterion]
    expected = distance(distance.measure(x), distance.measure(y)).mean()
    torch.testing.assert_close(loss(X, Y, mask=region), expected, rtol=1e-9, atol=1e-12)


def test_where_a_mask_says_nothing_the_loss_is_0_with_no_gradient() -> None:
    mask = torch.zeros(2, 1, 37, 46)
    mask[1] = 1
    for criterion in ("l1", "gram-johnson", "wasserstein"):
        x = X.clone().requires_grad_()
        found = perceptual(criterion=criterion, reduction="none")(x, Y, mask=mask)
        (gradient,) = torch.autograd.grad(found.sum(), x)
        assert float(found[0].detach()) == 0
        assert float(found[1].detach()) > 0
        assert not gradient[0].any()
        assert gradient.isfinite().all()


def test_what_has_no_masked_form_says_so() -> None:
    for criterion in ("contextual", "sliced", "frobenius"):
        with pytest.raises(SettingsError, match=f"no masked form of {criterion} "):
            perceptual(criterion=criterion)(X, Y, mask=torch.ones(1, 1, 37, 46))


# maps


@pytest.mark.parametrize("options", [{}, {"normalize_features": True}, {"criterion": "l2"}])
def test_a_maps_mean_is_the_loss_where_all_positions_stand_for_as_many_pixels(options: dict[str, Any]) -> None:
    x, y = pictures(1, 2, 32, 48), pictures(2, 2, 32, 48)
    loss = perceptual({"image": 1, "relu2_1": 0.5}, reduction="none", **options)
    found = loss(x, y, map=True)
    assert found.shape == (2, 1, 32, 48)
    torch.testing.assert_close(found.mean((1, 2, 3)), loss(x, y), rtol=0.02, atol=0)


def test_a_map_is_large_where_the_pictures_differ() -> None:
    y = X.clone()
    y[:, :, :16, :16] = 1 - y[:, :, :16, :16]
    found = perceptual("relu2_1")(X, y, map=True)
    assert found[:, :, 24:, 24:].abs().max() == 0
    assert found[:, :, 2:14, 2:14].min() > 0


def test_statistics_have_no_map() -> None:
    for loss in (perceptual(criterion="gram"), perceptual(criterion="sliced"), perceptual(style_layers="relu1_1")):
        with pytest.raises(SettingsError, match="compares whole pictures and has no map"):
            loss(X, Y, map=True)


def test_the_description_is_the_whole_formula() -> None:
    assert perceptual({"relu1_2": 1, "conv3_3": 0.5}).describe().splitlines() == [
        "PerceptualLoss on narrow (own weights, imagenet input, max pooling), pictures in 0..1",
        "mean over pictures of the sum of",
        "  1 · l1 (relu1_2)",
        "  0.5 · l1 (conv3_3)",
        "  with l1 = mean |x - y|",
    ]
    options = {"normalize_features": True, "resize": (32, 40), "reduction": "none", "range": "-1..1"}
    loss = perceptual("relu1_2", "cosine", style_layers={"relu2_1": 9.0}, style_criterion="gram", **options)
    assert loss.describe().splitlines() == [
        "PerceptualLoss on narrow (own weights, imagenet input, max pooling), pictures in -1..1, resized to (32, 40)",
        "by picture, sum of",
        "  1 · cosine of features of length 1 (relu1_2)  [content]",
        "  9 · gram (relu2_1)  [style]",
        "  with cosine = mean 1 - cos(x, y) over channels",
        "  with gram = ‖Gx - Gy‖ / ‖Gy‖, G = F Fᵀ / m",
    ]
