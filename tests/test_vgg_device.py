"""Which device and dtype a run gets."""

from __future__ import annotations

import pytest
import torch

from vggapps.errors import SettingsError
from vggapps.vgg._device import accelerate, has_native_bfloat16, pick_device, pick_dtype
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import Plan

CPU = torch.device("cpu")


def pretend(monkeypatch: pytest.MonkeyPatch, *, cuda: int = 0, mps: bool = False, bfloat16: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": bfloat16}, raising=False)


@pytest.mark.parametrize(
    ("cuda", "mps", "device"), [(0, False, "cpu"), (0, True, "mps"), (1, False, "cuda"), (1, True, "cuda")]
)
def test_auto_takes_the_fastest_device(monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool, device: str) -> None:
    pretend(monkeypatch, cuda=cuda, mps=mps)
    assert pick_device("auto").type == device
    assert pick_device("cpu") == CPU


@pytest.mark.parametrize("device", ["cuda", "cuda:2", "cuda:", "cuda:x", "mps"])
def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    pretend(monkeypatch, cuda=0 if device == "cuda" else 2)
    with pytest.raises(SettingsError, match=f"this machine has no {device} device .*device='auto'"):
        pick_device(device)


def test_a_numbered_device(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=2)
    assert pick_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize("native", [False, True])
def test_auto_takes_bfloat16_only_where_it_is_native(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    pretend(monkeypatch, cuda=1, mps=True, bfloat16=native)
    best = torch.bfloat16 if native else torch.float32
    assert pick_dtype("auto", CPU) == pick_dtype("auto", torch.device("cuda")) == best
    assert pick_dtype("auto", torch.device("mps")) == torch.float32
    assert pick_dtype("float32", CPU) == torch.float32
    assert pick_dtype("bfloat16", CPU) == torch.bfloat16


@pytest.mark.parametrize(
    ("pick", "message"),
    [
        (lambda: pick_device("cpuu"), r"no device 'cpuu' \(did you mean 'cpu'"),
        (lambda: pick_dtype("float23", CPU), r"no dtype 'float23' \(did you mean 'float32'"),
        (
            lambda: pick_dtype("float16", CPU),
            r"no dtype 'float16' .*the choices are: auto, float32, bfloat16",
        ),
    ],
)
def test_wrong_words(pick, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        pick()


def test_accelerate_moves_weights_and_returns_the_network() -> None:
    vgg = VGG(Plan("tiny", "tiny", ((8,), (8,))), head="none")
    assert accelerate(vgg, "cpu", "bfloat16") is vgg
    assert vgg.conv2_1.weight.dtype == torch.bfloat16
    assert vgg.conv2_1.weight.is_contiguous(memory_format=torch.channels_last)
    assert vgg(torch.rand(1, 3, 8, 8)).dtype == torch.bfloat16


@pytest.mark.gpu
def test_a_gpu_gives_the_same_features() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    vgg = VGG(Plan("tiny", "tiny", ((8, 8), (8, 8))), head="none").freeze()
    image = torch.rand(1, 3, 32, 32)
    expected = vgg(image)
    for dtype, tolerance in (("float32", 2e-3), ("auto", 0.02)):
        found = accelerate(vgg, "cuda", dtype)(image.cuda())
        assert (found.cpu().float() - expected).norm() <= tolerance * expected.norm()
        assert has_native_bfloat16(found.device) == (found.dtype == torch.bfloat16) or dtype == "float32"
