"""``vggapps stylize`` as people and programs use it; the real network, on tiny pictures."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import Ran
from vggapps.image import read_settings

Cli = Callable[..., Ran]
QUICK = ("--size", 32, "--steps", 2)


def size(picture: str | io.BytesIO) -> tuple[int, int]:
    with Image.open(picture) as image:
        image.load()
        return image.size


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo and a style, which is the current one."""
    monkeypatch.chdir(tmp_path)
    for name, (width, height), seed in (("town", (48, 36), 1), ("waves", (40, 40), 2)):
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(f"{name}.png")
    return tmp_path


def test_the_default_name_says_what_it_is_and_never_destroys(here: Path, cli: Cli) -> None:
    first = cli("stylize", "town.png", "waves.png", *QUICK)
    assert (first.code, first.out) == (0, "town_by_waves.png\n")
    assert cli("stylize", "town.png", "waves.png", *QUICK).out == "town_by_waves-2.png\n"
    assert size("town_by_waves.png") == (32, 24)


def test_progress_goes_to_stderr_and_quiet_says_nothing(here: Path, cli: Cli) -> None:
    assert "100 %, step 2 of 2" in cli("stylize", "town.png", "waves.png", *QUICK).err
    assert cli("stylize", "town.png", "waves.png", *QUICK, "-q").err == ""


def test_an_existing_output_is_refused_before_work_unless_forced(here: Path, cli: Cli) -> None:
    Path("out.png").write_bytes(b"precious")
    refused = cli("stylize", "town.png", "waves.png", *QUICK, "-o", "out.png")
    assert refused.code == 4
    assert "out.png" in refused.err
    assert "--force" in refused.err
    assert Path("out.png").read_bytes() == b"precious"
    assert cli("stylize", "town.png", "waves.png", *QUICK, "-o", "out.png", "--force").code == 0
    assert size("out.png") == (32, 24)


@pytest.mark.parametrize("victim", ["town.png", "waves.png"])
def test_an_input_is_never_overwritten_even_with_force(here: Path, cli: Cli, victim: str) -> None:
    before = Path(victim).read_bytes()
    assert cli("stylize", "town.png", "waves.png", *QUICK, "-o", victim, "--force").code == 2
    assert Path(victim).read_bytes() == before


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tiff", "png"])
def test_the_picture_carries_its_settings_but_no_folders(here: Path, cli: Cli, suffix: str) -> None:
    out = f"result.{suffix}"
    assert cli("stylize", here / "town.png", here / "waves.png", *QUICK, "--strength", 0.7, "-o", out).code == 0
    made = read_settings(out)
    assert made is not None
    assert made["settings"]["strength"] == 0.7
    assert made["settings"]["size"] == 32
    assert made["inputs"]["content"][0]["name"] == "town.png"
    assert str(here) not in json.dumps(made)


def test_a_picture_can_be_made_again_from_itself(here: Path, cli: Cli) -> None:
    cli("stylize", "town.png", "waves.png:2", *QUICK, "--strength", 0.7, "-o", "one.png")
    assert cli("stylize", "--settings", "one.png", "-o", "two.png").code == 0
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()
    assert cli("stylize", "--settings", "one.png", "-o", "one.png", "--force").code == 2
    changed = cli("stylize", "--settings", "one.png", "--strength", 0.2, "--json", "-o", "three.png")
    assert json.loads(changed.out)["settings"]["strength"] == 0.2
    assert json.loads(changed.out)["settings"]["size"] == 32
    Path("town.png").unlink()
    gone = cli("stylize", "--settings", "one.png")
    assert gone.code == 3
    assert "town.png" in gone.err


def test_settings_of_a_picture_without_any_are_an_error(here: Path, cli: Cli) -> None:
    ran = cli("stylize", "--settings", "town.png")
    assert ran.code == 3
    assert "has no vggapps settings" in ran.err


