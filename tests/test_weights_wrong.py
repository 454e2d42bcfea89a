"""Files that are not what they should be are one line that says so; nothing in them is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vgg import make_layers

from tests.test_weights_files import IMAGE, NARROW, imagenet, pool3, same, theirs
from vggapps.errors import WeightsError
from vggapps.vgg._plan import PLANS, get_plan
from vggapps.weights import _layout as layout
from vggapps.weights._load import load_vgg
from vggapps.weights._records import RECORDS


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
        (lambda path: path.write_bytes(b""), "truncated or damaged"),
        (lambda path: path.write_bytes(b"garbage" * 99), "truncated or damaged"),
        (_truncated, "truncated or damaged"),
        (_truncated_old, "truncated or damaged"),
        (_page, "is a web page, not weights"),
        (_code, r"contains code \(\w+\.system\), not only tensors.*state_dict"),
        (_module, r"contains code \(torch.nn.modules.container.Sequential\).*state_dict"),
        (lambda path: torch.save([1, 2], path), "contains a list, not weights"),
        (lambda path: torch.save({"a": 1}, path), "is not a VGG: it holds nothing"),
        (
            lambda path: torch.save({"layer1.0.conv1.weight": torch.ones(1)}, path),
            "not a VGG: .*layer1.0.conv1",
        ),
        (_changed(features_5_weight=None), "does not fit narrow: conv2_1.weight is missing"),
        (_changed(features_5_weight=None, features_5_bias=None), "conv2_1.weight is missing, and 1 more"),
        (_changed(features_0_weight=torch.ones(4, 1, 3, 3)), "conv1_1.weight is 4×1×3×3, not 4×3×3×3"),
        (_changed(features_99_weight=torch.ones(1)), "features.99.weight is unexpected"),
        (
            _changed(features_5_bias=torch.full((6,), float("nan"))),
            "conv2_1.bias has values that are not finite",
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
    with pytest.raises(WeightsError, match="truncated or damaged"):
        load_vgg(NARROW, path)


def test_a_saved_file_whose_notes_are_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_file(theirs().state_dict(), path, metadata={"vggapps": '{"plan": "narrow"}'})
    with pytest.raises(WeightsError, match="truncated or damaged"):
        load_vgg(NARROW, path)
    save_file(theirs().state_dict(), path, metadata={"format": "pt"})
    same(pool3(load_vgg(NARROW, path)), theirs().features(imagenet(IMAGE)))


@pytest.mark.parametrize("name", [n for n, r in RECORDS.items() if n == r.network])
def test_torchvisions_networks_have_the_tensors_of_our_plans(name: str) -> None:
    with torch.device("meta"):
        state = getattr(models, name)().state_dict()
    fitted = layout.fit(Path("theirs.pth"), state, get_plan(name), whole=True)
    assert {key.partition(".")[0] for key in fitted} >= {"conv1_1", "fc6", "fc7", "fc8"}
    for other in (plan for plan in PLANS.values() if plan.name != name and not plan.response_norm):
        with pytest.raises(WeightsError, match=f"holds {name}(_lrn)?, not {other.name}"):
            layout.fit(Path("theirs.pth"), state, other, whole=True)


def test_another_network_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
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
