"""``vggapps train-style``: what it says, makes and refuses; interrupted, and resumed."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vggapps.cli.painter_training as room
from tests.conftest import Ran
from vggapps.errors import SettingsError
from vggapps.painters import Painter, load_painter, save_painter
from vggapps.painters._run import PainterRun

Cli = Callable[..., Ran]
QUICK = ("--batch", 1, "--crop", 64, "--size", 128, "--motion-weight", 0, "--device", "cpu", "--dtype", "float32")
WAVES = ("train-style", "waves.png", "--photos", "photos", "-o", "my.safetensors", *QUICK)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a painting, photo.png and a folder of photos, which is the current one."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for seed, name in enumerate(("waves.png", "photo.png", *(f"photos/{index}.png" for index in range(3)))):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (90, 120, 3), np.uint8)).save(name)
    return tmp_path


def test_a_painter_is_made_and_used(here: Path, cli: Cli, caplog: pytest.LogCaptureFixture) -> None:
    ran = cli(*WAVES, "--steps", 3, "--preview-every", 2)
    assert (ran.code, ran.out) == (0, "my.safetensors\n")
    for words in ("styles: waves", "3 photos; 3 steps", "step 3 of 3, loss", "--painter"):
        assert words in ran.err
    assert "3 photos are few" in caplog.text
    assert load_painter("my.safetensors").styles == ("waves",)
    assert cli("stylize", "photo.png", "--painter", "my.safetensors:waves", "--size", 64).code == 0
    with Image.open("my.preview.png") as sheet:
        assert sheet.width > 2 * 120  # the photo and the style, in two rows
        assert sheet.height > 2 * 90
    assert sorted(path.name for path in here.iterdir()) == [
        "my.preview.png", "my.safetensors", "photo.png", "photo_by_waves.png", "photos", "waves.png",
    ]  # fmt: skip


def test_ctrl_c_keeps_a_checkpoint_and_resume_goes_on(here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = room.watched

    def interrupted(steps: Iterator[Any], *words: Any, **more: Any) -> Iterator[Any]:
        for step in watched(steps, *words, **more):
            yield step
            if step.index == 1:
                signal.raise_signal(signal.SIGINT)

    words = (*WAVES, "--steps", 4, "--preview-photo", "photo.png")
    with monkeypatch.context() as patch:
        patch.setattr(room, "watched", interrupted)
        ran = cli(*words, "--json")
    assert ran.code == 130
    assert "stopped after step 2 of 4" in ran.err
    told = json.loads(ran.out)
    assert (told["output"], told["steps"], told["interrupted"]) == (None, 2, True)
    again = cli(*words)
    assert again.code == 4
    assert "--resume" in again.err
    assert "--force" in again.err
    changed = cli(*words, "--resume", "--learning-rate", 0.1)
    assert (changed.code, "--learning-rate was 0.002" in changed.err) == (2, True)
    resumed = cli(*words, "--resume")
    assert (resumed.code, resumed.out, "goes on after step 2" in resumed.err) == (0, "my.safetensors\n", True)
    assert not Path("my.safetensors.checkpoint").exists()


def test_a_style_on_a_base_takes_a_tenth_of_the_steps(here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    save_painter(Painter(["old"], channels=8, blocks=1), "base.safetensors")
    ran = cli(*WAVES, "--base", "base.safetensors", "--steps", 1, "--json")
    told = json.loads(ran.out)
    assert (told["steps"], told["styles"], told["photos"], told["interrupted"]) == (1, ["waves"], 3, False)
    assert load_painter("my.safetensors").styles == ("old", "waves")
    begun: list[int] = []

    def watch(run: PainterRun, *_: Any, **__: Any) -> None:
        begun.append(run.settings.steps)
        raise SettingsError("enough")

    monkeypatch.setattr("vggapps.cli.train_style.watch", watch)
    cli(*WAVES, "--base", "base.safetensors", "--force")
    cli(*WAVES, "--force")
    assert begun == [800, 8000]


def test_photos_that_cannot_be_read_are_named_once(here: Path, cli: Cli) -> None:
    Path("photos/0.png").write_bytes(b"no picture")
    ran = cli(*WAVES, "--steps", 6, "--preview-every", 0)
    assert ran.code == 0
    assert ran.err.count("left out: photos/0.png") == 1
    assert not Path("my.preview.png").exists()


def test_an_existing_file_is_kept_unless_forced(here: Path, cli: Cli) -> None:
    Path("my.safetensors").write_bytes(b"precious")
    assert cli(*WAVES, "--steps", 1).code == 4
    assert Path("my.safetensors").read_bytes() == b"precious"
    assert cli(*WAVES, "--steps", 1, "--force").code == 0
    assert load_painter("my.safetensors").styles == ("waves",)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("waves.png", "--photos", "photos"), 2, "a style, photos and an output are needed"),
        (("waves.png", "--photos", "none", "-o", "a.safetensors"), 3, "none: there is no such file"),
        (("waves.png", "--photos", "broken.png", "-o", "a.safetensors"), 3, "none of a sample of pictures can be read"),
        (("none.png", "--photos", "photos", "-o", "a.safetensors"), 3, "none.png"),
        (("waves.png", "--photos", "photos", "-o", "a.pth"), 2, "a.pth does not end in .safetensors"),
        (("waves.png", "--photos", "photos", "-o", "a.safetensors", "--base", "none.safetensors"), 5, "none.safe"),
        (("waves.png", "--photos", "photos", "-o", "a.safetensors", "--resume"), 2, "no unfinished training"),
        (("waves.png", "--photos", "photos", "-o", "a.safetensors", "--preview-photo", "b.png"), 3, "b.png"),
    ],
)
def test_what_is_wrong_is_said_before_the_training(
    here: Path, cli: Cli, words: tuple[object, ...], code: int, message: str
) -> None:
    Path("broken.png").write_bytes(b"no picture")
    ran = cli("train-style", *words, *QUICK, "--steps", 1)
    assert ran.code == code
    assert message in ran.err
    assert not Path("a.safetensors").exists()
