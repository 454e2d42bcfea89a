"""What a loss is used with: prepared targets, bundles, presets, and the network that it looks through."""

from __future__ import annotations

import copy
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.reference.narrow import network, perceptual, pictures
from vggapps.errors import PictureError, SettingsError, WeightsError
from vggapps.losses import DISTS, LPIPS, PRESETS, Bundle, PerceptualLoss, ShiftEnsemble
from vggapps.losses._calibrated import calibrated
from vggapps.losses._target import Target
from vggapps.vgg._network import VGG, initialize
from vggapps.weights._load import load_vgg
from vggapps.weights._records import RECORDS

X, Y = pictures(1), pictures(2)
DATA = Path(__file__).parents[1] / "vggapps" / "data"


def mixed(**options: Any) -> PerceptualLoss:
    """Maps and moments."""
    return perceptual("relu2_1", style_layers=["relu1_1", "relu3_1"], **{"reduction": "none"} | options)


def tensors(target: Target) -> list[Tensor]:
    return [t for m in target.measured.values() for t in ([m] if isinstance(m, Tensor) else [m.mean, m.second])]


# targets


def test_a_prepared_target_is_the_target() -> None:
    loss = mixed()
    target = loss.prepare(Y)
    torch.testing.assert_close(loss(X, target), loss(X, Y), rtol=0, atol=0)
    assert list(loss.breakdown(X, target)) == ["content.relu2_1", "style.relu1_1", "style.relu3_1"]
    assert not any(t.requires_grad for t in tensors(loss.prepare(Y.clone().requires_grad_())))


@pytest.mark.parametrize(
    ("index", "places"),
    [
        *((1, [1]), (-1, [2]), (np.int64(0), [0]), (torch.tensor(2), [2]), (slice(1, 3), [1, 2]), ([2, 0], [2, 0])),
        *((torch.tensor([1, 1]), [1, 1]), (np.array([0, 2]), [0, 2]), (torch.tensor([True, False, True]), [0, 2])),
    ],
)
def test_targets_are_taken_by_number_slice_or_indices(index: Any, places: list[int]) -> None:
    y, loss = pictures(4, 3), mixed()
    found = loss.prepare(y)[index]
    assert len(found) == len(places)
    x = pictures(5, len(places))
    torch.testing.assert_close(loss(x, found), loss(x, y[places]))


def test_a_target_ends_where_its_pictures_do() -> None:
    target = mixed().prepare(Y)
    assert [len(one) for one in target] == [1, 1]
    for index in (2, -3):
        with pytest.raises(IndexError, match="2 pictures in this target"):
            target[index]


def test_one_target_serves_many_pictures_and_other_numbers_do_not_fit() -> None:
    loss = mixed()
    torch.testing.assert_close(loss(X, loss.prepare(Y[:1])), loss(X, Y[:1].expand(2, -1, -1, -1)))
    with pytest.raises(SettingsError, match=r"2 pictures and 3 targets \(pass one per picture, or index"):
        loss(X, loss.prepare(pictures(4, 3)))


@pytest.mark.parametrize("other", [{"backbone": load_vgg("vgg11", None, head="none").double()}, {"resize": 30}, {}])
def test_a_target_of_another_network_size_or_formula_is_refused(other: dict[str, Any]) -> None:
    loss = mixed(**other) if other else perceptual("relu2_1")
    with pytest.raises(SettingsError, match=r"made by another loss \(prepare it with the same loss\)"):
        mixed()(X, loss.prepare(Y))


def test_targets_go_to_files_and_other_dtypes_and_come_back(tmp_path: Path) -> None:
    loss = mixed()
    target = loss.prepare(Y)
    target.save(tmp_path / "target.safetensors")
    loaded = Target.load(tmp_path / "target.safetensors")
    torch.testing.assert_close(loss(X, loaded), loss(X, Y), rtol=0, atol=0)
    single = loaded.to(torch.float32)
    assert {t.dtype for t in tensors(single)} == {torch.float32}
    torch.testing.assert_close(loss(X, single), loss(X, Y), rtol=1e-4, atol=1e-6)
    with pytest.raises(SettingsError, match=r"ends in \.safetensors"):
        target.save(tmp_path / "target.pt")
    with pytest.raises(PictureError, match="there is no file"):
        Target.load(tmp_path / "none.safetensors")
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "target.safetensors").read_bytes()[:100])
    for name in ("other", "cut"):
        with pytest.raises(PictureError, match="holds no target"):
            Target.load(tmp_path / f"{name}.safetensors")


