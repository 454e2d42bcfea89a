"""Which weights are taken: by default, by name, at random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import server as fixtures
from tests.server import names, serving
from tests.test_weights_files import IMAGE, NARROW, NARROW_BN, imagenet, pool3, same, theirs
from vggapps.errors import SettingsError, WeightsError
from vggapps.vgg._network import VGG, initialize
from vggapps.weights import _load as load
from vggapps.weights._load import load_vgg
from vggapps.weights._records import RECORDS

cache = fixtures.cache  # pytest finds it by this name


@pytest.mark.parametrize(
    ("network", "head", "taken"),
    [
        ("vgg19", None, "vgg19-installed"),
        ("vgg19", "none", "vgg19-installed"),
        ("vgg19", "gap", "vgg19-gap"),
        ("vgg19", "fc", "vgg19"),
        ("vgg19", "conv", "vgg19"),
        ("vgg16", None, "vgg16"),
        ("vgg16", "fc", "vgg16"),
        ("vgg16", "none", "vgg16-convolutions"),
        ("vgg16", "gap", "vgg16-convolutions"),
        ("vgg13_bn", "none", "vgg13_bn"),
    ],
)
@pytest.mark.usefixtures("cache")
def test_auto(monkeypatch: pytest.MonkeyPatch, network: str, head: Any, taken: str) -> None:
    """The same numbers on every machine: what happens to be cached makes no difference to them."""
    assert asked_for(monkeypatch, network, head) == [taken]


def test_auto_transfers_nothing_that_is_here(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    cache.mkdir()
    for name in ("vgg16", "vgg19"):
        (cache / RECORDS[name].file).touch()
    assert asked_for(monkeypatch, "vgg16", "none") == ["vgg16"]
    assert asked_for(monkeypatch, "vgg19", "none") == ["vgg19-installed"]


def asked_for(monkeypatch: pytest.MonkeyPatch, network: str, head: Any) -> list[str]:
    asked: list[str] = []

    def get(record: Any) -> Path:
        asked.append(record.name)
        raise WeightsError("stop", "here")

    monkeypatch.setattr(load.store, "get", get)
    with pytest.raises(WeightsError):
        load_vgg(network, head=head)
    return asked


def test_auto_for_a_network_that_nobody_published() -> None:
    for plan in ("vgg16_c", "vgg11_lrn", NARROW, replace(NARROW, name="vgg19")):
        with pytest.raises(WeightsError, match="there are no published weights for"):
            load_vgg(plan)


def test_fully_connected_layers_that_are_not_there() -> None:
    with pytest.raises(WeightsError, match=r"vgg19-installed has no fully connected .*weights='vgg19'"):
        load_vgg("vgg19", "vgg19-installed", head="fc")


def test_a_wrong_word() -> None:
    with pytest.raises(SettingsError, match=r"no set of weights 'vgg91'.*did you mean 'vgg19'"):
        load_vgg("vgg19", "vgg91")
    with pytest.raises(SettingsError, match="no head 'fcn'"):
        load_vgg("vgg19", head="fcn")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="no convention 'caffe'"):
        load_vgg("vgg19", convention="caffe")  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="vgg16 are vgg16's, not vgg19's"):
        load_vgg("vgg19", "vgg16")


def test_weights_on_record_are_fetched_and_loaded(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    network = theirs()
    torch.save(network.state_dict(), path)
    with serving(path.read_bytes()) as server:
        record = replace(
            RECORDS["vgg16"],
            name="narrow",
            network="narrow",
            file="n.pth",
            urls=(server.url,),
            sha256=server.sha256[:8],
        )
        monkeypatch.setitem(RECORDS, "narrow", record)
        vgg = load_vgg(NARROW, "narrow")
    assert (vgg.weights_name, names(cache)) == ("narrow", {"n.pth", "n.pth.sha256"})
    same(pool3(vgg), network.features(imagenet(IMAGE)))


def test_convolutions_alone_are_the_same_network(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, network = tmp_path / "weights.pth", theirs()
    torch.save({**network.state_dict(), "classifier.0.weight": torch.ones(1000, 1000)}, path)
    with serving(path.read_bytes()) as server:
        record = replace(
            RECORDS["vgg16-convolutions"],
            name="narrow-convolutions",
            network="narrow",
            file="n.pth",
            urls=(server.url,),
            sha256=server.sha256[:8],
        )
        monkeypatch.setitem(RECORDS, "narrow-convolutions", record)
        vgg = load_vgg(NARROW, "narrow-convolutions")
    assert (vgg.weights_name, vgg.head, vgg.convention.name) == ("narrow-convolutions", "none", "imagenet")
    same(pool3(vgg), network.features(imagenet(IMAGE)))
    assert server.sent < 300_000
    by_path = load_vgg(NARROW, cache / record.stored)  # known by its name
    same(pool3(by_path), network.features(imagenet(IMAGE)))


# Random weights


def test_random_weights_are_seeded() -> None:
    before = torch.get_rng_state()
    one, again, other = (load_vgg(NARROW_BN, None, head="gap", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one(IMAGE), again(IMAGE))
    assert not torch.equal(one(IMAGE), other(IMAGE))
    assert one.weights_name == "random-he-1"
    assert torch.equal(one.bn1_1.running_var, torch.ones(4))
    expected = initialize(VGG(NARROW_BN, head="gap"), seed=1)
    for key, value in expected.state_dict().items():
        assert torch.equal(one.state_dict()[key], value), key


def test_random_weights_have_fully_connected_layers() -> None:
    assert load_vgg(NARROW, None).head == "fc"


def test_a_new_head_on_known_convolutions(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    network = theirs()
    torch.save(network.state_dict(), path)
    vgg = load_vgg(NARROW, path, head="gap", seed=4, trainable=True)
    same(pool3(vgg), network.features(imagenet(IMAGE)))
    same(vgg.fc8.weight, initialize(VGG(NARROW, head="gap"), seed=4).fc8.weight)
    assert vgg.fc8.weight.requires_grad
    assert vgg.training
