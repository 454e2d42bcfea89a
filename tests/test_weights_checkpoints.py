"""Checkpoints as trainings leave them give the network that was trained, or an error that names what is in the way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tests.test_weights_files import IMAGE, NARROW, Theirs, imagenet, same, theirs
from vggapps.errors import SettingsError, WeightsError
from vggapps.weights._load import load_vgg


@pytest.fixture(scope="module")
def network() -> Theirs:
    return theirs(classes=5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.pt"


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


WRAPPED = {
    "PyTorch's tutorial": lambda s: {"epoch": 3, "loss": torch.tensor(0.1), "model_state_dict": s},
    "net": lambda s: {"net": s, "acc": 91.5},
    "Lightning": lambda s: {"state_dict": prefixed(s, "model."), "hyper_parameters": {"lr": 0.1}, "loops": {"a": 1}},
    "Lightning with a weighted loss": lambda s: {
        "state_dict": prefixed(s, "model.") | {"criterion.weight": torch.ones(5)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(4, 3)}}}],
    },
    "compiled": lambda s: prefixed(s, "_orig_mod."),
    "DataParallel, compiled, nested": lambda s: {"checkpoint": {"model": prefixed(s, "module._orig_mod.backbone.")}},
    "features in DataParallel": lambda s: {
        key.replace("features.", "features.module."): value for key, value in s.items()
    },
    "AveragedModel": lambda s: prefixed(s, "module.") | {"n_averaged": torch.tensor(7)},
    "in two parts": lambda s: {
        room: {key.removeprefix(f"{room}."): value for key, value in s.items() if key.startswith(room)}
        for room in ("features", "classifier")
    },
    "state of random numbers": lambda s: {"model": s, "torch_rng_state": torch.get_rng_state()},
    "last layer in a Sequential": lambda s: {
        key.replace("classifier.6.", "classifier.6.0."): value for key, value in s.items()
    },
    "layers with names": lambda s: {
        key.replace("classifier.0", "classifier.fc1").replace("classifier.3", "classifier.fc2").replace(
            "classifier.6", "classifier.out"
        ): value
        for key, value in s.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", WRAPPED)
def test_the_network_in_a_checkpoint_is_found(network: Theirs, path: Path, kind: str) -> None:
    torch.save(WRAPPED[kind](network.state_dict()), path)
    same(load_vgg(NARROW, path)(IMAGE), network(imagenet(IMAGE)))


def test_pytorchs_own_averaged_model_is_read(network: Theirs, path: Path) -> None:
    torch.save(AveragedModel(network).state_dict(), path)
    same(load_vgg(NARROW, path)(IMAGE), network(imagenet(IMAGE)))


@pytest.mark.parametrize(
    ("beside", "told"),
    [
        (lambda s: {"model": s, "model_ema": s}, "has 2 networks: model, model_ema"),
        (lambda s: s | prefixed(s, "ema."), "has 2 networks: one without a name, ema"),
        (lambda s: s | prefixed(s, "module."), "has features.0.weight twice"),
    ],
)
def test_of_two_networks_none_is_chosen(network: Theirs, path: Path, beside: Any, told: str) -> None:
    torch.save(beside(dict(network.state_dict())), path)
    with pytest.raises(WeightsError, match=told):
        load_vgg(NARROW, path)


# No layer is left out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_layer_that_was_appended_is_run(path: Path, dtype: torch.dtype) -> None:
    network = theirs(classes=20)
    network.classifier.append(nn.Linear(20, 3))
    network = network.to(dtype)
    torch.save(network.state_dict(), path)
    vgg = load_vgg(NARROW, path)
    assert vgg.outputs == 3
    torch.testing.assert_close(vgg(IMAGE), network.float()(imagenet(IMAGE)), rtol=5e-3, atol=5e-3)


def appended(*layers: nn.Module) -> nn.Module:
    network = theirs(classes=20)
    network.classifier.extend(layers)
    return network


def headed(*layers: nn.Module) -> nn.Module:
    network = theirs(classes=2)
    network.classifier = nn.Sequential(*layers)
    return network


def beside(name: str) -> nn.Module:
    network = theirs(classes=2)
    network.add_module(name, nn.Linear(7, 7))
    return network


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (lambda: appended(nn.ReLU(), nn.Linear(20, 3)), r"4 linear layers.*classifier.8 \(3×20\)"),
        (lambda: appended(nn.BatchNorm1d(20)), r"classifier.7.weight is unexpected, and 3 more"),
        (lambda: headed(nn.Linear(392, 16), nn.ReLU(), nn.Linear(16, 5)), r"2 linear layers.*classifier.2 \(5×16\)"),
        (lambda: headed(nn.Linear(392, 5)), r"1 linear layers.*classifier.0 \(5×392\)"),
        (lambda: beside("fc"), "fc.weight is unexpected, and 1 more"),
        (lambda: beside("fc9"), "fc9 "),
        (
            lambda: headed(nn.Linear(392, 99), nn.ReLU(), nn.Linear(99, 4096), nn.ReLU(), nn.Linear(4096, 2)),
            "fc6.weight is 99×392, not 4096×392; torchvision calls it classifier.0.weight",
        ),
    ],
)
def test_a_layer_that_has_no_place_is_named(path: Path, network: Any, told: str) -> None:
    made = network()
    torch.save(made.state_dict(), path)
    with pytest.raises(WeightsError, match=told):
        load_vgg(NARROW, path)
    # Who asks for the convolutions alone gets them.
    found = load_vgg(NARROW, path, head="none").features(IMAGE, ["pool3"])["pool3"]
    same(found, made.features(imagenet(IMAGE)))


def test_a_head_beside_the_network_is_not_lost(network: Theirs, path: Path) -> None:
    body = {key: value for key, value in network.state_dict().items() if key.startswith("features")}
    torch.save({"backbone": body, "head": {"weight": torch.ones(5, 8)}}, path)
    with pytest.raises(WeightsError, match=r"head.weight is unexpected"):
        load_vgg(NARROW, path)


def test_what_is_missing_is_told_in_both_languages(network: Theirs, path: Path) -> None:
    state = dict(network.state_dict())
    del state["features.5.weight"]
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"conv2_1.weight is missing; torchvision calls it features.5.weight"):
        load_vgg(NARROW, path)


# What a file does not say


@pytest.mark.parametrize(
    ("convention", "wanted"),
    [("plain", lambda x: x), ("signed", lambda x: 2 * x - 1), ("imagenet", imagenet)],
)
def test_what_the_network_wants_can_be_said(network: Theirs, path: Path, convention: Any, wanted: Any) -> None:
    torch.save(network.state_dict(), path)
    same(load_vgg(NARROW, path, convention=convention)(IMAGE), network(wanted(IMAGE)))


def test_a_convention_without_effect_is_refused() -> None:
    for weights in ("vgg19-installed", "vgg19-gap"):
        with pytest.raises(SettingsError, match="the convention oxford has no effect"):
            load_vgg("vgg19", weights, convention="oxford")


@pytest.mark.parametrize(
    "names",
    [
        {"class_to_idx": {"dog": 1, "cat": 0, "hen": 2, "cow": 3, "pig": 4}},
        {"classes": ["cat", "dog", "hen", "cow", "pig"]},
        {"hyper_parameters": {"class_names": ["cat", "dog", "hen", "cow", "pig"]}},
        {"idx_to_class": {0: "cat", 1: "dog", 4: "pig", 2: "hen", 3: "cow"}},
    ],
)
def test_names_of_classes_in_a_checkpoint_are_read(network: Theirs, path: Path, names: dict[str, Any]) -> None:
    torch.save({"state_dict": network.state_dict()} | names, path)
    assert load_vgg(NARROW, path).classes == ("cat", "dog", "hen", "cow", "pig")


def test_names_that_are_not_as_many_as_outputs_are_left_out_and_told(
    network: Theirs, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save({"state_dict": network.state_dict(), "classes": ["cat", "dog"]}, path)
    with caplog.at_level(logging.WARNING, "vggapps"):
        assert load_vgg(NARROW, path).classes == ()
    assert "names 2 classes and has 5 outputs: the names are ignored" in caplog.text
