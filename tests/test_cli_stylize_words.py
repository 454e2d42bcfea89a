"""What the words of ``vggapps stylize`` mean: several styles, formats, folders to write into, streams, addresses."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from tests.conftest import Ran
from vggapps.image import open_picture, read_settings

Cli = Callable[..., Ran]
QUICK = ("--size", 32, "--steps", 1)


# Styles


def test_many_styles_without_weights_are_perhaps_not_meant_as_a_mixture(town: Path, cli: Cli) -> None:
    for name in "cdefg":
        shutil.copy("waves.png", f"{name}.png")
    ran = cli("stylize", "town.png", *(f"{name}.png" for name in "cdefg"), *QUICK)
    assert ran.code == 0
    assert "mixing 5 styles" in ran.err
    assert "mixture" not in cli("stylize", "town.png", "c.png", "d.png", *QUICK).err


@pytest.mark.parametrize("words", [["styles"], ["styles/c.png", "styles/d.png", "--each-style"]])
def test_one_photo_in_each_of_many_styles(town: Path, cli: Cli, words: list[str]) -> None:
    Path("styles").mkdir()
    for name in "cd":
        shutil.copy("waves.png", f"styles/{name}.png")
    ran = cli("stylize", "town.png", *words, *QUICK, "-o", "made/")
    assert ran.out.split() == ["made/town_by_c.png", "made/town_by_d.png"]
    recipe = read_settings("made/town_by_c.png")
    assert recipe is not None
    assert [style["name"] for style in recipe["inputs"]["styles"]] == ["c.png"]  # type: ignore[index]


def test_weights_of_styles_that_are_not_mixed_are_refused(town: Path, cli: Cli) -> None:
    ran = cli("stylize", "town.png", "waves.png:0.7", "--each-style", *QUICK)
    assert ran.code == 2
    assert "a weight has no effect" in ran.err


# How it is written


def test_the_format_of_default_names(town: Path, cli: Cli) -> None:
    ran = cli("stylize", "town.*", "waves.png", *QUICK, "--format", "jpg", "-o", "made/")
    assert ran.out.split() == ["made/town_by_waves.jpg", "made/town_by_waves-2.jpg"]
    assert {Path(name).read_bytes()[:3] for name in ran.out.split()} == {b"\xff\xd8\xff"}
    ran = cli("stylize", "town.png", "waves.png", *QUICK, "--format", "jpg", "-o", "x.png")
    assert ran.code == 2
    assert "contradict" in ran.err


def test_sixteen_bits_from_the_command_line(town: Path, cli: Cli) -> None:
    assert cli("stylize", "town.png", "waves.png", *QUICK, "--bits", 16, "-o", "deep.png").code == 0
    assert Path("deep.png").read_bytes()[24] == 16  # the depth in PNG's header
    ran = cli("stylize", "town.png", "waves.png", *QUICK, "--bits", 16, "-o", "deep.jpg")
    assert (ran.code, "16 in PNG and TIFF" in ran.err) == (2, True)


def test_the_quality_of_a_jpeg(town: Path, cli: Cli) -> None:
    sizes = []
    for quality in (10, 90):
        name = f"{quality}.jpg"
        assert cli("stylize", "town.png", "waves.png", *QUICK, "--jpeg-quality", quality, "-o", name).code == 0
        sizes.append(Path(name).stat().st_size)
    assert sizes[0] < sizes[1]
    ran = cli("stylize", "town.png", "waves.png", *QUICK, "--jpeg-quality", 90)  # a PNG has none
    assert (ran.code, "has no quality" in ran.err) == (2, True)


def test_a_photos_author_is_carried_unless_stripped(town: Path, cli: Cli) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Berenice Abbott"
    with Image.open("town.png") as picture:
        picture.save("photo.jpg", exif=exif, dpi=(300, 300))
    for command in (("stylize", "photo.jpg", "waves.png"), ("dream", "photo.jpg", "--objective", "relu1_1")):
        assert cli(*command, *QUICK, "-o", f"{command[0]}.png").code == 0
        carried = open_picture(f"{command[0]}.png").metadata
        assert carried is not None
        assert (carried.artist, carried.dpi) == ("Berenice Abbott", pytest.approx((300, 300), abs=0.1))
        assert cli(*command, *QUICK, "--strip", "-o", f"{command[0]}.png", "--force").code == 0
        assert open_picture(f"{command[0]}.png").metadata is None


def test_what_a_format_has_no_room_for_is_told_before_the_work(town: Path, cli: Cli) -> None:
    for number in range(700):
        Path(f"{number}.png").symlink_to("waves.png")
    styles = [f"{number}.png" for number in range(700)]
    for words, told in (
        (["waves.png", "--size", 20000, "-o", "out.webp"], "WEBP holds at most 16383 per side"),
        ([*styles, *QUICK, "-o", "out.jpg"], "JPEG holds at most"),
    ):
        ran = cli("stylize", "town.png", *words)
        assert ran.code == 2, ran.err
        assert told in ran.err
        assert "100 %" not in ran.err


@pytest.mark.parametrize("name", ["result", "result.v2"])
def test_a_folder_that_is_not_there_yet_needs_its_slash(town: Path, cli: Cli, name: str) -> None:
    ran = cli("stylize", "town.png", "waves.png", *QUICK, "-o", name)
    assert ran.code == 2
    assert f"{name}/" in ran.err


# Streams


def test_a_picture_is_not_written_to_a_terminal(town: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    ran = cli("stylize", "town.png", "waves.png", *QUICK, "-o", "-")
    assert ran.code == 2
    assert "redirect it" in ran.err


@pytest.mark.parametrize("command", ["stylize - waves.png", "stylize town.png -", "dream -", "invert -", "explain -"])
def test_pictures_come_from_stdin_too(town: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
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
def test_addresses_are_not_read(town: Path, cli: Cli, words: list[str]) -> None:
    ran = cli("stylize", *words, *QUICK)
    assert ran.code == 3
    assert "://example.org" in ran.err
    assert "download" in ran.err


def test_settings_are_not_read_from_stdin(town: Path, cli: Cli) -> None:
    ran = cli("stylize", "town.png", "--settings", "-")
    assert (ran.code, "takes a file" in ran.err) == (2, True)


def test_pipes_named_as_files_are_read_once(town: Path, cli: Cli) -> None:
    """As by ``<(cat town.png)``; commands that look twice must not wait for a second picture."""
    for command in (
        ["stylize", "PIPE", "waves.png", *QUICK],
        ["stylize", "town.png", "PIPE", *QUICK],
        ["dream", "PIPE", *QUICK, "--octaves", 1, "--objective", "relu1_1"],
        ["explain", "PIPE", "--method", "gradient", "--class", 0],
        ["localize", "PIPE", "--class", 0, "-o", "found.png"],
        ["similar", "PIPE", town, "--layer", "relu1_1", "-o", "alike.png"],
    ):
        reading, writing = os.pipe()
        data = Path("town.png").read_bytes()  # 5 kB, which a pipe holds
        os.write(writing, data)
        os.close(writing)
        ran = cli(*(f"/dev/fd/{reading}" if word == "PIPE" else word for word in command))
        os.close(reading)
        assert ran.code == 0, (command, ran.err)


@pytest.mark.parametrize("size", [(3000, 2), (2000, 40), (2, 300)])
def test_the_size_that_narrow_pictures_are_told_works(town: Path, cli: Cli, size: tuple[int, int]) -> None:
    Image.new("RGB", size, "teal").save("narrow.png")
    ran = cli("stylize", "narrow.png", "waves.png", *QUICK)
    assert ran.code == 2
    needed = int(ran.err.split("use a --size of at least ")[1].split()[0])
    # The shorter side has the 16 pixels of one position of relu5_1, and with one pixel less it has not.
    shorter = [round(longer * min(size) / max(size)) for longer in (needed - 1, needed)]
    assert shorter[0] < 16 <= shorter[1]
    if needed < 1000:
        assert cli("stylize", "narrow.png", "waves.png", "--size", needed, "--steps", 1).code == 0
