"""Options of losses have an effect or are refused; names and weights are checked where a loss is made."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import vgg16_bn, vgg19

from tests.reference.narrow import network, perceptual, pictures
from tests.reference.published import seeded
from vggapps import FeatureExtractor
from vggapps.errors import SettingsError
from vggapps.losses import Bundle, PerceptualLoss, Term
from vggapps.losses._trunk import Trunk
from vggapps.vgg._hooks import record
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import get_plan, torchvision_names

X, Y = pictures(1), pictures(2)
TERMS = [Term("relu2_1", "l2")]


def preset(**options: Any) -> PerceptualLoss:
    return PerceptualLoss.preset("johnson", backbone=network(), **options)


WITHOUT_EFFECT: dict[str, tuple[Callable[[], Any], str]] = {
    "criterion of a preset": (lambda: preset(criterion="l1"), r"no option criterion=.*PRESETS\['johnson'\]\.terms"),
    "normalize of a preset": (
        lambda: preset(normalize_features=True),
        "no option normalize_features=.*its options are",
    ),
    "layers of a preset": (lambda: preset(layers=["relu1_1"]), "no option layers="),
    "style of a preset": (lambda: preset(style_criterion="gram"), "no option style_criterion="),
    "misspelt option of a preset": (lambda: preset(reducton="sum"), "no option reducton=.*reduction"),
    "criterion beside terms": (
        lambda: perceptual(TERMS, "l1"),
        r"criterion= has no effect on terms.*Term\(layers, crit",
    ),
    "normalize beside terms": (
        lambda: perceptual(TERMS, normalize_features=True),
        "normalize_features=True has no effect",
    ),
    "criterion without content": (lambda: perceptual([], "l2", style_layers="relu1_1"), "criterion= is given without"),
    "style criterion alone": (lambda: perceptual(style_criterion="gram"), r"needs style layers \(name them: style_l"),
    "style mask alone": (
        lambda: perceptual(style_layers="relu1_1").prepare(Y, style_mask=torch.ones(2, 1, 37, 46)),
        "style_mask= is given without a style picture",
    ),
    "a role that is none": (lambda: Term("relu1_1", "l1", "stile"), "no role of a term 'stile' .did you mean 'style'"),  # type: ignore[arg-type]
    "a layer named twice": (lambda: perceptual(["relu1_1", "relu1_1"]), r"named more than once .*'relu1_1': 2\.0"),
    "a gradient that is none": (lambda: perceptual(gradient="second"), "no gradient 'second'.*first, both"),
    "different reductions": (
        lambda: Bundle({"a": perceptual(), "b": perceptual(reduction="sum")}),
        r"'a' by 'mean' and 'b' by 'sum' \(give all the same reduction=\)",
    ),
}


@pytest.mark.parametrize("case", WITHOUT_EFFECT)
def test_an_option_without_effect_is_refused(case: str) -> None:
    make, words = WITHOUT_EFFECT[case]
    with pytest.raises(SettingsError, match=words):
        make()


def test_what_a_preset_takes_has_its_effect() -> None:
    small = [torch.nn.functional.interpolate(t, (32, 40), mode="bilinear", antialias=True) for t in (X, Y)]
    expected = preset()(*small)
    x, y = (255 * t.clone() for t in (X, Y))
    loss = preset(reduction="sum", resize=(32, 40), range="0..255", checkpoint=True, gradient="both")
    found = loss(x.requires_grad_(), y.requires_grad_())
    torch.testing.assert_close(found, 2 * expected)
    assert all(g.any() for g in torch.autograd.grad(found, (x, y)))


def test_terms_take_layers_as_losses_do() -> None:
    for layers in ("relu2_1", ["relu2_1"], {"relu2_1": 1}):
        assert torch.equal(perceptual(Term(layers, "l2"))(X, Y), perceptual("relu2_1", "l2")(X, Y))


WEIGHTS: dict[str, tuple[Any, str]] = {
    "text of a number": ("1e-2", r"weight of 'relu1_1' is '1e-2' \(use the number 0\.01, not text; YAML"),
    "text": ("heavy", r"is 'heavy' \(use a number\)"),
    "nothing": (None, "is None"),
    "a flag": (True, "is True"),
    "negative": (-0.5, r"is -0\.5 \(use a finite number of at least 0\)"),
    "not a number": (math.nan, "is nan"),
    "infinite": (math.inf, "is inf"),
    "a list": ([1.0], "is a list"),
    "what learns": (nn.Parameter(torch.tensor(1.0)), "a tensor that requires a gradient"),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_a_weight_is_a_number_of_at_least_0(case: str) -> None:
    weight, words = WEIGHTS[case]
    for make in (
        lambda: perceptual({"relu1_1": weight}),
        lambda: perceptual(style_layers={"relu1_1": weight}),
        lambda: Term({"relu1_1": weight}, "l1"),
        lambda: Bundle({"relu1_1": perceptual()}, {"relu1_1": weight}),
    ):
        with pytest.raises(SettingsError, match=words):
            make()


@pytest.mark.parametrize("two", [2, np.float32(2), np.int64(2), np.array(2.0), torch.tensor(2.0)])
def test_numbers_of_numpy_and_torch_are_weights(two: Any) -> None:
    torch.testing.assert_close(perceptual({"relu1_1": two})(X, Y), 2 * perceptual("relu1_1")(X, Y))
    torch.testing.assert_close(Bundle({"a": perceptual()}, {"a": two})(X, Y), 2 * perceptual()(X, Y))


@pytest.mark.parametrize(("make", "name"), [(vgg19, "vgg19"), (vgg16_bn, "vgg16_bn")])
def test_torchvisions_index_names_the_layer_of_that_kind_and_size(make: Callable[..., nn.Module], name: str) -> None:
    with torch.device("meta"):
        theirs, ours = dict(make().named_modules()), VGG(name)
    names = torchvision_names(get_plan(name))
    assert set(names) == {key for key, module in theirs.items() if "." in key and not list(module.children())}
    for key, layer in names.items():
        assert isinstance(getattr(ours, layer), type(theirs[key])) or layer.startswith("pool")
        if hasattr(theirs[key], "weight"):
            assert theirs[key].weight.shape == getattr(ours, layer).weight.shape


INDICES: dict[str, tuple[Any, str]] = {
    "a number": (35, r"features\.35 is relu5_4, and a slice features\[:35\] ends with conv5_4"),
    "text": ("35", r"features\.35 is relu5_4"),
    "a path": ("features.3", r"features\.3 is relu1_2"),
    "a longer path": ("module.features.3", r"features\.3 is relu1_2"),
    "of the head": ("classifier.3", r"classifier\.3 is fc7"),
    "too large": ("99", r"features\.0 is conv1_1, features\.36 is pool5"),
    "a flag": (True, "a layer is given as bool"),
    "a pair": (("relu5_4", 1.0), r"a layer is given as tuple: \('relu5_4', 1\.0\) .*weights by name, \{'"),
    "nothing": (None, "a layer is given as NoneType"),
}


@pytest.mark.parametrize("case", INDICES)
def test_a_layer_by_index_is_told_its_name(case: str) -> None:
    layer, words = INDICES[case]
    for ask in (
        lambda: perceptual([layer]),
        lambda: perceptual(style_layers=[layer]),
        lambda: Term([layer], "l1") and perceptual(Term([layer], "l1")),
        lambda: FeatureExtractor(network(), [layer]),
        lambda: network().features(X, [layer]),
        lambda: record(network(), [layer]).__enter__(),
    ):
        with pytest.raises(SettingsError, match=words):
            ask()


def test_one_index_alone_pairs_and_weights_by_index_are_told_too() -> None:
    for ask in (lambda: perceptual(8), lambda: perceptual({8: 1.0}), lambda: FeatureExtractor(network(), 8)):  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match=r"features\.8 is relu2_2"):
            ask()
    with pytest.raises(SettingsError, match="a layer is given as list"):
        perceptual([["relu5_4", 1.0]])
    alexnet = Trunk("alexnet", seeded("alexnet"), "seeded")
    with pytest.raises(SettingsError, match=r"features\.4 is relu2"):
        alexnet.features(torch.zeros(1, 3, 64, 64), [4])  # type: ignore[list-item]
    with pytest.raises(SettingsError, match="there is no module of Sequential '7'"):
        record(nn.Sequential(nn.ReLU()), [7]).__enter__()  # type: ignore[list-item]


@pytest.mark.parametrize(
    "command",
    [
        *("activations a.png --layer 35", "extract a.png --layer features.35", "explain a.png --layer 35"),
        *("visualize 35:3", "visualize features.35", "dream a.png --objective 35", "invert a.png --layer 35"),
        *("stylize a.png a.png --content-layers 35", "stylize a.png a.png --style-layers 35:1"),
    ],
)
def test_commands_name_the_layer_of_an_index(command: str, town: Any, cli: Callable[..., Any]) -> None:
    ran = cli(*command.replace("a.png", "town.png").split(), "-o", "o.npy" if "extract" in command else "o.png")
    assert ran.code == 2
    assert "features.35 is relu5_4" in " ".join(ran.err.split())


def test_a_criterion_by_another_name_is_told_ours() -> None:
    for word, ours in {"mse": "l2", "MAE": "l1", "smooth_l1": "huber", "fro": "frobenius"}.items():
        with pytest.raises(SettingsError, match=f"no criterion '{word}' .did you mean '{ours}'"):
            perceptual(criterion=word)
    F = nn.functional
    for criterion, ours in {
        nn.L1Loss(): "l1", nn.MSELoss(reduction="none"): "l2", nn.SmoothL1Loss: "huber", F.l1_loss: "l1",
        partial(F.mse_loss, reduction="none"): "l2", nn.CosineSimilarity(): "cosine",
    }.items():  # fmt: skip
        with pytest.raises(SettingsError, match=f"torch's .* takes the mean of the whole batch.*criterion='{ours}'"):
            perceptual(criterion=criterion)


def test_the_loss_is_to_be_had_from_the_package() -> None:
    import vggapps

    assert vggapps.PerceptualLoss is PerceptualLoss
    assert "PerceptualLoss" in dir(vggapps)
