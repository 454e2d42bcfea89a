"""Painters for other programs paint as in torch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from vggapps.errors import SettingsError, WeightsError
from vggapps.painters import Painter, export_painter, folded
from vggapps.painters import _export as exporting

STYLES, STRENGTH = {"waves": 3, "night": 1}, 0.7


@pytest.fixture(autouse=True)
def _without_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch traces its exporter in as much detail as any handler of logs takes, such as pytest's."""
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)


@pytest.fixture(scope="module")
def painter() -> Painter:
    torch.manual_seed(0)
    made = Painter(["waves", "night"], channels=8, blocks=1)
    nn.init.normal_(made.convs[-1].weight, std=0.1)
    for norm in made.norms:
        nn.init.normal_(norm.weight, mean=1, std=0.3)
        nn.init.normal_(norm.bias, std=0.3)
    return made.requires_grad_(False).eval()


def photo(height: int, width: int, seed: int = 1) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def in_onnx(path: Path, photo: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["painted"], {"photo": photo.numpy()})[0])


def painted(painter: Painter, photo: Tensor) -> Tensor:
    found = painter(photo, painter.mix(STYLES, STRENGTH)).clamp(0, 1)
    assert (found - photo).abs().mean() > 0.02
    return found


def test_onnx_of_any_size_paints_as_torch(painter: Painter, tmp_path: Path) -> None:
    export_painter(painter, tmp_path / "p.onnx", STYLES, strength=STRENGTH)
    for size in ((64, 80), (61, 82), (9, 130), (103, 8)):
        found = in_onnx(tmp_path / "p.onnx", photo(*size))
        torch.testing.assert_close(found, painted(painter, photo(*size)), atol=1e-3, rtol=0)
    pads = [node for node in onnx.load(tmp_path / "p.onnx").graph.node if node.op_type == "Pad"]
    modes = {attribute.s for node in pads for attribute in node.attribute if attribute.name == "mode"}
    assert modes == {b"edge"}


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # of torch.export.load
def test_a_program_of_torch_of_any_size_paints_as_the_painter(painter: Painter, tmp_path: Path) -> None:
    export_painter(painter, tmp_path / "p.pt2", STYLES, strength=STRENGTH)
    program = torch.export.load(tmp_path / "p.pt2").module()
    for size in ((64, 80), (57, 90)):
        torch.testing.assert_close(program(photo(*size)), painted(painter, photo(*size)))


@pytest.mark.parametrize("size", [(64, 48), (45, 51)])
def test_folded_statistics_are_those_that_were_given(painter: Painter, size: tuple[int, int]) -> None:
    mix = painter.mix(STYLES, STRENGTH)
    statistics = painter.statistics(photo(40, 40, seed=2), mix)
    pair = torch.cat([photo(*size), photo(*size, seed=3)])
    made = folded(painter, mix, statistics)
    torch.testing.assert_close(made(pair), painter(pair, mix, statistics).clamp(0, 1), atol=1e-5, rtol=0)
    kinds = {type(one) for one in made.modules() if not any(one.children())}
    assert kinds == {nn.Conv2d, nn.ReLU, nn.Upsample, nn.PixelShuffle, nn.PixelUnshuffle}


def test_a_folded_program_has_no_normalization(painter: Painter, tmp_path: Path) -> None:
    mix = painter.mix(STYLES, STRENGTH)
    statistics = painter.statistics(photo(40, 40, seed=2), mix)
    export_painter(painter, tmp_path / "p.onnx", STYLES, strength=STRENGTH, size=(32, 48), statistics=statistics)
    found = in_onnx(tmp_path / "p.onnx", photo(32, 48))
    expected = painter(photo(32, 48), mix, statistics).clamp(0, 1)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    kinds = {node.op_type for node in onnx.load(tmp_path / "p.onnx").graph.node}
    assert kinds <= {"Add", "Clip", "Conv", "DepthToSpace", "Pad", "Relu", "Reshape", "Resize", "Transpose"}


@pytest.mark.parametrize(
    ("name", "more", "error", "words"),
    [
        ("p.tflite", {}, WeightsError, "p.tflite"),
        ("none/p.pt2", {"size": (16, 16)}, WeightsError, "none"),
        ("p.pt2", {"size": (16, 7)}, SettingsError, "7 x 16 px are too few"),
        ("p.pt2", {"strength": 2}, SettingsError, "strength is 2"),
    ],
)
def test_what_is_wrong_is_said(painter: Painter, tmp_path: Path, name: str, more: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        export_painter(painter, tmp_path / name, STYLES, **more)


def test_onnx_needs_its_packages(painter: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"vggapps\[onnx\]"):
        export_painter(painter, tmp_path / "p.onnx", STYLES)