def test_json_is_one_object_a_picture(here: Path, cli: Cli) -> None:
    Path("photos").mkdir()
    for name in "ab":
        Path(f"photos/{name}.png").write_bytes(Path("town.png").read_bytes())
    ran = cli("stylize", "photos", "waves.png", *QUICK, "--json", "-o", "painted/")
    objects = [json.loads(line) for line in ran.out.splitlines()]
    assert [o["output"] for o in objects] == ["painted/a_by_waves.png", "painted/b_by_waves.png"]
    for o in objects:
        assert o["size"] == [32, 24]
        assert o["interrupted"] is False
        assert sum(o["terms"].values()) == pytest.approx(o["loss"], rel=1e-4)


def test_a_broken_picture_in_a_folder_is_reported_and_the_rest_goes_on(here: Path, cli: Cli) -> None:
    Path("photos").mkdir()
    Path("photos/broken.jpg").write_text("no picture")
    Path("photos/good.png").write_bytes(Path("town.png").read_bytes())
    ran = cli("stylize", "photos", "waves.png", *QUICK)
    assert ran.code == 1
    assert ran.out == "good_by_waves.png\n"
    assert "broken.jpg" in ran.err
    assert "1 of 2 pictures failed" in ran.err


def test_patterns_are_expanded_for_shells_that_do_not(here: Path, cli: Cli) -> None:
    Path("town2.png").write_bytes(Path("town.png").read_bytes())
    assert cli("stylize", "town*.png", "waves.png", *QUICK).out.split() == [
        "town_by_waves.png",
        "town2_by_waves.png",
    ]


def test_pictures_of_one_name_do_not_overwrite_each_other(here: Path, cli: Cli) -> None:
    Path("photos").mkdir()
    for name in ("a.png", "a.jpg"):
        with Image.open("town.png") as town:
            town.save(f"photos/{name}")
    assert sorted(cli("stylize", "photos", "waves.png", *QUICK).out.split()) == ["a_by_waves-2.png", "a_by_waves.png"]


def test_stdin_and_stdout(here: Path) -> None:
    command = [sys.executable, "-m", "vggapps", "stylize", "-", "waves.png", "--size", "32", "--steps", "2", "-o", "-"]
    ran = subprocess.run(command, input=Path("town.png").read_bytes(), capture_output=True, check=True)
    assert size(io.BytesIO(ran.stdout)) == (32, 24)


