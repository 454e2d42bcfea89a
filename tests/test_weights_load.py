"""Weights of any layout become the same network that their makers have."""

from __future__ import annotations

import logging
import os
import pickle
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from server import serving
from torch import Tensor, nn
from torchvision.models.vgg import make_layers

from vggapps.errors import SettingsError, WeightsError
from vggapps.vgg.network import VGG, initialize
from vggapps.vgg.plan import Plan
from vggapps.weights import load, store
from vggapps.weights.files import save_weights
from vggapps.weights.load import load_vgg
from vggapps.weights.records import RECORDS

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
    assert "does not say" in caplog.text


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


def test_saving_where_nothing_can_be_written(tmp_path: Path) -> None:
    vgg = load_vgg(NARROW, None, head="none")
    with pytest.raises(WeightsError, match="ends in"):
        save_weights(vgg, tmp_path / "own.pth")
    with pytest.raises(WeightsError, match="cannot write"):
        save_weights(vgg, tmp_path / "nowhere" / "own.safetensors")


# Files that are not what they should be


class Code:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


def _code(path: Path) -> None:
    path.write_bytes(pickle.dumps({"features.0.weight": Code()}, protocol=2))


def _module(path: Path) -> None:
    torch.save(nn.Sequential(nn.Conv2d(3, 4, 3)), path)


def _page(path: Path) -> None:
    path.write_bytes(b"\n<html>404</html>")


def _truncated(path: Path) -> None:
    torch.save(theirs().state_dict(), path)
    path.write_bytes(path.read_bytes()[:1500])


def _truncated_old(path: Path) -> None:
    torch.save(theirs().state_dict(), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:1500])


def _changed(**changes: Tensor | None) -> Any:
    def write(path: Path) -> None:
        state = {**theirs().state_dict(), **{k.replace("_", "."): v for k, v in changes.items()}}
        torch.save({k: v for k, v in state.items() if v is not None}, path)

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "cannot read .*: No such file"),
        (lambda path: path.mkdir(), "cannot read .*: Is a directory"),
        (lambda path: path.write_bytes(b""), "cut off or damaged"),
        (lambda path: path.write_bytes(b"garbage" * 99), "cut off or damaged"),
        (_truncated, "cut off or damaged"),
        (_truncated_old, "cut off or damaged"),
        (_page, "is a web page, not weights"),
        (_code, r"contains code \(\w+\.system\), not only numbers.*state_dict"),
        (_module, r"contains code \(torch.nn.modules.container.Sequential\).*state_dict"),
        (lambda path: torch.save([1, 2], path), "holds no weights but a list"),
        (lambda path: torch.save({"a": 1}, path), "is not a VGG: it holds nothing"),
        (
            lambda path: torch.save({"layer1.0.conv1.weight": torch.ones(1)}, path),
            "not a VGG: .*layer1.0.conv1",
        ),
        (_changed(features_5_weight=None), "does not fit narrow: conv2_1.weight is missing"),
        (_changed(features_5_weight=None, features_5_bias=None), "conv2_1.weight is missing, and 1 more"),
        (_changed(features_0_weight=torch.ones(4, 1, 3, 3)), "conv1_1.weight is 4×1×3×3, not 4×3×3×3"),
        (_changed(features_99_weight=torch.ones(1)), "features.99.weight is one too many"),
        (
            _changed(features_5_bias=torch.full((6,), float("nan"))),
            "conv2_1.bias holds numbers that are not finite",
        ),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("mine.pth"))
    with pytest.raises(WeightsError, match=message) as caught:
        load_vgg(NARROW, Path("mine.pth"))
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert not Path("ran").exists()


def test_a_truncated_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_file({"conv1_1.weight": torch.ones(4, 3, 3, 3)}, path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="cut off or damaged"):
        load_vgg(NARROW, path)


def test_another_network_is_named(path: Path) -> None:
    torch.save(
        {
            f"features.{i}.{k}": v
            for i, m in enumerate(make_layers([64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"], False))
            for k, v in m.state_dict().items()
        },
        path,
    )
    assert load_vgg("vgg11", path).plan.name == "vgg11"
    with pytest.raises(WeightsError, match="holds vgg11, not vgg16"):
        load_vgg("vgg16", path)


# Which weights are taken


@pytest.mark.parametrize(
    ("network", "head", "taken"),
    [
        ("vgg19", None, "vgg19-installed"),
        ("vgg19", "none", "vgg19-installed"),
        ("vgg19", "gap", "vgg19-installed"),
        ("vgg19", "fc", "vgg19"),
        ("vgg19", "conv", "vgg19"),
        ("vgg16", None, "vgg16"),
        ("vgg13_bn", "none", "vgg13_bn"),
    ],
)
def test_auto(monkeypatch: pytest.MonkeyPatch, network: str, head: Any, taken: str) -> None:
    """The same on every machine: what happens to be cached makes no difference."""
    asked = []

    def get(record: Any) -> Path:
        asked.append(record.name)
        raise WeightsError("stop", "here")

    monkeypatch.setattr(load.store, "get", get)
    with pytest.raises(WeightsError):
        load_vgg(network, head=head)
    assert asked == [taken]


def test_auto_for_a_network_that_nobody_published() -> None:
    for plan in ("vgg16_c", "vgg11_lrn", NARROW, replace(NARROW, name="vgg19")):
        with pytest.raises(WeightsError, match="nobody published weights for"):
            load_vgg(plan)


def test_fully_connected_layers_that_are_not_there() -> None:
    with pytest.raises(WeightsError, match=r"vgg19-installed has no fully connected .*weights download vgg19"):
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


def test_weights_on_record_are_fetched_and_loaded(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = theirs()
    torch.save(network.state_dict(), path)
    monkeypatch.setenv("VGGAPPS_CACHE", str(tmp_path / "cache"))
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
    assert vgg.weights_name == "narrow"
    same(pool3(vgg), network.features(imagenet(IMAGE)))


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


def test_a_new_head_on_known_convolutions(path: Path) -> None:
    network = theirs()
    torch.save(network.state_dict(), path)
    vgg = load_vgg(NARROW, path, head="gap", seed=4, trainable=True)
    same(pool3(vgg), network.features(imagenet(IMAGE)))
    same(vgg.fc8.weight, initialize(VGG(NARROW, head="gap"), seed=4).fc8.weight)
    assert vgg.fc8.weight.requires_grad
    assert vgg.training
