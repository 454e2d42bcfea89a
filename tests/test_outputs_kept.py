"""Nothing is lost: whatever happens to names, folders and disks while a command runs, results and users' files stay."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from vggapps.cli import saving
from vggapps.image import read_settings

Cli = Callable[..., Ran]
PAINT = ("stylize", "town.png", "waves.png", "--size", 32, "--steps", 1)

# Every command that writes a file somebody names, and that file.
COMMANDS = {
    "stylize": ("stylize town.png waves.png --size 32 --steps 1 -o out.png", "out.png"),
    "dream": ("dream town.png --objective relu1_2 --size 32 --steps 1 --octaves 1 -o out.png", "out.png"),
    "film": ("dream town.png --objective relu1_2 --size 32 --steps 1 --octaves 1 --zoom 2 -o out.gif", "out.gif"),
    "invert": ("invert town.png --layer conv1_1 --size 32 --steps 1 -o out.png", "out.png"),
    "visualize": ("visualize conv1_1:0 --size 16 --steps 1 -o out.png", "out.png"),
    "list beside a sheet": ("visualize conv1_1:0-1 --size 16 --steps 1 -o out.png", "out.json"),
    "explain": ("explain town.png --method gradient --class 0 -o out.png", "out.png"),
    "maps": ("explain town.png --method gradient --class 0 -o why.png --raw out.npz", "out.npz"),
    "localize": ("localize town.png --class 0 -o out.png", "out.png"),
    "classify": ("classify town.png --backbone vgg19-gap --explain out.png", "out.png"),
    "compare, map": ("compare town.png town.jpg --metric perceptual --map out.png", "out.png"),
    "compare, table": ("compare town.png town.jpg --metric psnr --csv out.csv", "out.csv"),
    "activations": ("activations town.png --layer relu1_1 --channels 1 -o out.png", "out.png"),
    "exemplars": ("exemplars photos/ --layer conv1_1 --channel 1 --top 1 -o out.png", "out.png"),
    "exemplars, page": (
        "exemplars photos/ --layer conv1_1 --channel 1 --top 1 --steps 1 --size 16 --report out.html",
        "out.html",
    ),
    "atlas": (
        "atlas photos/ --layer conv1_1 --grid 1 --least 1 --layout pca --size 16 --steps 1 -o out.png",
        "out.png",
    ),
    "similar": ("similar town.png photos/ --layer relu1_1 --top 1 -o out.png", "out.png"),
    "extract": ("extract photos/ --layer relu1_1 -o out.npy", "out.npy"),
    "evaluate, table": ("evaluate data/ --backbone vgg19-gap --report out.csv", "out.csv"),
    "evaluate, plot": ("evaluate data/ --backbone vgg19-gap --confusion out.png", "out.png"),
}


@pytest.fixture
def here(town: Path) -> Path:
    """A folder of photos and a data set, too."""
    for folder in ("photos", "data/0"):
        Path(folder).mkdir(parents=True)
        for name in "abcd":
            shutil.copy("town.png", f"{folder}/{name}.png")
    return town


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Something that happens when a result is done and not yet written: ``meanwhile(file, event)``."""

    def arrange(file: str, event: Callable[[], object]) -> None:
        create = saving.create

        def late(path: Path, *args: object, **how: object) -> Path:
            if path == Path(file):
                event()
            return create(path, *args, **how)  # type: ignore[arg-type]

        monkeypatch.setattr(saving, "create", late)

    return arrange


@pytest.mark.parametrize("command", COMMANDS)
def test_an_existing_file_is_refused_before_the_work(here: Path, cli: Cli, command: str) -> None:
    words, file = COMMANDS[command]
    Path(file).write_bytes(b"mine")
    ran = cli(*words.split())
    assert ran.code == 4, ran.err
    assert file in ran.err
    assert Path(file).read_bytes() == b"mine"


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "extract"])
def test_a_file_that_appears_during_the_run_stays_and_the_result_is_kept_beside_it(
    here: Path, cli: Cli, meanwhile: Callable[..., None], command: str
) -> None:
    words, file = COMMANDS[command]
    meanwhile(file, lambda: Path(file).write_bytes(b"mine"))
    ran = cli(*words.split())
    assert ran.code == 4, ran.err
    assert Path(file).read_bytes() == b"mine"
    kept = Path(f"{Path(file).stem}-2{Path(file).suffix}")
    assert kept.stat().st_size > 0
    assert f"{file} exists; the result is kept as {kept}" in ran.err


