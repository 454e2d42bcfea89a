"""Which pictures a command line means: folders with all below them, patterns, several styles, and what is left out."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Ran
from vggapps.cli.inputs import expand
from vggapps.image import look_into, read_settings

Cli = Callable[..., Ran]
QUICK = ("--size", 32, "--steps", 1)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo, a style and a tree of photos, which is the current one."""
    monkeypatch.chdir(tmp_path)
    for name, seed in (("town.png", 1), ("waves.png", 2)):
        pixels = np.random.default_rng(seed).integers(0, 256, (36, 48, 3), np.uint8)
        Image.fromarray(pixels).save(name)
    for name in ("a.png", "2023/a.png", "2023/june/b.png", ".cache/c.png", "2023/@eaDir/d.png", "2023/.hidden.png"):
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("town.png", Path("photos", name))
    return tmp_path


def paths(*words: str) -> list[str]:
    return [found.path for found in expand(words, quiet=True)]


# Folders and patterns


def test_a_folder_means_all_below_it_but_what_is_hidden(here: Path) -> None:
    assert paths("photos") == ["photos/a.png", "photos/2023/a.png", "photos/2023/june/b.png"]


def test_results_keep_the_folders_structure(here: Path, cli: Cli) -> None:
    ran = cli("stylize", "photos", "waves.png", *QUICK, "-o", "painted/")
    assert ran.out.split() == [
        "painted/a_by_waves.png",
        "painted/2023/a_by_waves.png",
        "painted/2023/june/b_by_waves.png",
    ]
    assert all(map(os.path.exists, ran.out.split()))


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("photos/*.png", ["photos/a.png"]),
        ("photos/*/*.png", ["photos/2023/a.png"]),
        ("photos/**/*.png", ["photos/2023/a.png", "photos/2023/june/b.png", "photos/a.png"]),
        ("photos/2023/**", ["photos/2023/a.png", "photos/2023/june/b.png"]),
    ],
)
def test_two_stars_mean_any_number_of_folders(here: Path, pattern: str, wanted: list[str]) -> None:
    assert paths(pattern) == wanted
    assert {found.below for found in expand([pattern])} <= {"", "2023", "2023/june", "june"}


@pytest.mark.parametrize("kind", ["ppm", "pgm", "tga", "bmp", "JPG", "gif"])
def test_every_kind_that_can_be_read_is_found_in_folders(here: Path, kind: str) -> None:
    with Image.open("town.png") as town:
        town.convert("L" if kind == "pgm" else "RGB").save(f"photos/2023/june/z.{kind}")
    assert f"photos/2023/june/z.{kind}" in paths("photos")


def test_what_is_left_out_is_said(here: Path, cli: Cli) -> None:
    Path("photos/notes.txt").write_text("mine")
    Path("photos/2023/raw.cr2").write_bytes(b"mine")
    Path("photos/Thumbs.db").write_bytes(b"the system's")
    ran = cli("stylize", "photos", "waves.png", *QUICK, "-o", "painted/")
    assert "photos: 2 other files are left out (.txt, .cr2)" in ran.err
    assert "left out" not in cli("stylize", "photos", "waves.png", *QUICK, "-o", "quiet/", "-q").err


def test_folders_that_link_in_circles_are_walked_once(here: Path) -> None:
    Path("photos/2023/back").symlink_to(here / "photos")
    Path("elsewhere").mkdir()
    shutil.copy("town.png", "elsewhere/e.png")
    Path("photos/linked").symlink_to(here / "elsewhere")
    found = [str(path) for path in look_into("photos").pictures]
    assert len(found) == len(set(found)) == 4
    assert "photos/linked/e.png" in found


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_closed_folder_is_said(here: Path, cli: Cli) -> None:
    Path("photos/2023").chmod(0)
    try:
        assert "photos/2023: Permission denied" in cli("stylize", "photos", "waves.png", *QUICK).err
    finally:
        Path("photos/2023").chmod(0o755)


@pytest.mark.parametrize(
    "command",
    [
        ("classify", "photos", "--backbone", "vgg19-gap", "--json"),
        ("localize", "photos", "--class", "0", "--json"),
        ("explain", "photos", "--method", "gradient", "--class", "0", "--json", "-o", "why/"),
        ("dream", "photos", "--objective", "relu1_1", *QUICK, "--octaves", "1", "--json", "-o", "dreams/"),
        ("invert", "photos", "--layer", "conv1_1", *QUICK, "--json", "-o", "inverted/"),
    ],
)
def test_every_command_that_takes_pictures_walks_folders_alike(here: Path, cli: Cli, command: tuple[object]) -> None:
    told = [json.loads(line) for line in cli(*command).out.splitlines()]
    assert len(told) == 3
    if "output" in told[0] and told[0]["output"]:
        assert [Path(one["output"]).parent.parts[1:] for one in told] == [(), ("2023",), ("2023", "june")]


