"""Convolutions of AlexNet and SqueezeNet: torchvision's own, with weights that fit, or an error."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from tests import server as fixtures
from tests.server import names, serving
from vggapps.errors import SettingsError, WeightsError
from vggapps.weights._load import load_vgg
from vggapps.weights._records import RECORDS
from vggapps.weights._trunk import load_trunk

cache = fixtures.cache  # pytest finds it by this name
trunks = pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1"])
IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def theirs(name: str) -> nn.Module:
    """torchvision's network, random; its classifier made small, for files of a few megabytes."""
    torch.manual_seed(2)
    with torch.device("meta"):
        network = models.get_model(name)
    network.features.to_empty(device="cpu")
    for parameter in network.features.parameters():
        nn.init.normal_(parameter, std=0.05)
    network.classifier = nn.Linear(9, 9)
    return network


def same(trunk: nn.Sequential, network: nn.Module) -> None:
    expected = IMAGE
    for found, layer in zip(trunk, network.features, strict=True):
        assert type(found) is type(layer)
        expected = layer(expected)
    assert torch.equal(trunk(IMAGE), expected)
    assert expected.std() > 0


@trunks
def test_torchvisions_are_downloaded_without_their_classifier(
    cache: Path, monkeypatch: pytest.MonkeyPatch, name: Any
) -> None:
    network, file = theirs(name), io.BytesIO()
    torch.save({**network.state_dict(), "classifier.weight": torch.ones(4000, 1000)}, file)
    record = RECORDS[f"{name}-convolutions"]
    with serving(file.getvalue()) as server:
        monkeypatch.setitem(RECORDS, record.name, replace(record, urls=(server.url,)))
        same(load_trunk(name), network)
        same(load_trunk(name, record.name), network)
    assert record.size < server.sent < record.size + 300_000
    assert names(cache) == {record.stored, f"{record.stored}.sha256"}


@trunks
@pytest.mark.parametrize("part", ["whole", "features", "bare"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file(tmp_path: Path, name: Any, part: str, suffix: str) -> None:
    network, path = theirs(name), tmp_path / f"mine.{suffix}"
    state = network.features.state_dict() if part == "bare" else network.state_dict()
    kept = {key: value for key, value in state.items() if part != "features" or key.startswith("features.")}
    (torch.save if suffix == "pth" else save_file)(kept, path)
    same(load_trunk(name, path), network)
    same(load_trunk(name, str(path)), network)


def test_what_comes_is_frozen_and_moves_no_random_numbers(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(theirs("squeezenet1_1").half().state_dict(), path)
    before = torch.get_rng_state()
    trunk = load_trunk("squeezenet1_1", path)
    assert torch.equal(torch.get_rng_state(), before)
    assert not trunk.training
    for value in trunk.state_dict(keep_vars=True).values():
        assert (value.dtype, value.device.type, value.requires_grad) == (torch.float32, "cpu", False)


def test_a_file_may_be_replaced_while_its_network_lives(tmp_path: Path) -> None:
    network, path = theirs("squeezenet1_1"), tmp_path / "mine.safetensors"
    save_file(network.features.state_dict(), path)
    trunk = load_trunk("squeezenet1_1", path)
    path.write_bytes(bytes(path.stat().st_size))
    same(trunk, network)


def _changed(**changes: Tensor | None) -> dict[str, Tensor]:
    state = {**theirs("alexnet").state_dict(), **{k.replace("_", "."): v for k, v in changes.items()}}
    return {key: value for key, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features_0_bias": None}, "mine.pth does not fit alexnet: features.0.bias is missing"),
        ({"features_0_bias": torch.ones(3)}, "features.0.bias is 3, not 64"),
        ({"features_99_bias": torch.ones(3)}, "features.99.bias is unexpected"),
        ({"features_0_bias": torch.full((64,), float("inf"))}, "features.0.bias has values that are not finite"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, changes: dict[str, Tensor | None], message: str) -> None:
    torch.save(_changed(**changes), tmp_path / "mine.pth")
    with pytest.raises(WeightsError) as caught:
        load_trunk("alexnet", tmp_path / "mine.pth")
    assert message in str(caught.value)
    assert caught.value.hint


def test_another_network() -> None:
    with pytest.raises(WeightsError, match=r"alexnet-convolutions are alexnet's, not squeezenet1_1's.*load_trunk"):
        load_trunk("squeezenet1_1", "alexnet-convolutions")
    with pytest.raises(WeightsError, match=r"alexnet-convolutions are alexnet's, not vgg16's.*load_trunk"):
        load_vgg("vgg16", "alexnet-convolutions")
    with pytest.raises(WeightsError, match=r"vgg16 are vgg16's, not alexnet's.*load the network vgg16"):
        load_trunk("alexnet", "vgg16")


def test_a_wrong_word(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no trunk 'alex'.*did you mean 'alexnet'"):
        load_trunk("alex")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="no set of weights 'alexnet'"):
        load_trunk("alexnet", "alexnet")
    with pytest.raises(SettingsError, match="no network 'alexnet'"):
        load_vgg("alexnet")
    with pytest.raises(WeightsError, match=r"cannot read .*No such file"):
        load_trunk("alexnet", tmp_path / "not-there.pth")


def test_a_file_of_another_network_is_no_vgg(tmp_path: Path) -> None:
    torch.save(theirs("alexnet").state_dict(), tmp_path / "mine.pth")
    with pytest.raises(WeightsError, match=r"does not fit vgg16: conv1_1.weight is 64×3×11×11"):
        load_vgg("vgg16", tmp_path / "mine.pth")
    with pytest.raises(WeightsError, match="does not fit squeezenet1_1"):
        load_trunk("squeezenet1_1", tmp_path / "mine.pth")
