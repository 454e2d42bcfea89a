"""``vggapps visualize``: what lands on the disk, and what people are told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from vggapps.image import open_picture, read_settings

QUICK = ["--size", "32", "--steps", "2", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_channel_becomes_a_picture_named_after_it_that_tells_how_it_was_made(cli: Callable[..., Ran]) -> None:
    ran = cli("visualize", "conv1_2:5", *QUICK)
    assert (ran.code, ran.out) == (0, "conv1_2_5.png\n")
    assert open_picture("conv1_2_5.png").size == (32, 32)
    told = read_settings("conv1_2_5.png")
    assert told is not None
    (picture,) = told["pictures"]  # type: ignore[misc]
    assert picture["objective"] == "conv1_2:5"
    assert picture["relative_to_photographs"] > 0
    assert told["settings"]["steps"] == 2  # type: ignore[index]
    assert not Path("conv1_2_5.json").exists()


def test_the_same_seed_gives_the_same_file(cli: Callable[..., Ran]) -> None:
    for name in ("a.png", "b.png"):
        cli("visualize", "conv2_1:3", *QUICK, "-o", name)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_a_range_becomes_a_sheet_with_a_list_beside_it(cli: Callable[..., Ran]) -> None:
    ran = cli("visualize", "conv1_1:3-5", "conv2_1:0", *QUICK, "-o", "sheet.png", "--json")
    made = json.loads(ran.out)
    listed = json.loads(Path("sheet.json").read_text())
    names = ["conv1_1:3", "conv1_1:4", "conv1_1:5", "conv2_1:0"]
    assert [tile["objective"] for tile in listed["tiles"]] == names
    assert [picture["objective"] for picture in made["pictures"]] == names
    width, height = made["size"]
    assert open_picture("sheet.png").size == (height, width)
    assert all(tile["box"][2] <= width for tile in listed["tiles"])


def test_grid_takes_every_channel_of_a_layer(cli: Callable[..., Ran]) -> None:
    cli("visualize", "conv1_1", "--grid", "--size", "16", "--steps", "1", "-o", "all.png")
    assert len(json.loads(Path("all.json").read_text())["tiles"]) == 64


def test_classes_are_those_of_the_head_that_comes_along(cli: Callable[..., Ran]) -> None:
    ran = cli("visualize", "class:Egyptian cat", *QUICK, "--json")
    (picture,) = json.loads(ran.out)["pictures"]
    assert picture["objective"] == "class:Egyptian cat"
    assert Path("class_Egyptian_cat.png").exists()


def test_pictures_of_one_objective_are_told_apart(cli: Callable[..., Ran]) -> None:
    ran = cli("visualize", "conv1_2:5 - 0.1*diversity(conv1_2)", *QUICK, "--pictures", "3", "-o", "some.png")
    assert ran.code == 0
    assert len(json.loads(Path("some.json").read_text())["tiles"]) == 3


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["conv9_1:2"], 2, "error: there is no layer 'conv9_1'"),
        (["conv1_1:64"], 2, "error: conv1_1 has no channel 64\nhint: the last one is 63"),
        (["class:tabbby"], 2, "did you mean 'tabby'"),
        (["conv1_1:5-2"], 2, "error: conv1_1:5-2 is reversed"),
        (["conv1_1:0", "--start", "nowhere.jpg"], 3, "nowhere.jpg"),
        (["conv1_1:0", "--parameterization", "maco", "--spectrum", "empty"], 3, "no picture in this folder"),
        (["conv1_1:0", "-o", "taken.png"], 4, "taken.png exists"),
        (["conv1_1:0", "-o", "-", "--json"], 2, "both be written to stdout"),
        (["conv1_1:0", "conv1_1:1", "--pictures", "2"], 2, "give one objective"),
        (["conv1_1:0", "--backbone", "vgg19=none.pth"], 5, "none.pth"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_made(
    cli: Callable[..., Ran], words: list[str], code: int, error: str
) -> None:
    Path("taken.png").write_bytes(b"mine")
    Path("empty").mkdir()
    ran = cli("visualize", *words, *QUICK)
    assert ran.code == code
    assert error in ran.err
    assert "Traceback" not in ran.err
    assert sorted(path.name for path in Path().iterdir()) == ["empty", "taken.png"]


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
def test_ctrl_c_keeps_the_picture() -> None:
    command = [sys.executable, "-m", "vggapps", "visualize", "conv1_1:0-1", "--size", "32", "--steps", "100000"]
    with subprocess.Popen([*command, "-o", "kept.png", "--preview-every", "1"], stderr=subprocess.PIPE) as run:
        for _ in range(600):
            if Path("kept.preview.png").exists():
                break
            time.sleep(0.1)
        run.send_signal(2)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert b"keeping the picture" in err
    assert open_picture("kept.png").size[1] > 64
    assert len(json.loads(Path("kept.json").read_text())["tiles"]) == 2
    assert not Path("kept.preview.png").exists()