def test_a_data_set_and_a_table_see_the_same_pictures(here: Path, cli: Cli) -> None:
    from vggapps.classify.dataset import list_pictures

    shutil.move("photos", "data")
    listing = list_pictures("data")
    assert [(str(entry.path), entry.word) for entry in listing.entries] == [
        ("data/2023/a.png", "2023"),
        ("data/2023/june/b.png", "2023"),
    ]
    assert listing.notes == ("1 pictures beside the class folders are left out: they belong to no class",)
    assert "3 rows" in cli("extract", "data", "--layer", "relu1_1", "-o", "f.npz").err


def test_compare_pairs_what_stands_at_the_same_place(here: Path, cli: Cli) -> None:
    shutil.copytree("photos", "made")
    Path("made/2023/june/b.png").unlink()
    lines = [
        json.loads(line) for line in cli("compare", "photos", "made", "--metric", "psnr", "--json").out.splitlines()
    ]
    assert [(one["a"], one["b"]) for one in lines[:-1]] == [
        ("photos/a.png", "made/a.png"),
        ("photos/2023/a.png", "made/2023/a.png"),
    ]
    assert lines[-1]["alone"] == ["photos/2023/june/b.png"]


# Going on


def test_results_in_the_output_folder_are_not_painted_again(here: Path, cli: Cli) -> None:
    first = cli("stylize", "photos", "waves.png", *QUICK, "-o", "photos/")
    assert len(first.out.split()) == 3
    again = cli("stylize", "photos", "waves.png", *QUICK, "-o", "photos/")
    assert "3 pictures that vggapps has made are left out" in again.err
    assert [Path(made).name for made in again.out.split()] == [
        "a_by_waves-2.png",
        "a_by_waves-2.png",
        "b_by_waves-2.png",
    ]
    # A result that is named, or lies elsewhere, is a picture as any other.
    assert cli("stylize", "photos/a_by_waves.png", "waves.png", *QUICK, "-o", "photos/").code == 0
    assert len(cli("stylize", "photos", "waves.png", *QUICK, "-o", "elsewhere/").out.split()) > 3


def test_skip_existing_makes_what_is_missing(here: Path, cli: Cli) -> None:
    words = ("stylize", "photos", "waves.png", *QUICK, "-o", "painted/", "--skip-existing")
    made = cli(*words).out.split()
    Path(made[1]).unlink()
    before = Path(made[0]).stat().st_mtime_ns
    ran = cli(*words)
    assert (ran.code, ran.out.split()) == (0, made[1:2])
    assert "2 of 3 results are there already and skipped" in ran.err
    assert Path(made[0]).stat().st_mtime_ns == before
    assert (cli(*words).code, cli(*words).out) == (0, "")


def test_skip_existing_tells_pictures_of_one_name_apart(here: Path, cli: Cli) -> None:
    with Image.open("town.png") as town:
        town.save("photos/a.jpg")
    words = ("stylize", "photos/*.*", "waves.png", *QUICK, "-o", "painted/", "--skip-existing")
    assert len(cli(*words).out.split()) == 2
    assert cli(*words).out == ""


