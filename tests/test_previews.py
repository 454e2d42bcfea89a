"""Previews and frames of a run: seen on the way, and never in the way of a user's file."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from vggapps.image import size_of

Cli = Callable[..., Ran]
PAINT = ("stylize", "town.png", "waves.png", "--size", 32, "--steps", 1)


@pytest.mark.parametrize("role", ["photo", "style", "another file"])
def test_a_preview_never_touches_a_file_of_the_users(town: Path, cli: Cli, role: str) -> None:
    mine = Path("holiday.preview.png")
    shutil.copy("town.png", mine)
    before = mine.read_bytes()
    words = {"photo": [mine, "waves.png"], "style": ["town.png", mine], "another file": ["town.png", "waves.png"]}[role]
    ran = cli("stylize", *words, "--size", 32, "--steps", 3, "--preview-every", 1, "-o", "holiday.png")
    assert ran.code == 0, ran.err
    assert "the preview is holiday.preview-2.png" in ran.err
    assert mine.read_bytes() == before
    assert not Path("holiday.preview-2.png").exists()


def test_a_file_put_in_the_previews_place_is_left_alone(
    town: Path, cli: Cli, while_painting: Callable[..., None]
) -> None:
    preview = Path("out.preview.png")

    def swap() -> None:
        if preview.exists() and preview.read_bytes() != b"mine":
            preview.unlink()
            preview.write_bytes(b"mine")

    while_painting(swap)
    assert cli(*PAINT[:-1], 4, "--preview-every", 1, "-o", "out.png").code == 0
    assert preview.read_bytes() == b"mine"
    assert sorted(path.name for path in town.glob("out*")) == ["out.png", "out.preview.png"]


def test_a_preview_that_cannot_be_written_does_not_end_the_run(
    town: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vggapps.cli.previews.create", full)
    ran = cli(*PAINT[:-1], 3, "--preview-every", 1, "-o", "out.png")
    assert ran.code == 0, ran.err
    assert ran.err.count("no more previews") == 1
    assert Path("out.png").exists()


def test_frames_are_numbered_in_a_folder_of_their_own_and_of_one_size(town: Path, cli: Cli) -> None:
    Path("out_frames").mkdir()
    Path("out_frames/00001.png").write_bytes(b"mine")
    ran = cli("stylize", "town.png", "waves.png", "--size", 128, "--steps", 6, "--frames-every", 2, "-o", "out.png",
              "--json")  # fmt: skip
    assert json.loads(ran.out)["frames"] == "out_frames-2"
    frames = sorted(Path("out_frames-2").iterdir())
    assert [frame.name for frame in frames] == ["00001.png", "00002.png", "00003.png"]
    assert {size_of(frame) for frame in frames} == {(96, 128)}
    assert Path("out_frames/00001.png").read_bytes() == b"mine"
    assert cli(*PAINT, "--frames-every", 1, "-o", "-").code == 2
