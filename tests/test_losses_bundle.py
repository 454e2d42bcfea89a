"""Bundles of more than losses of features: pixel terms, regularizers, schedules, masks by name, prepared targets."""

from __future__ import annotations

import copy
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.reference.narrow import network, perceptual, pictures
from vggapps.errors import PictureError, SettingsError
from vggapps.losses import Bundle, BundleTarget, Regularizer, ShiftEnsemble, Target, functional
from vggapps.losses._metric import AsMetric

X, Y = pictures(1), pictures(2)
MASK = torch.zeros(1, 1, 37, 46)
MASK[..., 4:30, 8:20] = 1
variation = partial(functional.total_variation, kind="l1")
late = partial(np.interp, xp=[100, 300], fp=[0.0, 1.0])


def masked_l1(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """One number a picture, the mean over all pixels."""
    return ((x - y).abs() * (1 if mask is None else mask)).mean((1, 2, 3))


def mixed(weights: Any = None, **options: Any) -> Bundle:
    losses = {
        "features": perceptual("relu2_1", **options),
        "style": perceptual([], style_layers="relu1_1", **options),
        "pixels": masked_l1,
        "smooth": Regularizer(variation),
    }
    return Bundle(losses, {"style": 5, "smooth": 0.1} if weights is None else weights)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_pixels_and_regularizers_are_added_reduced_alike(reduction: str) -> None:
    reduce = {"mean": torch.mean, "sum": torch.sum, "none": lambda t: t}[reduction]
    bundle = mixed(reduction=reduction)
    x = X.clone().requires_grad_()
    found = bundle.breakdown(x, Y)
    expected = {
        "features": perceptual("relu2_1", reduction=reduction)(x, Y),
        "style": 5 * perceptual([], style_layers="relu1_1", reduction=reduction)(x, Y),
        "pixels": reduce((x - Y).abs().mean((1, 2, 3))),
        "smooth": 0.1 * reduce(functional.total_variation(x, "l1")),
    }
    assert list(found) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    torch.testing.assert_close(bundle(x, Y), sum(expected.values()))
    for a, b in zip(
        torch.autograd.grad(bundle(x, Y).sum(), x), torch.autograd.grad(sum(expected.values()).sum(), x), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_modules_of_torch_and_ensembles_are_terms() -> None:
    bundle = Bundle({"l1": nn.L1Loss(), "steady": ShiftEnsemble(perceptual(), shift=0, views=1, flip=False)})
    torch.testing.assert_close(bundle(X, Y), (X - Y).abs().mean() + perceptual()(X, Y))
    assert not list(bundle.parameters())


class Kornias(nn.Module):
    """Of one picture."""

    def forward(self, img: Tensor) -> Tensor:
        return img.mean()


TERMS: dict[str, tuple[Any, str]] = {
    "a function of one": (
        variation,
        r"does not compare two pictures: total_variation\(kind='l1'\) takes 1 .*Regulariz",
    ),
    "whose second is an option": (functional.total_variation, r"total_variation takes 1 .*Regularizer\(\.\.\.\)"),
    "a module of one": (Kornias(), r"Kornias\(\) takes 1"),
    "of three": (lambda x, y, z: x, "lambda takes 3"),
    "a number": (0.5, r"'term' is a float \(pass a loss such as"),
    "a class": (None, "'term' is a NoneType"),
}


@pytest.mark.parametrize("case", TERMS)
def test_what_compares_no_two_pictures_is_refused(case: str) -> None:
    loss, words = TERMS[case]
    with pytest.raises(SettingsError, match=words):
        Bundle({"term": loss})


def test_other_wrong_terms_and_names() -> None:
    with pytest.raises(SettingsError, match="masked_l1 takes 2 pictures, and a regularizer takes one"):
        Regularizer(masked_l1)
    for name in ("a.b", "", "keys", 3):
        with pytest.raises(SettingsError, match="a loss can't be named"):
            Bundle({name: perceptual()})  # type: ignore[dict-item]
    with pytest.raises(SettingsError, match=r"pass losses by name: \{'style': loss\}"):
        Bundle([perceptual()])  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"'l1' gives values of shape \(\) for 2 pictures .*one value per picture"):
        Bundle({"a": perceptual(reduction="none"), "l1": nn.L1Loss()})(X, Y)
    with pytest.raises(SettingsError, match=r"'l1' gives values of shape \(2, 3, 37, 46\)"):
        Bundle({"l1": nn.L1Loss(reduction="none")})(X, Y)


def test_a_schedule_takes_the_step_and_nothing_of_it_is_stored() -> None:
    bundle = mixed({"features": late, "pixels": late})
    plain = mixed({})
    expected = plain.breakdown(X, Y)
    for step, weight in ((0, 0.0), (150, 0.25), (1000, 1.0)):
        found = bundle.breakdown(X, Y, step=step)
        torch.testing.assert_close(found["features"], weight * expected["features"])
        torch.testing.assert_close(found["style"], expected["style"])
        torch.testing.assert_close(bundle(X, Y, step=step), sum(found.values()))
    assert not bundle.state_dict()
    for twin in (copy.deepcopy(bundle), pickle.loads(pickle.dumps(bundle))):
        assert torch.equal(twin(X, Y, step=150), bundle(X, Y, step=150))
    with pytest.raises(SettingsError, match=r"weight of 'features' is a schedule \(pass the training step: step="):
        bundle(X, Y)
    with pytest.raises(SettingsError, match="the weight of 'features' is -1"):
        mixed({"features": lambda step: -1.0})(X, Y, step=3)
    torch.testing.assert_close(plain(X, Y, step=3), plain(X, Y))  # constant weights are those of any step


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_a_bundle_with_a_schedule_compiles_whole() -> None:
    bundle = mixed({"features": lambda step: min(step / 100, 1.0)}).float()
    torch._dynamo.reset()  # what other tests have compiled of the same lines counts towards its limit
    compiled = torch.compile(bundle, fullgraph=True, backend="eager")
    x, y = X.float(), Y.float()
    for step in (10, 20, 30):
        torch.testing.assert_close(compiled(x, y, step=step), bundle(x, y, step=step))


def test_it_describes_itself() -> None:
    lines = mixed({"style": 5, "smooth": late}).describe().splitlines()
    assert lines[0] == "Bundle, the sum of"
    assert lines[1].startswith("  1 · features: PerceptualLoss on narrow")
    assert "      1 · l1 (relu2_1)" in lines
    assert "  1 · pixels: masked_l1" in lines
    assert any(line.startswith("  interp(") and "(step) · smooth: total_variation(kind='l1')" in line for line in lines)
    assert lines[-1].endswith("of the output")


def test_the_map_of_a_bundle_is_the_weighted_sum_of_maps() -> None:
    losses = {"a": perceptual("relu2_1"), "b": perceptual("image", "l2"), "c": perceptual("relu1_1", resize=24)}
    bundle = Bundle(losses, {"b": 3})
    expected = losses["a"](X, Y, map=True) + 3 * losses["b"](X, Y, map=True) + losses["c"](X, Y, map=True)
    torch.testing.assert_close(bundle(X, Y, map=True), expected)
    torch.testing.assert_close(bundle(X, bundle.prepare(Y), map=True), expected)
    with pytest.raises(SettingsError, match="'pixels' has no map"):
        mixed()(X, Y, map=True)
    with pytest.raises(SettingsError, match="a map takes no mask"):
        bundle(X, Y, map=True, mask=MASK)


def test_as_a_metric_it_counts_pictures() -> None:
    for reduction in ("mean", "sum", "none"):
        metric = AsMetric(mixed(reduction=reduction))
        for a, b in ((X, Y), (X[:1], Y[:1])):
            metric.update(a, b)
        each = mixed(reduction="none")(X, Y)
        assert float(metric.compute()) == pytest.approx(float((each.sum() + each[0]) / 3))
    ensemble = ShiftEnsemble(perceptual(reduction="sum"), shift=0, views=1, flip=False)
    metric = AsMetric(ensemble)
    metric.update(X, Y)
    assert float(metric.compute()) == pytest.approx(float(ensemble(X, Y)) / 2)


# masks


def test_one_mask_is_every_comparisons_and_named_ones_are_their_losses() -> None:
    bundle, hole = mixed(), 1 - MASK
    found = bundle.breakdown(X, Y, mask=MASK)
    torch.testing.assert_close(found["features"], perceptual("relu2_1")(X, Y, mask=MASK))
    torch.testing.assert_close(found["pixels"], ((X - Y).abs() * MASK).mean())
    torch.testing.assert_close(found["smooth"], 0.1 * variation(X).mean())
    named = bundle.breakdown(X, Y, mask={"features": MASK, "pixels": hole})
    torch.testing.assert_close(named["features"], found["features"])
    torch.testing.assert_close(named["style"], bundle.breakdown(X, Y)["style"])
    torch.testing.assert_close(named["pixels"], ((X - Y).abs() * hole).mean())
    for mask in (MASK, {"features": MASK, "pixels": hole}):
        target = bundle.prepare(Y, mask=mask)
        torch.testing.assert_close(bundle(X, target, mask=mask), bundle(X, Y, mask=mask))


def test_masks_without_a_use_are_refused() -> None:
    bundle = Bundle({"features": perceptual(), "l1": nn.L1Loss(), "smooth": Regularizer(variation)})
    with pytest.raises(SettingsError, match=r"'l1' takes no mask \(name the losses to mask: mask=\{'style'"):
        bundle(X, Y, mask=MASK)
    with pytest.raises(SettingsError, match=r"'smooth' takes no mask \(leave it out of mask=\)"):
        bundle(X, Y, mask={"smooth": MASK})
    with pytest.raises(SettingsError, match=r"no loss 'feature' .did you mean 'features'"):
        bundle(X, Y, mask={"feature": MASK})
    with pytest.raises(SettingsError, match="the mask is 40×37, the picture 46×37"):
        mixed()(X, Y, mask={"pixels": MASK[..., :40]})
    bundle(X, Y, mask={"features": MASK})


def test_an_ensembles_views_of_the_mask_are_those_of_its_pictures() -> None:
    loss = perceptual("relu2_1", reduction="none")
    one = ShiftEnsemble(loss, shift=0, views=2, flip=False)
    torch.testing.assert_close(one(X, Y, mask=MASK), loss(X, Y, mask=MASK))
    x = torch.where(MASK.bool(), Y, X)  # equal under the mask, at any view
    pixels = ShiftEnsemble(perceptual("image"), shift=5, views=6, generator=torch.Generator().manual_seed(1))
    assert pixels(x, Y, mask=MASK) == 0
    assert pixels(x, Y) > 0
    with pytest.raises(SettingsError, match=r"L1Loss takes no mask"):
        ShiftEnsemble(nn.L1Loss())(X, Y, mask=MASK)
    for target in (loss.prepare(Y), mixed().prepare(Y)):
        with pytest.raises(
            SettingsError, match=r"a prepared target is of one view.*pass the target pictures themselves"
        ):
            ShiftEnsemble(loss)(X, target)  # type: ignore[arg-type]


# prepared targets


def test_a_prepared_target_is_the_target_and_is_indexed_moved_and_saved(tmp_path: Path) -> None:
    bundle = mixed(reduction="none")
    target = bundle.prepare(Y.clone().requires_grad_())
    expected = bundle(X, Y)
    torch.testing.assert_close(bundle(X, target), expected, rtol=0, atol=0)
    assert len(target) == 2
    assert isinstance(target["style"], Target)
    for at, places in ((1, [1]), (-1, [1]), (slice(0, 1), [0]), ([1, 0], [1, 0]), (torch.tensor([1, 1]), [1, 1])):
        torch.testing.assert_close(bundle(X[places], target[at]), expected[places])
    torch.testing.assert_close(bundle(X, target[0]), bundle(X, Y[:1].expand(2, -1, -1, -1)))
    target.save(tmp_path / "target.safetensors")
    loaded = BundleTarget.load(tmp_path / "target.safetensors")
    torch.testing.assert_close(bundle(X, loaded), expected, rtol=0, atol=0)
    torch.testing.assert_close(bundle(X, loaded.to(torch.float32)), expected, rtol=1e-4, atol=1e-6)
    assert target.to("meta").device.type == "meta"
    single = perceptual("relu2_1").prepare(Y)
    single.save(tmp_path / "one.safetensors")
    for load, file in ((BundleTarget.load, "one"), (Target.load, "target")):
        with pytest.raises(PictureError, match=r"holds no target \(make it with"):
            load(tmp_path / f"{file}.safetensors")


def test_one_loss_of_a_bundle_may_have_a_target_of_its_own() -> None:
    bundle, painting = mixed(), pictures(6, 1, 50, 33)
    target = bundle.prepare(Y) | {"style": bundle.losses["style"].prepare(painting)}
    found = bundle.breakdown(X, target)
    torch.testing.assert_close(found["features"], bundle.breakdown(X, Y)["features"])
    alone = perceptual([], style_layers="relu1_1")
    torch.testing.assert_close(found["style"], 5 * alone(X, alone.prepare(painting)))
    torch.testing.assert_close(bundle(X, dict(target.targets)), bundle(X, target))


def test_targets_that_are_not_the_bundles_are_told() -> None:
    bundle = mixed()
    target = bundle.prepare(Y)
    whole = dict(target.targets)
    with pytest.raises(SettingsError, match=r"no target for 'style' \(prepare all targets: bundle\.prepare\(y\)\)"):
        bundle(X, {name: t for name, t in whole.items() if name != "style"})
    with pytest.raises(SettingsError, match=r"no loss with a target 'stile' .did you mean 'style'"):
        bundle(X, whole | {"stile": whole["style"]})
    with pytest.raises(SettingsError, match="no loss with a target 'smooth'"):
        bundle(X, whole | {"smooth": whole["style"]})
    with pytest.raises(SettingsError, match=r"no target of a loss 'stile' .did you mean 'style'"):
        target["stile"]
    with pytest.raises(SettingsError, match=r"prepared by a single loss \(use bundle"):
        bundle(X, whole["style"])  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="made by another loss"):
        bundle(X, whole | {"pixels": whole["style"]})
    with pytest.raises(SettingsError, match="there is no target for 'style'"):
        bundle(X, whole | {"style": Y})  # type: ignore[dict-item]
    with pytest.raises(IndexError, match="2 pictures in this target"):
        target[2]


def test_losses_of_both_gradients_keep_to_a_pass_of_their_own() -> None:
    vgg = network()
    bundle = Bundle({"a": perceptual(backbone=vgg, gradient="both"), "b": perceptual("relu1_1", backbone=vgg)})
    torch.testing.assert_close(bundle(X, Y), perceptual()(X, Y) + perceptual("relu1_1")(X, Y))
    with pytest.raises(SettingsError, match="both pictures require a gradient"):
        bundle(X.clone().requires_grad_(), Y.clone().requires_grad_())
