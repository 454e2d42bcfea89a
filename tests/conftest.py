"""What many tests need: one way to run a command, and quiet, seeded torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

IMAGES = Path(__file__).parents[2] / "shared" / "images"


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run ``vggapps ARGUMENTS...`` in this process, through the same door as the installed command."""
    from vggapps.cli.app import main

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Ran(exit_.value.code or 0, out, err)

    return run


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo, as PNG and JPEG, and a painting, which is the current one."""
    monkeypatch.chdir(tmp_path)
    for name, seed in (("town.png", 1), ("town.jpg", 1), ("waves.png", 2)):
        pixels = np.random.default_rng(seed).integers(0, 256, (36, 48, 3), np.uint8)
        Image.fromarray(pixels).save(name)
    return tmp_path


@pytest.fixture
def while_painting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Something that happens after each step of a run: ``while_painting(event)``."""
    import vggapps.cli.runs as room

    def arrange(event: Callable[[], object]) -> None:
        def looking(steps: Iterator[object], *_: object, **__: object) -> Iterator[object]:
            for step in steps:
                yield step
                event()

        monkeypatch.setattr(room, "watched", looking)

    return arrange


@pytest.fixture(autouse=True)
def _same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    logging.getLogger("vggapps").setLevel(logging.WARNING)
    for name, value in {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
