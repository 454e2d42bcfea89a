"""Which pictures a command line means: folders with all below them, patterns, several styles, and what is left out."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Ran
from vggapps.cli.inputs import expand
from vggapps.image import read_settings, scan_folder

Cli = Callable[..., Ran]
QUICK = ("--size", 32, "--steps", 1)


@pytest.fixture
def here(town: Path) -> Path:
    """A folder with a tree of photos, too."""
    Path("town.jpg").unlink()
    for name in ("a.png", "2023/a.png", "2023/june/b.png", ".cache/c.png", "2023/@eaDir/d.png", "2023/.hidden.png"):
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("town.png", Path("photos", name))
    return town


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
    assert "photos: 2 other files are skipped (.txt, .cr2)" in ran.err
    assert "skipped" not in cli("stylize", "photos", "waves.png", *QUICK, "-o", "quiet/", "-q").err


def test_folders_that_link_in_circles_are_walked_once(here: Path) -> None:
    Path("photos/2023/back").symlink_to(here / "photos")
    Path("elsewhere").mkdir()
    shutil.copy("town.png", "elsewhere/e.png")
    Path("photos/linked").symlink_to(here / "elsewhere")
    found = [str(path) for path in scan_folder("photos").pictures]
    assert len(found) == len(set(found)) == 4
    assert "photos/linked/e.png" in found


def test_a_closed_folder_is_said(here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def closed(path: str) -> object:  # nothing is closed to root, whom containers run tests as
        if path == "photos/2023":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert "photos/2023: Permission denied" in cli("stylize", "photos", "waves.png", *QUICK).err


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
    rows = [row for line in cli(*command).out.splitlines() if "total" not in (row := json.loads(line))]
    assert len(rows) == 3
    if rows[0].get("output"):
        assert [Path(one["output"]).parent.parts[1:] for one in rows] == [(), ("2023",), ("2023", "june")]


def test_no_script_walks_folders_in_its_own_way() -> None:
    """Else what is hidden, or a system's own, would count as pictures there."""
    root = Path(__file__).parents[1]
    files = [file for folder in ("vggapps", "apps", "benchmarks") for file in (root / folder).rglob("*.py")]
    ways = re.compile(r"\.iterdir\(|\.rglob\(|os\.walk\(|os\.scandir\(|os\.listdir\(")
    own = {str(file.relative_to(root)) for file in files if ways.search(file.read_text())}
    # recipes, names like a missing one, fonts, names of class folders, shards, whether a folder is empty
    others = {"image/_recipe.py", "image/_opening.py", "image/_fonts.py", "weights/_labels.py"}
    others |= {"training/_parts.py", "training/_shards.py", "training/_start.py"}
    assert own == {f"vggapps/{name}" for name in others} | {"vggapps/image/_folders.py", "benchmarks/web.py"}


def test_a_data_set_and_a_table_see_the_same_pictures(here: Path, cli: Cli) -> None:
    from vggapps.datasets._dataset import list_pictures

    shutil.move("photos", "data")
    listing = list_pictures("data")
    assert [(str(entry.path), entry.word) for entry in listing.entries] == [
        ("data/2023/a.png", "2023"),
        ("data/2023/june/b.png", "2023"),
    ]
    assert listing.notes == ("1 pictures beside the class folders are left out: they belong to no class",)
    assert "3 rows" in cli("extract", "data", "--layer", "relu1_1", "-o", "f.npy").err


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
    assert "skipped inputs that are results of vggapps in" in again.err
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
    assert "2 of 3 results exist and are skipped" in ran.err
    assert Path(made[0]).stat().st_mtime_ns == before
    assert (cli(*words).code, cli(*words).out) == (0, "")


def test_skip_existing_tells_pictures_of_one_name_apart(here: Path, cli: Cli) -> None:
    with Image.open("town.png") as town:
        town.save("photos/a.jpg")
    words = ("stylize", "photos/*.*", "waves.png", *QUICK, "-o", "painted/", "--skip-existing")
    assert len(cli(*words).out.split()) == 2
    assert cli(*words).out == ""


def test_what_was_stopped_early_is_made_again(here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import vggapps.cli.runs as room

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