def test_what_was_stopped_early_is_made_again(here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import vggapps.cli.drain as room

    watched = room.watched

    def stopping(steps: Iterator[object], *_: object, **__: object) -> Iterator[object]:
        yield next(steps)
        signal.raise_signal(signal.SIGINT)
        yield from steps

    words = ("stylize", "town.png", "waves.png", "--size", 32, "--steps", 5, "-o", "painted/", "--skip-existing")
    monkeypatch.setattr(room, "watched", stopping)
    stopped = cli(*words)
    assert stopped.code == 130
    recipe = read_settings("painted/town_by_waves.png")
    assert recipe is not None
    assert recipe["stopped"] == {"step": 2, "of": 5, "scale": [32, 24]}
    monkeypatch.setattr(room, "watched", watched)
    assert cli(*words).out == "painted/town_by_waves.png\n"
    assert "stopped" not in (read_settings("painted/town_by_waves.png") or {})
    assert cli(*words).out == ""


# Styles


def test_many_styles_without_weights_are_perhaps_not_meant_as_a_mixture(here: Path, cli: Cli) -> None:
    for name in "cdefg":
        shutil.copy("waves.png", f"{name}.png")
    ran = cli("stylize", "town.png", *(f"{name}.png" for name in "cdefg"), *QUICK)
    assert ran.code == 0
    assert "one photo in a mixture of 5 styles" in ran.err
    assert "mixture" not in cli("stylize", "town.png", "c.png", "d.png", *QUICK).err


@pytest.mark.parametrize("words", [["styles"], ["styles/c.png", "styles/d.png", "--each-style"]])
def test_one_photo_in_each_of_many_styles(here: Path, cli: Cli, words: list[str]) -> None:
    Path("styles").mkdir()
    for name in "cd":
        shutil.copy("waves.png", f"styles/{name}.png")
    ran = cli("stylize", "town.png", *words, *QUICK, "-o", "made/")
    assert ran.out.split() == ["made/town_by_c.png", "made/town_by_d.png"]
    recipe = read_settings("made/town_by_c.png")
    assert recipe is not None
    assert [style["name"] for style in recipe["styles"]] == ["c.png"]  # type: ignore[index]


def test_weights_of_styles_that_are_not_mixed_are_refused(here: Path, cli: Cli) -> None:
    ran = cli("stylize", "town.png", "waves.png:0.7", "--each-style", *QUICK)
    assert ran.code == 2
    assert "a weight has no effect" in ran.err


# How it is written


def test_the_format_of_default_names(here: Path, cli: Cli) -> None:
    ran = cli("stylize", "photos", "waves.png", *QUICK, "--format", "jpg", "-o", "made/")
    assert all(name.endswith("_by_waves.jpg") for name in ran.out.split())
    assert {Path(name).read_bytes()[:3] for name in ran.out.split()} == {b"\xff\xd8\xff"}
    ran = cli("stylize", "town.png", "waves.png", *QUICK, "--format", "jpg", "-o", "x.png")
    assert ran.code == 2
    assert "contradict" in ran.err


def test_sixteen_bits_from_the_command_line(here: Path, cli: Cli) -> None:
    assert cli("stylize", "town.png", "waves.png", *QUICK, "--bits", 16, "-o", "deep.png").code == 0
    assert Path("deep.png").read_bytes()[24] == 16  # the depth in PNG's header
    ran = cli("stylize", "town.png", "waves.png", *QUICK, "--bits", 16, "-o", "deep.jpg")
    assert (ran.code, "16 in PNG and TIFF" in ran.err) == (2, True)


@pytest.mark.parametrize("name", ["result", "result.v2"])
def test_a_folder_that_is_not_there_yet_needs_its_slash(here: Path, cli: Cli, name: str) -> None:
    ran = cli("stylize", "town.png", "waves.png", *QUICK, "-o", name)
    assert ran.code == 2
    assert f"{name}/" in ran.err


# Streams


def test_a_picture_is_not_written_to_a_terminal(here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    ran = cli("stylize", "town.png", "waves.png", *QUICK, "-o", "-")
    assert ran.code == 2
    assert "redirect it" in ran.err


@pytest.mark.parametrize("command", ["stylize - waves.png", "stylize town.png -", "dream -", "invert -", "explain -"])
def test_pictures_come_from_stdin_too(here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    class Stdin:
        buffer = io.BytesIO(Path("town.png").read_bytes())

    monkeypatch.setattr("sys.stdin", Stdin)
    more = {"stylize": [*QUICK], "dream": [*QUICK, "--octaves", 1], "invert": [*QUICK, "--layer", "conv1_1"]}
    name, *words = command.split()
    ran = cli(name, *words, *more.get(name, ["--method", "gradient", "--class", 0]))
    assert ran.code == 0, ran.err
    monkeypatch.setattr("sys.stdin", None)
    ran = cli(name, *words, *more.get(name, []))
    assert ran.code == 3
    assert "stdin is closed" in ran.err


@pytest.mark.parametrize(
    "words", [["https://example.org/a.jpg", "waves.png"], ["town.png", "http://example.org/b.jpg"]]
)
def test_addresses_are_not_read(here: Path, cli: Cli, words: list[str]) -> None:
    ran = cli("stylize", *words, *QUICK)
    assert ran.code == 3
    assert "://example.org" in ran.err
    assert "download" in ran.err
