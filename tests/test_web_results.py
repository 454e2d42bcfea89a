"""Results of the page: as they were made, where nobody guesses them, and gone with their visitor."""

from __future__ import annotations

import os
import re
import stat
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from vggapps.image import Picture, read_settings
from vggapps.web.files import KEPT_SECONDS, SHOWN, Results


@pytest.fixture
def room(tmp_path: Path) -> Path:
    return tmp_path / "room"


def noise(height: int = 30, width: int = 40) -> torch.Tensor:
    return torch.randint(256, (1, 3, height, width), generator=torch.Generator().manual_seed(1)) / 255


def test_each_run_has_a_folder_that_nobody_guesses_or_reads(room: Path) -> None:
    results = Results(room)
    folders = [results.run("ann").folder for _ in range(20)]
    assert len(set(folders)) == 20
    for folder in folders:
        assert folder.parent == room
        assert re.fullmatch(r"run-[0-9a-f]{32}", folder.name)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_of_previews_the_last_two_stay_and_of_the_rest_all(room: Path) -> None:
    files = Results(room).run("ann")
    result, side = Path(files.save(noise(), "result", {})), Path(files.thumbnail(noise()))
    previews = []
    for _ in range(6):
        previews.append(Path(files.preview(noise())))
        assert previews[-1].is_file()
    assert set(files.folder.iterdir()) == {*previews[-2:], result, side}
    assert len(set(previews)) == 6  # a browser that has one does not take it for the next


def test_what_is_shown_is_a_small_jpeg_and_what_is_kept_is_all_there_is(room: Path) -> None:
    picture, files = noise(900, 1300), Results(room).run("ann")
    with Image.open(files.preview(picture)) as shown, Image.open(files.save(picture, "whole", {})) as kept:
        assert (shown.format, max(shown.size)) == ("JPEG", SHOWN)
        assert shown.width / shown.height == pytest.approx(1300 / 900, rel=0.01)
        assert (kept.format, kept.size) == ("PNG", (1300, 900))
        samples = torch.frombuffer(bytearray(kept.tobytes()), dtype=torch.uint8).view(900, 1300, 3)
    assert torch.equal(samples, (picture[0].permute(1, 2, 0) * 255).round().byte())


def test_a_result_carries_what_made_it(room: Path) -> None:
    told = {"size": 64, "styles": [{"name": "wäves.png", "weight": 0.5}], "interrupted": False}
    path = Path(Results(room).run("ann").save(noise(), "town_by_waves", told))
    assert path.name == "town_by_waves.png"
    assert read_settings(path) == told


def test_a_result_made_anew_takes_the_place_of_the_one_before(room: Path) -> None:
    files = Results(room).run("ann")
    assert files.save(noise(), "a", {"n": 1}) == (path := files.save(noise(), "a", {"n": 2}))
    assert read_settings(path) == {"n": 2}


def test_what_is_transparent_is_shown_over_white(room: Path) -> None:
    alpha = torch.zeros(1, 1, 32, 32)
    alpha[..., 16:] = 1
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    with Image.open(Results(room).run("ann").thumbnail(Picture(red, alpha))) as shown:
        assert (shown.format, shown.mode) == ("JPEG", "RGB")
        assert min(shown.getpixel((4, 16))) > 250  # type: ignore[arg-type]
        assert shown.getpixel((28, 16)) == pytest.approx((255, 0, 0), abs=6)


def test_who_goes_takes_his_results_along_and_no_others(room: Path) -> None:
    results = Results(room)
    own = [results.run("ann"), results.run("ann")]
    others = [results.run("bob"), results.run("")]
    for files in (*own, *others):
        files.save(noise(), "result", {})
    results.clear("ann")
    results.clear("never here")
    assert set(room.iterdir()) == {files.folder for files in others}
    assert all((files.folder / "result.png").is_file() for files in others)
    results.clear("ann")
    results.clear("bob")
    assert {*room.iterdir()} == {others[1].folder}


def test_what_stands_too_long_goes_when_somebody_comes(room: Path) -> None:
    results = Results(room)
    old, new = results.run("ann"), results.run("ann")
    lost = results.run("bob")
    lost.folder.rmdir()
    for files, age in ((old, KEPT_SECONDS + 60), (new, KEPT_SECONDS - 60)):
        files.save(noise(), "result", {})
        os.utime(files.folder, (time.time() - age,) * 2)
    late = results.run("cid")
    assert set(room.iterdir()) == {new.folder, late.folder}
    results.clear("ann")
    results.clear("bob")
    assert {*room.iterdir()} == {late.folder}