def test_style_may_have_a_picture_of_its_own() -> None:
    painting = pictures(6, 1, 50, 33)
    loss = mixed()
    found = loss.breakdown(X, loss.prepare(Y, style=painting))
    assert torch.equal(found["content.relu2_1"], loss.breakdown(X, Y)["content.relu2_1"])
    alone = perceptual([], style_layers=["relu1_1", "relu3_1"], reduction="none")
    torch.testing.assert_close(
        found["style.relu1_1"] + found["style.relu3_1"], alone(X, painting.expand(2, -1, -1, -1))
    )
    with pytest.raises(SettingsError, match="2 pictures and 3 targets"):
        loss.prepare(Y, style=pictures(6, 3))
    with pytest.raises(SettingsError, match=r"no style term for that picture \(make it with style_layers="):
        perceptual().prepare(Y, style=painting)


# bundles


@contextmanager
def passes(vgg: VGG) -> Iterator[list[int]]:
    """How many times the first convolution runs."""
    ran: list[int] = []
    handle = vgg.conv1_1.register_forward_hook(lambda *_: ran.append(1))
    yield ran
    handle.remove()


def test_a_bundle_is_the_weighted_sum_with_one_pass_a_picture() -> None:
    vgg = network()
    losses = {
        "content": perceptual("relu3_3", backbone=vgg),
        "style": perceptual("relu1_1", "gram", backbone=vgg),
        "texture": perceptual("relu2_2", "wasserstein", backbone=copy.deepcopy(vgg)),  # as if it had loaded its own
    }
    expected = losses["content"](X, Y) + 5 * losses["style"](X, Y) + losses["texture"](X, Y)
    bundle = Bundle(losses, {"style": 5})
    assert all(loss.network is vgg for loss in bundle.losses.values())
    with passes(vgg) as ran:
        torch.testing.assert_close(bundle(X, Y), expected)
    assert len(ran) == 2
    target = bundle.prepare(Y)
    with passes(vgg) as ran:
        torch.testing.assert_close(bundle(X, target), expected)
    assert len(ran) == 1
    found = bundle.breakdown(X, target)
    assert list(found) == list(losses)
    torch.testing.assert_close(sum(found.values()), expected)
    torch.testing.assert_close(found["style"], 5 * losses["style"](X, Y))


def test_losses_that_see_something_else_get_a_pass_of_their_own() -> None:
    vgg = network()
    losses = {
        "plain": perceptual(backbone=vgg),
        "small": perceptual(backbone=vgg, resize=24),
        "grey level": perceptual(backbone=vgg, range="0..255"),
        "smooth": perceptual(backbone=vgg.variant(pooling="mean")),
    }
    x, y = ((255 * t).floor() / 200 for t in (X, Y))  # a range that either declaration lets pass
    expected = sum(float(loss(x, y)) for loss in losses.values())
    bundle = Bundle(losses)
    with passes(vgg) as ran:
        assert float(bundle(x, y)) == pytest.approx(expected)
    assert len(ran) == 2 * 4


def test_networks_are_shared_only_if_their_numbers_are_equal_whatever_their_names() -> None:
    tuned, padded = copy.deepcopy(network()), copy.deepcopy(network())
    with torch.no_grad():
        tuned.conv1_1.weight *= 1.01
    padded.conv1_2.padding_mode = "replicate"
    for other in (tuned, padded):
        first, second = (perceptual(backbone=vgg) for vgg in (network(), other))
        first.network.weights_name = second.network.weights_name = "mine.pth"
        expected = first(X, Y) + second(X, Y)
        torch.testing.assert_close(Bundle({"a": first, "b": second})(X, Y), expected, rtol=1e-9, atol=0)
        assert first.network is not second.network


def test_a_mask_of_a_bundle_is_every_losses_mask() -> None:
    mask = torch.zeros(1, 1, 37, 46)
    mask[..., 4:30, 8:20] = 1
    losses = {"a": perceptual("relu2_1"), "b": perceptual("relu1_1", "gram-johnson")}
    expected = sum(float(loss(X, Y, mask=mask)) for loss in losses.values())
    assert float(Bundle(losses)(X, Y, mask=mask)) == pytest.approx(expected)


def test_a_bundle_of_nothing_or_with_wrong_weights_is_refused() -> None:
    with pytest.raises(SettingsError, match="no loss in the bundle"):
        Bundle({})
    with pytest.raises(SettingsError, match=r"no loss 'styel' \(did you mean 'style'\?"):
        Bundle({"style": perceptual()}, {"styel": 2})


