"""A run stopped early: its picture has the size that was asked for, says so, and takes no better one's place."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import Ran
from vggapps.image import open_picture, read_settings, resize, save_picture, size_of

Cli = Callable[..., Ran]
WORDS = ("stylize", "town.png", "waves.png", "--size", 128, "--steps", 12, "-o", "out.png")  # 64, then 128 px


@pytest.fixture
def stop_after(while_painting: Callable[..., None]) -> Callable[[int], None]:
    """Ctrl-C while the step after so many is made."""

    def arrange(steps: int) -> None:
        done: list[None] = []

        def count() -> None:
            done.append(None)
            if len(done) == steps:
                signal.raise_signal(signal.SIGINT)

        while_painting(count)

    return arrange


def test_it_has_the_size_that_was_asked_for_and_says_at_which_it_was_stopped(
    town: Path, cli: Cli, stop_after: Callable[[int], None]
) -> None:
    stop_after(1)
    ran = cli(*WORDS, "--json")
    told = json.loads(ran.out)
    assert ran.code == 130
    assert told["size"] == [128, 96]
    assert told["interrupted"] is True
    assert size_of("out.png") == (96, 128)
    assert "stopped after step 2 of 12, at 64 x 48 px; enlarged to 128 x 96 px" in ran.err
    assert (read_settings("out.png") or {})["stopped"] == {"step": 2, "of": 12, "scale": [64, 48]}


def test_it_shows_the_photos_own_detail(town: Path, cli: Cli, stop_after: Callable[[int], None]) -> None:
    """At strength 0 the result is the photo; enlarged from half its size alone, it would have lost the fine half."""
    photo = torch.rand(1, 3, 96, 128)
    save_picture(photo, "fine.png")
    blurred = resize(resize(photo, (48, 64)), (96, 128))
    stop_after(1)
    cli("stylize", "fine.png", "waves.png", "--size", 128, "--steps", 12, "--strength", 0, "-o", "out.png")
    made = open_picture("out.png").rgb
    assert (made - photo).abs().mean() < 0.2 * (blurred - photo).abs().mean()


def test_it_does_not_replace_a_larger_picture_even_with_force(
    town: Path, cli: Cli, stop_after: Callable[[int], None]
) -> None:
    assert cli(*WORDS).code == 0
    finished = Path("out.png").read_bytes()
    stop_after(1)
    ran = cli(*WORDS, "--force")
    assert (ran.code, ran.out) == (130, "out-2.png\n")
    assert Path("out.png").read_bytes() == finished
    assert "out.png exists; the result is kept as out-2.png" in ran.err


def test_it_replaces_one_that_is_no_larger(town: Path, cli: Cli, stop_after: Callable[[int], None]) -> None:
    save_picture(open_picture("town.png"), "out.png")  # 48 x 36 px
    stop_after(1)
    assert cli(*WORDS, "--force").out == "out.png\n"
    assert size_of("out.png") == (96, 128)


def test_a_finished_run_says_nothing_of_the_kind(town: Path, cli: Cli) -> None:
    ran = cli(*WORDS)
    assert "stopped" not in ran.err
    assert "stopped" not in (read_settings("out.png") or {})