def test_a_table_of_features_is_not_written_over_a_file_that_appears(
    here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vggapps.features import _extraction as extraction

    words, file = COMMANDS["extract"]
    writer_of = extraction.writer_of

    def late(target: Path) -> Callable[..., None]:
        def write(*args: object) -> None:
            writer_of(target)(*args)
            Path(file).write_bytes(b"mine")

        return write

    monkeypatch.setattr(extraction, "writer_of", late)
    assert cli(*words.split()).code == 4
    assert Path(file).read_bytes() == b"mine"
    monkeypatch.undo()
    monkeypatch.chdir(here)
    Path(file).unlink()
    assert "4 pictures from an earlier run" in cli(*words.split()).err  # the work is kept in out.npy.part


def test_default_names_take_the_next_number_at_the_last_moment(
    here: Path, cli: Cli, meanwhile: Callable[..., None]
) -> None:
    """Runs in parallel all plan one name, and each writes its own file."""
    meanwhile("town_by_waves.png", lambda: Path("town_by_waves.png").write_bytes(b"another run's"))
    ran = cli(*PAINT)
    assert (ran.code, ran.out) == (0, "town_by_waves-2.png\n")
    assert Path("town_by_waves.png").read_bytes() == b"another run's"


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_creating_never_replaces_on_any_file_system(here: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    from vggapps._files import write_file
    from vggapps.errors import OutputExistsError

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:  # FAT, some network folders
        monkeypatch.setattr(os, "link", refuse)
    assert write_file("new.bin", b"one").read_bytes() == b"one"
    with pytest.raises(OutputExistsError):
        write_file("new.bin", b"two")
    assert Path("new.bin").read_bytes() == b"one"
    assert write_file("new.bin", b"two", overwrite=True).read_bytes() == b"two"
    assert not list(here.glob(".vggapps*"))


# Folders and disks


def test_a_folder_that_is_removed_during_the_run_is_made_again(
    here: Path, cli: Cli, while_painting: Callable[..., None]
) -> None:
    Path("out").mkdir()
    while_painting(Path("out").rmdir)
    ran = cli(*PAINT, "-o", "out/x.png")
    assert (ran.code, ran.out) == (0, "out/x.png\n")
    assert Path("out/x.png").exists()


def test_where_the_folder_cannot_be_made_again_the_picture_is_kept_in_the_current_one(
    here: Path, cli: Cli, meanwhile: Callable[..., None]
) -> None:
    def unplugged() -> None:
        Path("out").rmdir()
        Path("out").write_text("a file where the folder was")

    Path("out").mkdir()
    meanwhile("out/x.png", unplugged)
    ran = cli(*PAINT, "-o", "out/x.png")
    assert (ran.code, ran.out) == (3, "x.png\n")
    assert "the result is kept as x.png" in ran.err
    assert read_settings("x.png") is not None


def test_a_full_disk_keeps_the_picture_among_the_temporary_files(
    here: Path, cli: Cli, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    write = saving.write_file

    def full(target: Path, *args: object, **how: object) -> Path:
        if elsewhere not in Path(target).parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(target, *args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(saving, "write_file", full)
    ran = cli(*PAINT)
    assert ran.code == 3
    assert "No space left on device" in ran.err
    assert "free space on the disk" in ran.err
    assert ran.out == f"{elsewhere}/town_by_waves.png\n"
    assert read_settings(elsewhere / "town_by_waves.png") is not None


def test_a_link_that_points_nowhere_yet_is_written_through(here: Path, cli: Cli) -> None:
    Path("shelf").mkdir()
    Path("link.png").symlink_to("shelf/real.png")
    assert cli(*PAINT, "-o", "link.png").code == 0
    assert Path("link.png").is_symlink()
    assert Path("shelf/real.png").exists()
    Path("lost.png").symlink_to("no/such/place.png")
    ran = cli(*PAINT, "-o", "lost.png")
    assert ran.code == 3
    assert "no/such" in ran.err


@pytest.mark.parametrize("name", ["loop.png", "a" * 300 + ".png", "null\0.png", "town.png/x.png", "pipe.png"])
def test_names_that_cannot_be_written_are_told_before_the_work(here: Path, cli: Cli, name: str) -> None:
    Path("loop.png").symlink_to("loop.png")
    os.mkfifo("pipe.png")
    ran = cli(*PAINT, "--force", "-o", name)
    assert ran.code == 3, ran.err
    assert "bug in vggapps" not in ran.err
    assert "100 %" not in ran.err


# Names


def test_long_names_are_cut_to_what_file_systems_take(here: Path, cli: Cli) -> None:
    long = "é" * 125  # 250 bytes and the suffix
    shutil.copy("town.png", f"{long}.png")
    for number in range(6):
        shutil.copy("waves.png", f"{'impression' * 5}-{number}.png")
    ran = cli("stylize", f"{long}.png", *sorted(Path().glob("impression*.png")), "--size", 32, "--steps", 1)
    assert ran.code == 0, ran.err
    made = ran.out.strip()
    assert Path(made).exists()
    assert len(os.fsencode(made)) <= 255
    assert made.startswith("éééé")
    again = cli("stylize", f"{long}.png", "waves.png", "--size", 32, "--steps", 2, "--preview-every", 1)
    assert again.code == 0, again.err


def test_names_that_are_not_utf8_are_painted_and_printed_as_they_are(here: Path, cli: Cli) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    for file in (name, f"style-{name}"):
        shutil.copy("town.png", file)
    for words in ((name, "waves.png"), ("town.png", f"style-{name}")):
        ran = cli("stylize", *words, "--size", 32, "--steps", 1, "--json", "-q")
        assert ran.code == 0, ran.err
        assert Path(json.loads(ran.out)["output"]).exists()


# Lists beside sheets


def test_force_replaces_a_list_of_vggapps_and_no_other_file_beside_the_sheet(here: Path, cli: Cli) -> None:
    words, _ = COMMANDS["list beside a sheet"]
    assert cli(*words.split()).code == 0
    assert cli(*words.split(), "--force").code == 0
    assert sorted(path.name for path in here.glob("out*")) == ["out.json", "out.png"]
    Path("out.json").write_text('{"my": "results"}')
    assert cli(*words.split(), "--force").code == 4
    assert json.loads(Path("out.json").read_text()) == {"my": "results"}