def test_an_ensemble_is_the_mean_over_views_of_both_pictures() -> None:
    loss = perceptual("relu2_1", reduction="none")
    ensemble = ShiftEnsemble(loss, shift=3, views=6, generator=torch.Generator().manual_seed(1))
    found = ensemble(X, Y)
    cuts = [
        [t[:, :, i : i + 34, j : j + 43].flip(mirror) for t in (X, Y)]
        for i in range(4)
        for j in range(4)
        for mirror in ([], [3])
    ]
    every = torch.stack([loss(*cut) for cut in cuts])
    assert (every.amin(0) <= found).all()
    assert (found <= every.amax(0)).all()
    many = ShiftEnsemble(loss, shift=3, views=200, generator=torch.Generator().manual_seed(1))(X, Y)
    torch.testing.assert_close(many, every.mean(0), rtol=5e-3, atol=0)
    torch.testing.assert_close(ShiftEnsemble(loss, shift=0, views=2, flip=False)(X, Y), loss(X, Y))
    assert not ensemble(X, X).any()
    with pytest.raises(SettingsError, match="shift is -1"):
        ShiftEnsemble(loss, shift=-1)
    with pytest.raises(SettingsError, match="both the same size, larger than 40 pixels"):
        ShiftEnsemble(loss, shift=40)(X, Y)


# presets and networks


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs_on_the_network_given_and_says_where_it_is_from(name: str) -> None:
    x = X[:1].clone().requires_grad_()
    loss = PerceptualLoss.preset(name, backbone=network(), reduction="sum")
    found = loss(x, loss.prepare(Y[:1]))
    (gradient,) = torch.autograd.grad(found, x)
    assert float(found.detach()) > 0
    assert gradient.isfinite().all()
    assert gradient.any()
    assert loss(Y[:1], Y[:1]) < 1e-6 * found
    preset = PRESETS[name]
    assert preset.source
    assert preset.backbone in RECORDS
    assert isinstance(loss.network, VGG)
    assert loss.network.pooling == preset.pooling
    assert loss.network.convention == (preset.convention or network().convention)


def test_johnsons_preset_takes_a_style_picture() -> None:
    loss, x, painting = PerceptualLoss.preset("johnson", backbone=network()), pictures(8), pictures(7, 1)
    found = loss.breakdown(x, loss.prepare(x, style=painting))
    assert found["content.relu3_3"] == 0
    expected = loss.breakdown(x, painting.expand_as(x))
    assert all(found[part] == expected[part] > 0 for part in found if part.startswith("style."))


def test_the_default_network_is_the_installed_one_by_any_of_its_names() -> None:
    x, y = X.float(), Y.float()
    expected = PerceptualLoss("relu2_1", backbone=load_vgg("vgg19", head="none"))(x, y)
    for options in ({}, {"backbone": "vgg19-installed"}, {"backbone": RECORDS["vgg19-installed"]}):
        loss = PerceptualLoss("relu2_1", **options)
        assert loss.network.weights_name == "vgg19-installed"
        assert torch.equal(loss(x, y), expected)


def test_a_network_that_learns_is_copied_and_goes_on_learning() -> None:
    vgg = initialize(VGG(network().plan, head="none")).double()
    loss = perceptual(backbone=vgg)
    before = loss(X, Y)
    assert vgg.training
    assert all(p.requires_grad for p in vgg.parameters())
    with torch.no_grad():
        vgg.conv1_1.weight.zero_()
    assert torch.equal(loss(X, Y), before)


def test_missing_networks_are_told_with_what_to_do_and_never_random(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VGGAPPS_OFFLINE", "1")
    for name in ("VGGAPPS_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for make, record in (
        (LPIPS, "vgg16-convolutions"),
        (lambda: LPIPS("alex"), "alexnet-convolutions"),
        (lambda: LPIPS("squeeze"), "squeezenet1_1-convolutions"),
        (DISTS, "vgg16-convolutions"),
        (lambda: PerceptualLoss(backbone="vgg13"), "vgg13"),
        (lambda: PerceptualLoss.preset("johnson"), "vgg16-caffe"),
    ):
        with pytest.raises(WeightsError, match=f"run: vggapps weights download {record}"):
            make()


def test_calibrated_numbers_are_the_published_wheels_byte_for_byte_with_their_licences() -> None:
    make = runpy.run_path(str(Path(__file__).parent / "goldens" / "make_calibrated.py"))
    for name, tensors_ in make["calibrated"]().items():
        assert (DATA / f"{name}.safetensors").read_bytes() == safetensors.torch.save(tensors_)
        assert calibrated(name).keys() == tensors_.keys()
        assert "Copyright (c)" in (DATA / f"{name}.LICENSE.txt").read_text(encoding="utf-8")
