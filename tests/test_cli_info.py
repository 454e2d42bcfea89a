"""``vggapps info``: a report that is true, and that comes even where an installation is broken."""

from __future__ import annotations

import importlib
import json
import platform
from pathlib import Path

import kornia
import PIL
import psutil
import pytest
import torch
import torchvision

import vggapps


def test_json_is_true(cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VGGAPPS_CACHE", str(tmp_path))
    ran = cli("info", "--json")
    assert (ran.code, ran.err, ran.out.count("\n")) == (0, "", 1)
    facts = json.loads(ran.out)
    assert facts["versions"] == {
        "vggapps": vggapps.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
        "torchvision": torchvision.__version__.partition("+")[0],
        "kornia": kornia.__version__,
        "pillow": PIL.__version__,
    }
    assert facts["problems"] == []
    assert facts["memory"]["total"] == psutil.virtual_memory().total
    assert facts["memory"]["threads"] == torch.get_num_threads()
    assert facts["weights_folder"] == str(tmp_path)
    assert "vgg19-installed" in facts["weights"]
    assert "cpu" in [device["device"] for device in facts["devices"]]


def test_weights_that_were_downloaded_are_listed(cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VGGAPPS_CACHE", str(tmp_path))
    (tmp_path / "vgg16-397923af.pth").write_bytes(b"not looked into")
    assert "vgg16" in json.loads(cli("info", "--json").out)["weights"]


def test_lines_for_people(cli) -> None:
    ran = cli("info")
    assert (ran.code, ran.err) == (0, "")
    lines = dict(line.split(":", 1) for line in ran.out.splitlines())
    assert list(lines)[:6] == ["vggapps", "python", "torch", "torchvision", "kornia", "pillow"]
    assert "--dtype auto is " in lines["cpu"]
    assert "GiB free of" in lines["memory"]
    assert "vgg19-installed" in lines["weights here"]


def test_gpus_come_first(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        name, total_memory = "Imaginary 5000", 8 * 2**30

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    lines = cli("info").out.splitlines()
    gpu = next(i for i, line in enumerate(lines) if line.startswith("cuda:0:"))
    assert "Imaginary 5000, 8.0 GiB, bfloat16 is not native: --dtype auto is float32" in lines[gpu]
    assert lines[gpu + 1].startswith("cpu:")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            RuntimeError("operator torchvision::nms does not exist"),
            f"torchvision {torchvision.__version__.partition('+')[0]} does not fit "
            f"torch {torch.__version__.partition('+')[0]}: install a matching pair",
        ),
        (ImportError("No module named 'torchvision'"), "torchvision can't be imported: pip install torchvision"),
    ],
)
def test_a_broken_torchvision_is_one_line(cli, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str) -> None:
    real = importlib.import_module

    def import_module(name: str, package: str | None = None):
        if name == "torchvision":
            raise error
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", import_module)
    ran = cli("info")
    assert ran.code == 0
    assert [text for text in ran.out.splitlines() if text.startswith("problem")] == [f"problem:      {line}"]