def test_a_preview_is_written_on_the_way_and_goes_at_the_end(
    here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    import vggapps.cli.runs as room

    there: list[list[str]] = []

    def looking(steps: Iterator[object], *_: object, **__: object) -> Iterator[object]:
        for step in steps:
            yield step
            there.append(sorted(path.name for path in here.glob("out*")))

    monkeypatch.setattr(room, "watched", looking)
    cli("stylize", "town.png", "waves.png", "--size", 32, "--steps", 4, "--preview-every", 2, "-o", "out.png")
    assert there == [[], ["out.preview.png"], ["out.preview.png"], ["out.preview.png"]]
    assert size("out.png") == (32, 24)
    assert not Path("out.preview.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["town.png"], 2, "at least one style"),
        (["no.png", "waves.png"], 3, "no.png"),
        (["town.png", "no.png"], 3, "no.png"),
        (["town.png", "waves.png", "--style-layers", "relu1_1,relu41"], 2, "did you mean 'relu4_1'"),
        (["town.png", "waves.png", "--backbone", "vgg91"], 2, "did you mean 'vgg19'"),
        (["town.png", "waves.png", "--device", "cuda:99"], 2, "no cuda:99 device"),
        (["town.png", "waves.png", "--strength", "1.5"], 2, "less than or equal to 1"),
        (["town.png", "waves.png", "--steps", "0"], 2, "greater than or equal to 1"),
        (["town.png", "waves.png:-1"], 2, "weights must be positive"),
        (["town.png", "waves.png:nan"], 2, "weights must be positive"),
        (["town.png", "waves.png:inf"], 2, "weights must be positive"),
        (["town.png", "waves.png", "-o", "out.xyz"], 2, ".png"),
        (["town.png", "waves.png", "-o", "no/such/out.png"], 3, "no/such"),
        (["town.png", "waves.png", "--backbone", "vgg19=no.pth"], 5, "no.pth"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_an_exit_code(
    here: Path, cli: Cli, arguments: list[str], code: int, words: str
) -> None:
    ran = cli("stylize", *arguments)
    assert ran.code == code, ran.err
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert sorted(p.name for p in here.iterdir()) == ["town.png", "waves.png"]


def test_very_verbose_shows_the_traceback(here: Path, cli: Cli) -> None:
    assert "Traceback" in cli("stylize", "no.png", "waves.png", "-vv").err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_keeps_the_picture_so_far(here: Path, number: signal.Signals, code: int) -> None:
    command = [sys.executable, "-m", "vggapps", "stylize", "town.png", "waves.png", "--size", "96", "--steps", "5000"]
    child = subprocess.Popen(
        [*command, "--preview-every", "1", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    preview = Path("town_by_waves.preview.png")
    while not preview.exists() and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert child.returncode == code, err
    assert json.loads(out)["interrupted"] is True
    assert size("town_by_waves.png") == (96, 72)  # as was asked, at whatever scale it was stopped
    assert not preview.exists()
    assert "Traceback" not in err


def test_a_run_that_breaks_keeps_the_last_good_picture(here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import vggapps.style._score as score

    calls = 0

    def rough(image: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return image.sum() * (float("nan") if calls == 3 else 0.0)

    monkeypatch.setattr(score, "total_variation", rough)
    ran = cli("stylize", "town.png", "waves.png", "--size", 32, "--steps", 9, "-o", "out.png", "-q")
    assert ran.code == 1
    assert "step 3 of 9 (tv)" in ran.err
    assert "saved the picture after step 2 of 9" in ran.err
    assert size("out.png") == (32, 24)


def test_help_shows_every_setting_and_examples_that_parse(cli: Cli) -> None:
    ran = cli("stylize", "--help")
    assert ran.code == 0
    for word in ("--strength", "--style-size", "--colors", "--settings", "--preview-every", "Examples"):
        assert word in ran.out


@pytest.mark.parametrize(
    "words",
    [
        ("waves.png:nan",),
        ("waves.png:inf",),
        ("waves.png:-1",),
        ("waves.png", "--style-layers", "relu1_1:inf"),
        ("waves.png", "--content-layers", ","),
        ("waves.png", "--seed", 2**63),
        ("waves.png", "--seed", "99999999999999999999999", "--init", "noise"),
        ("waves.png", "--size", 0),
        ("waves.png", "--size", -1),
        ("waves.png", "--size", 40000),
        ("waves.png", "--size", "12.5"),
        ("waves.png", "--size", "huge"),
        ("waves.png", "--size", "1000x"),
    ],
)
def test_numbers_that_make_no_sense_are_told_with_exit_code_2(here: Path, cli: Cli, words: tuple[object, ...]) -> None:
    ran = cli("stylize", "town.png", *words)
    assert ran.code == 2, ran.err
    assert "bug in vggapps" not in ran.err
    assert not Path("town_by_waves.png").exists()


@pytest.mark.parametrize(
    ("word", "pixels"), [("original", (48, 36)), ("2x", (96, 72)), ("0.75x", (36, 27)), ("64", (64, 48))]
)
def test_a_size_may_be_relative_to_the_photos_and_the_recipe_keeps_the_word(
    here: Path, cli: Cli, word: str, pixels: tuple[int, int]
) -> None:
    assert cli("stylize", "town.png", "waves.png", "--size", word, "--steps", 1, "-o", "out.png").code == 0
    assert size("out.png") == pixels
    made = read_settings("out.png")
    assert made is not None
    assert made["settings"]["size"] == (int(word) if word.isdigit() else word)  # type: ignore[index]
    assert cli("stylize", "--settings", "out.png", "-o", "again.png").code == 0
    assert size("again.png") == pixels
