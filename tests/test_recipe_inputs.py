"""A picture is made again from the very files that it was made from, or it is said which one is not there."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Ran
from vggapps.errors import PictureError
from vggapps.image import _recipe as recipes
from vggapps.image import read_settings
from vggapps.image._identity import Identity, identify, opened
from vggapps.image._recipe import find_input, identify_files, with_files
from vggapps.style._recipe import differences, machine, machine_of, read_recipe, recipe
from vggapps.style._settings import StylizeSettings

Cli = Callable[..., Ran]
QUICK = ("--size", 32, "--steps", 2)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux are file names any bytes")


def picture(path: str | Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (36, 48, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return Path(path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the current one, with a project in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    Path("project").mkdir()
    for seed, name in enumerate(("town.png", "waves.png", "start.png")):
        picture(f"project/{name}", seed)
    return tmp_path


def made(path: str) -> dict[str, Any]:
    found: Any = read_settings(path)
    return found


def test_every_input_has_its_name_and_digest_and_no_folder(here: Path, cli: Cli) -> None:
    words = ("project/town.png", "project/waves.png:0.5", "project/start.png:2", "--init", here / "project/start.png")
    assert cli("stylize", *words, *QUICK, "-o", "out.png").code == 0
    found = made("out.png")
    entries = [*found["inputs"]["content"], *found["inputs"]["styles"], *found["inputs"]["init"]]
    assert [entry["name"] for entry in entries] == ["town.png", "waves.png", "start.png", "start.png"]
    for entry in entries:
        data = (Path("project") / entry["name"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    assert str(here) not in json.dumps(found)
    assert "project" not in json.dumps(found)


def test_the_start_is_found_beside_the_picture_and_another_of_its_name_is_not_taken(here: Path, cli: Cli) -> None:
    words = ("project/town.png", "project/waves.png", "--init", "project/start.png")
    cli("stylize", *words, *QUICK, "-o", "project/out.png")
    picture("start.png", 99)  # somebody else's, in the current folder
    assert cli("stylize", "--settings", "project/out.png", "-o", "again.png").code == 0
    assert Path("again.png").read_bytes() == Path("project/out.png").read_bytes()
    Path("project/start.png").unlink()
    gone = cli("stylize", "--settings", "project/out.png", "-o", "third.png")
    assert gone.code == 3
    assert gone.err == ("error: start.png has changed since project/out.png was made from it\nhint: give --init\n")
    assert cli("stylize", "--settings", "project/out.png", "--init", "start.png", "-o", "third.png").code == 0


def test_a_photo_alone_gets_the_recipes_styles(here: Path, cli: Cli) -> None:
    cli("stylize", "project/town.png", "project/waves.png:2", "project/start.png:1", *QUICK, "-o", "project/out.png")
    picture("cat.png", 5)
    assert cli("stylize", "cat.png", "--settings", "project/out.png", "-o", "cat2.png").code == 0
    found, before = made("cat2.png"), made("project/out.png")
    assert found["inputs"]["content"][0]["name"] == "cat.png"
    assert found["inputs"]["styles"] == before["inputs"]["styles"]
    assert found["settings"] == before["settings"]


@pytest.mark.parametrize("name", ["town.png", "waves.png"])
def test_a_changed_input_is_told_as_changed_and_a_missing_one_as_missing(here: Path, cli: Cli, name: str) -> None:
    cli("stylize", "project/town.png", "project/waves.png", *QUICK, "-o", "project/out.png")
    picture(f"project/{name}", 77)
    ran = cli("stylize", "--settings", "project/out.png")
    assert (ran.code, ran.err.splitlines()[0]) == (
        3,
        f"error: {Path('project') / name} has changed since project/out.png was made from it",
    )
    Path(f"project/{name}").unlink()
    ran = cli("stylize", "--settings", "project/out.png")
    assert (ran.code, ran.err.splitlines()[0]) == (
        3,
        f"error: project/out.png was made from {name}, which is neither here nor beside it",
    )


@pytest.mark.parametrize("change", ["deleted", "replaced"])
def test_what_becomes_of_a_style_during_a_run_changes_no_recipe(
    here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    import vggapps.style._transfer as transfer

    digest = hashlib.sha256(Path("project/waves.png").read_bytes()).hexdigest()
    load = transfer.load_backbone

    def meanwhile(settings: StylizeSettings) -> object:
        Path("project/waves.png").unlink() if change == "deleted" else picture("project/waves.png", 8)
        return load(settings)

    monkeypatch.setattr(transfer, "load_backbone", meanwhile)
    assert cli("stylize", "project/town.png", "project/waves.png", *QUICK, "-o", "out.png").code == 0
    assert made("out.png")["inputs"]["styles"] == [{"name": "waves.png", "sha256": digest, "weight": 1.0}]


@LINUX
def test_names_that_are_not_utf8_cost_no_picture_and_are_found_again(here: Path, cli: Cli) -> None:
    names = [os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"\xff\xfe \xc3.png")]
    for seed, name in enumerate(names):
        picture(name, seed)
    assert cli("stylize", *names, "--init", names[1], *QUICK, "-q", "-o", "out.png").code == 0
    found = made("out.png")
    assert found["inputs"]["content"][0]["name"] == r"caf\xe9.png"
    assert found["inputs"]["styles"][0]["name"] == found["inputs"]["init"][0]["name"] == r"\xff\xfe \xc3.png"
    assert cli("stylize", "--settings", "out.png", "-q", "-o", "again.png").code == 0
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()


@LINUX
@pytest.mark.parametrize("command", [["dream", "--size", 32, "--steps", 1, "--octaves", 1, "-q"], ["explain", "-q"]])
def test_other_pictures_with_settings_inside_take_such_names_too(here: Path, cli: Cli, command: list[Any]) -> None:
    name = picture(os.fsdecode(b"caf\xe9.png"), 1)
    assert cli(command[0], name, *command[1:], "-o", "out.png").code == 0
    assert made("out.png")["inputs"]["images"][0]["name"] == r"caf\xe9.png"


def test_what_came_through_a_pipe_has_a_digest_but_can_not_be_found() -> None:
    data, identity = opened(b"bytes")
    assert (data, identity) == (b"bytes", Identity("stdin", hashlib.sha256(b"bytes").hexdigest()))
    with pytest.raises(PictureError, match=r"made\.png was made from piped input"):
        find_input(identity, "made.png", "")


def test_a_recipe_without_digests_and_machine_says_that_it_can_not_be_sure(
    here: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, unknown = StylizeSettings(init="start.png"), {"init": (Identity("start.png", None),)}
    old = recipe(settings, Identity("town.png", None), [(Identity("waves.png", None), 1.0)], unknown)
    del old["machine"]
    monkeypatch.setattr(recipes, "read_settings", lambda _: old)
    found = read_recipe("project/old.png")
    assert with_files(settings, found).init == str(Path("project/start.png"))
    assert "has no digest of start.png" in caplog.text
    assert differences(machine_of(found), StylizeSettings()) == []


def test_weights_from_a_file_are_noted_and_names_of_weights_are_not(here: Path) -> None:
    Path("own.pth").write_bytes(b"weights")
    found = identify_files(StylizeSettings(backbone=f"vgg19={here / 'own.pth'}"))
    assert found == {"backbone": (Identity("own.pth", hashlib.sha256(b"weights").hexdigest()),)}
    assert identify_files(StylizeSettings(backbone="vgg19-installed", init="noise")) == {}
    assert find_input(found["backbone"][0], "project/made.png", "") == "own.pth"


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "nothing\ud800.png", "project", r"a\xe9.png"])
def test_names_that_no_file_can_have_are_missing(here: Path, name: str) -> None:
    with pytest.raises(PictureError, match="neither here nor beside it"):
        find_input(Identity(name, "0" * 64), "made.png", "")


def test_where_a_machine_differs_is_told_and_only_there() -> None:
    settings = StylizeSettings(device="cpu", dtype="float32")
    then = machine(settings)
    assert set(then) == {"torch", "device", "threads", "dtype"}
    assert differences(then, settings) == []
    assert differences(then | {"threads": 64}, settings) == [
        f"made with threads: 64, now {then['threads']}: expect small differences"
    ]
    assert differences(then, replace(settings, dtype="bfloat16")) == [
        "made in float32, now bfloat16: expect small differences"
    ]


def test_the_note_comes_with_settings(
    here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cli("stylize", "project/town.png", "project/waves.png", *QUICK, "-o", "project/out.png")
    cli("stylize", "--settings", "project/out.png")
    assert "expect" not in caplog.text
    monkeypatch.setattr("torch.get_num_threads", lambda: 77)
    cli("stylize", "--settings", "project/out.png")
    assert "now 77: expect small differences" in caplog.text
    caplog.clear()
    cli("stylize", "--settings", "project/out.png", "--quiet")
    assert caplog.text == ""


def test_where_the_photo_is_gone_another_alone_is_enough(here: Path, cli: Cli) -> None:
    """The hint is true."""
    cli("stylize", "project/town.png", "project/waves.png", *QUICK, "-o", "project/out.png")
    Path("project/town.png").unlink()
    gone = cli("stylize", "--settings", "project/out.png")
    assert gone.err.splitlines()[1] == "hint: give CONTENT on the command line"
    assert cli("stylize", "project/start.png", "--settings", "project/out.png").code == 0


def test_identify_tells_of_a_file_that_is_not_there(here: Path) -> None:
    with pytest.raises(PictureError, match="there is no such file"):
        identify("no.png")
