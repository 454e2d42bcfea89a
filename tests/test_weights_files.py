"""Weights of any layout become the same network that their makers have."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.vgg import make_layers

from vggapps.errors import WeightsError
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import Plan
from vggapps.weights import _store as store
from vggapps.weights._files import save_weights, write_tensors
from vggapps.weights._load import load_vgg
from vggapps.weights._records import RECORDS

NARROW = Plan("narrow", "N", ((4, 4), (6,), (8,)))
NARROW_BN = replace(NARROW, batch_norm=True)
IMAGE = torch.rand(1, 3, 56, 56, generator=torch.Generator().manual_seed(1))


class Theirs(nn.Module):
    """torchvision's VGG, narrow."""

    def __init__(self, batch_norm: bool = False, classes: int = 0) -> None:
        super().__init__()
        self.features = make_layers([4, 4, "M", 6, "M", 8, "M"], batch_norm=batch_norm)
        if classes:
            drop, relu = nn.Dropout(), nn.ReLU()
            first, second, third = nn.Linear(8 * 49, 4096), nn.Linear(4096, 4096), nn.Linear(4096, classes)
            self.classifier = nn.Sequential(first, relu, drop, second, relu, drop, third)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 7).flatten(1))


def imagenet(image: Tensor) -> Tensor:
    return (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )


def caffe(image: Tensor) -> Tensor:
    return image.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)


