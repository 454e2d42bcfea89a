"""A training from files to a file: interrupted, resumed, and what is stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

import vggapps
from vggapps import __version__
from vggapps.errors import OutputExistsError, PictureError, SettingsError, WeightsError
from vggapps.image._identity import identify
from vggapps.painters import Painter, PainterSettings, load_painter, save_painter, train_style
from vggapps.painters import _run as running
from vggapps.painters._run import PainterRun
from vggapps.settings import to_dict

QUICK = PainterSettings(steps=4, batch=1, crop=64, size=128, motion_weight=0, dtype="float32", device="cpu")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two styles and a folder of photos, which is the current one."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for seed, name in enumerate(("waves.png", "dots.png", *(f"photos/{index}.png" for index in range(3)))):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (90, 120, 3), np.uint8)).save(name)
    return tmp_path


def stopped_after(count: int) -> Callable[[], bool]:
    """Asked after each step, true after that many."""
    answers = iter([False] * (count - 1) + [True])
    return lambda: next(answers)


def begin(output: str, settings: PainterSettings = QUICK, **more: Any) -> PainterRun:
    return PainterRun(["waves.png", "dots.png"], "photos", output, settings, **more)


def tensors(path: str) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(path)


def test_the_file_has_the_styles_and_says_how_it_was_made(here: Path) -> None:
    painter = vggapps.train_style(["waves.png", "dots.png"], "photos", "p.safetensors", QUICK)
    assert painter.styles == ("waves", "dots")
    about: Any = load_painter("p.safetensors").about
    assert about["settings"] == to_dict(QUICK)
    assert about["styles"]["waves"] == [
        {"name": "waves.png", "sha256": identify("waves.png").sha256, "weight": 1.0},
    ]
    assert (about["steps"], about["version"], len(about["styles"])) == (4, __version__, 2)
    assert about["loss"] > 0
    assert sorted(path.name for path in here.iterdir()) == ["dots.png", "p.safetensors", "photos", "waves.png"]


def test_an_interrupted_training_goes_on_to_the_same_painter(here: Path) -> None:
    list(begin("whole.safetensors").steps())
    seen = [step.index for step in begin("p.safetensors").steps(stopped_after(2))]
    assert seen == [1, 2]
    assert Path("p.safetensors.checkpoint").is_dir()
    assert not Path("p.safetensors").exists()
    run = begin("p.safetensors", resume=True)
    assert run.done == 2
    assert [step.index for step in run.steps()] == [3, 4]
    assert not Path("p.safetensors.checkpoint").exists()
    one, other = tensors("whole.safetensors"), tensors("p.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert load_painter("whole.safetensors").about["loss"] == load_painter("p.safetensors").about["loss"]


def test_checkpoints_are_written_now_and_then(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "EVERY", 3)
    there = [Path("p.safetensors.checkpoint").exists() for _ in begin("p.safetensors").steps()]
    assert there == [False, False, True, False]


def test_nothing_unfinished_is_lost_or_mixed_up(here: Path) -> None:
    list(begin("p.safetensors").steps(stopped_after(1)))
    with pytest.raises(OutputExistsError, match="resume=True"):
        begin("p.safetensors")
    another = [
        ("steps was 4", lambda: begin("p.safetensors", PainterSettings(**{**to_dict(QUICK), "steps": 5}), resume=True)),
        ("styles", lambda: PainterRun(["waves.png"], "photos", "p.safetensors", QUICK, resume=True)),
        ("photos", lambda: PainterRun(["waves.png", "dots.png"], ["dots.png"], "p.safetensors", QUICK, resume=True)),
        ("base", lambda: begin("p.safetensors", base=Painter(["a"]), resume=True)),
    ]
    for words, call in another:
        with pytest.raises(SettingsError, match=words):
            call()
    begin("p.safetensors", PainterSettings(**{**to_dict(QUICK), "workers": 1}), resume=True)  # gives the same painter
    assert begin("p.safetensors", overwrite=True).done == 0
    with pytest.raises(SettingsError, match="no unfinished training"):
        begin("q.safetensors", resume=True)


def test_a_base_is_told_with_how_it_was_made(here: Path) -> None:
    save_painter(Painter(["old"], channels=16, blocks=1), "base.safetensors", {"steps": 7})
    painter = train_style(["dots.png"], "photos", "p.safetensors", QUICK, base="base.safetensors", steps=2)
    assert painter.styles == ("old", "dots")
    file = {"name": "base.safetensors", "sha256": identify("base.safetensors").sha256}
    assert load_painter("p.safetensors").about["base"] == {"styles": ["old"], "file": file, "made": {"steps": 7}}
    assert json.dumps(painter.about)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((["waves.png", "photos/../waves.png"], "photos", "p.safetensors"), SettingsError, "the name waves"),
        ((["none.png"], "photos", "p.safetensors"), PictureError, "none.png"),
        (({"a:b": "waves.png"}, "photos", "p.safetensors"), SettingsError, "colon"),
        ((["waves.png"], "waves.png", "p.safetensors"), PictureError, "no such folder"),
        ((["waves.png"], [], "p.safetensors"), PictureError, "no photos"),
        ((["waves.png"], "photos", "p.pth"), WeightsError, "p.pth"),
        ((["waves.png"], "photos", "none/p.safetensors"), PictureError, "no folder"),
    ],
)
def test_what_is_wrong_is_said_before_the_training(here: Path, arguments: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        train_style(*arguments, settings=QUICK)


def test_photos_that_cannot_be_read_are_left_out_even_all_of_a_batch(here: Path) -> None:
    for name in ("3", "4", "5", "6"):
        Path(f"photos/{name}.png").write_bytes(b"no picture")
    settings = PainterSettings(**{**to_dict(QUICK), "steps": 7, "motion_weight": 1})
    steps = list(begin("p.safetensors", settings).steps())
    assert sum(len(step.unreadable) for step in steps) == 4
    assert sum(step.pictures == 0 for step in steps) == 4