def theirs(**options: Any) -> Theirs:
    torch.manual_seed(3)
    network = Theirs(**options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Theirs, Path]:
    """A network with fully connected layers, and its file."""
    network, path = theirs(classes=10), tmp_path_factory.mktemp("full") / "full.pth"
    torch.save(network.state_dict(), path)
    return network, path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test puts its file."""
    return tmp_path / "weights.pth"


def pool3(vgg: VGG) -> Tensor:
    return vgg.features(IMAGE, ["pool3"])["pool3"]


def same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


# Layouts


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("old", [False, True])  # torchvision's files are older than torch's zip format
def test_torchvisions_files(path: Path, batch_norm: bool, old: bool) -> None:
    network = theirs(batch_norm=batch_norm)
    state = {k: v for k, v in network.state_dict().items() if not (old and k.endswith("num_batches_tracked"))}
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    same(pool3(load_vgg(NARROW_BN if batch_norm else NARROW, path)), network.features(imagenet(IMAGE)))


def test_fully_connected_layers(full: tuple[Theirs, Path]) -> None:
    network, path = full
    vgg = load_vgg(NARROW, path)
    assert (vgg.head, vgg.weights_name) == ("fc", "full.pth")
    image = IMAGE[..., :40, :48]
    same(vgg(image), network(imagenet(image)))


def test_the_head_conv_has_the_same_weights(full: tuple[Theirs, Path], tmp_path: Path) -> None:
    network, path = full
    vgg = load_vgg(NARROW, path, head="conv")
    same(vgg(IMAGE).flatten(1), network(imagenet(IMAGE)))  # 56 pixels: exactly one position
    save_weights(vgg, tmp_path / "conv.safetensors")
    again = load_vgg(NARROW, tmp_path / "conv.safetensors")
    assert again.head == "conv"
    same(load_vgg(NARROW, tmp_path / "conv.safetensors", head="fc")(IMAGE), network(imagenet(IMAGE)))


def test_the_head_none_drops_them(full: tuple[Theirs, Path]) -> None:
    vgg = load_vgg(NARROW, full[1], head="none")
    assert vgg.layer_names[-1] == "pool3"
    same(pool3(vgg), full[0].features(imagenet(IMAGE)))


@pytest.mark.parametrize("numbers", [(0, 3, 6), (1, 4, 6)])  # neural-style-pt's, pytorch-vgg's
def test_oxfords_caffe_files(full: tuple[Theirs, Path], tmp_path: Path, numbers: tuple[int, ...]) -> None:
    network = full[0]
    renamed = dict(zip(("classifier.0", "classifier.3", "classifier.6"), numbers, strict=True))
    state = {}
    for key, value in network.state_dict().items():
        at, leaf = key.rpartition(".")[::2]
        state[f"classifier.{renamed[at]}.{leaf}" if at in renamed else key] = value
    torch.save(OrderedDict(state), tmp_path / "vgg19-d01eb7cb.pth")
    vgg = load_vgg(NARROW, tmp_path / "vgg19-d01eb7cb.pth")
    assert vgg.convention.name == "oxford"
    torch.testing.assert_close(vgg(IMAGE), network(caffe(IMAGE)), rtol=1e-3, atol=1e-2)


def test_torchvisions_features_only_file(full: tuple[Theirs, Path], tmp_path: Path) -> None:
    from torchvision.models import VGG16_Weights

    network, state = full[0], full[0].state_dict()
    state = {k: torch.full_like(v, float("nan")) if k.startswith("classifier") else v for k, v in state.items()}
    path = tmp_path / "vgg16_features-amdegroot-88682ab5.pth"
    torch.save(state, path)
    vgg = load_vgg(NARROW, path)
    transforms = VGG16_Weights.IMAGENET1K_FEATURES.transforms()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (transforms.mean, transforms.std))
    assert vgg.head == "none"
    same(pool3(vgg), network.features((IMAGE - mean) / std))
    with pytest.raises(WeightsError, match="no fully connected layers"):
        load_vgg(NARROW, path, head="fc")


@pytest.mark.parametrize("wrap", ["state_dict", "module."])
def test_what_trainers_wrap_is_unwrapped(path: Path, wrap: str) -> None:
    network = theirs()
    state = dict(network.state_dict())
    torch.save({wrap: state, "epoch": 3} if wrap == "state_dict" else {wrap + k: v for k, v in state.items()}, path)
    same(pool3(load_vgg(NARROW, path)), network.features(imagenet(IMAGE)))


def test_half_precision_becomes_float32(path: Path) -> None:
    torch.save({k: v.half() for k, v in theirs().state_dict().items()}, path)
    assert {p.dtype for p in load_vgg(NARROW, path).parameters()} == {torch.float32}


def test_a_file_that_is_written_over_changes_no_network(path: Path) -> None:
    torch.save(theirs().state_dict(), path)
    vgg = load_vgg(NARROW, path)
    before = pool3(vgg)
    path.write_bytes(bytes(path.stat().st_size))
    same(pool3(vgg), before)


# What a file's network wants as input


def test_a_file_that_does_not_say_is_taken_for_torchvisions(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(theirs().state_dict(), path)
    with caplog.at_level(logging.WARNING, "vggapps"):
        assert load_vgg(NARROW, path).convention.name == "imagenet"
    assert "does not state" in caplog.text


def test_people_can_say_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = theirs()
    torch.save(network.state_dict(), path)
    vgg = load_vgg(NARROW, path, convention="oxford")
    torch.testing.assert_close(pool3(vgg), network.features(caffe(IMAGE)), rtol=1e-3, atol=1e-2)
    assert not caplog.text


def test_a_published_file_is_known_by_its_digest_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(theirs().state_dict(), path)
    record = replace(RECORDS["vgg16-caffe"], sha256=store.sha256_of(path)[:8])
    monkeypatch.setitem(RECORDS, "vgg16-caffe", record)
    assert load_vgg(NARROW, path).convention.name == "oxford"


# Our own files


@pytest.mark.parametrize("head", ["gap", "none"])
@pytest.mark.parametrize("plan", [NARROW, NARROW_BN])
def test_what_is_saved_comes_back(tmp_path: Path, plan: Plan, head: Any) -> None:
    vgg = load_vgg(plan, None, head=head, seed=5, convention="oxford")
    save_weights(vgg, tmp_path / "own.safetensors")
    again = load_vgg(plan, tmp_path / "own.safetensors")
    assert (again.head, again.convention) == (head, vgg.convention)
    assert torch.equal(again(IMAGE), vgg(IMAGE))


def test_saving_over_the_file_that_was_loaded(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_weights(load_vgg(NARROW, None, head="none"), path)
    vgg = load_vgg(NARROW, path)
    save_weights(vgg, path)
    assert torch.equal(pool3(load_vgg(NARROW, path)), pool3(vgg))
    assert [*tmp_path.iterdir()] == [path]


def test_a_saved_file_knows_its_network_even_where_the_tensors_are_alike(tmp_path: Path) -> None:
    with_lrn = replace(NARROW, name="narrow_lrn", response_norm=True)
    save_weights(load_vgg(with_lrn, None, head="none"), tmp_path / "own.safetensors")
    with pytest.raises(WeightsError, match="holds narrow_lrn, not narrow"):
        load_vgg(NARROW, tmp_path / "own.safetensors")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_saved_file_has_the_permissions_of_a_new_file(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(1)})
    (tmp_path / "b").touch()
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_saving_where_nothing_can_be_written(tmp_path: Path) -> None:
    vgg = load_vgg(NARROW, None, head="none")
    with pytest.raises(WeightsError, match="ends in"):
        save_weights(vgg, tmp_path / "own.pth")
    with pytest.raises(WeightsError, match=r"can.t be written"):
        save_weights(vgg, tmp_path / "nowhere" / "own.safetensors")
