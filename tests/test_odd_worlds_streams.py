"""Streams that are closed, on a full disk, or can't write every letter: the work is done, and the exit code is true.

| stdout | exit code | |
|---|---|---|
| full, closed | 3 | files are there; a line says that the results could not be printed |
| a pipe whose reader has seen enough | as ever | nothing is said |

A stderr that is full or closed changes nothing. A stdin that is closed is an input that can't be read: 3.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")

PAINT = "stylize town.png waves.png --size 32 --steps 2"
PRINT = "weights path vgg19-installed"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for seed, name in enumerate(("town.png", "waves.png", os.fsdecode(b"caf\xe9.png"))):
        pixels = np.random.default_rng(seed).integers(0, 256, (36, 48, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def shell(folder: Path, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of bash, in which ``vggapps`` is the command."""
    script = f'vggapps() {{ "{sys.executable}" -m vggapps "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, capture_output=True, check=False, env={**os.environ, **environment},
        encoding="utf-8", errors="surrogateescape",
    )  # fmt: skip


@pytest.mark.parametrize("stdout", [">/dev/full", ">&-"])
def test_without_room_for_results_the_picture_is_made_and_3_says_so(here: Path, stdout: str) -> None:
    ran = shell(here, f"vggapps {PAINT} -q -o out.png {stdout}")
    assert ran.returncode == 3
    assert ran.stderr.startswith("error: the results can't be printed: ")
    assert len(ran.stderr.splitlines()) == 2
    with Image.open(here / "out.png") as picture:
        assert picture.size == (32, 24)


def test_a_folder_is_painted_to_its_end_though_no_name_can_be_printed(here: Path) -> None:
    folder = PAINT.replace("town.png", "in")
    ran = shell(here, f"mkdir in && cp town.png in/a.png && cp town.png in/b.png && vggapps {folder} -q >/dev/full")
    assert ran.returncode == 3
    assert (here / "a_by_waves.png").exists()
    assert (here / "b_by_waves.png").exists()


@pytest.mark.parametrize("line", [PRINT, "--help", "layers vgg11", "layers vgg11 --json"])
def test_every_kind_of_result_that_can_not_be_printed(here: Path, line: str) -> None:
    ran = shell(here, f"vggapps {line} >/dev/full")
    assert ran.returncode == 3
    assert ran.stderr.startswith("error: the results can't be printed: ")


def test_without_room_for_progress_all_goes_on(here: Path) -> None:
    ran = shell(here, f"vggapps {PAINT} -v 2>/dev/full")
    assert (ran.returncode, ran.stdout) == (0, "town_by_waves.png\n")


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-"])
def test_an_error_keeps_its_exit_code_where_it_can_not_be_told(here: Path, stderr: str) -> None:
    assert shell(here, f"vggapps weights path vgg99 {stderr}").returncode == 2


def test_nothing_is_open_and_no_file_is_taken_for_a_stream(here: Path) -> None:
    """The next file that is opened would get the number of a closed stream."""
    ran = shell(here, f"vggapps {PAINT} -v -o out.png <&- >&- 2>&-")
    assert ran.returncode == 3
    with Image.open(here / "out.png") as picture:
        picture.load()


def test_a_closed_stdin_is_no_picture(here: Path) -> None:
    ran = shell(here, "vggapps stylize - waves.png -q <&-")
    assert ran.returncode == 3
    assert ran.stderr.startswith("error: ")
    assert "bug in vggapps" not in ran.stderr


def test_a_picture_for_a_full_stdout(here: Path) -> None:
    ran = shell(here, f"vggapps {PAINT} -q -o - >/dev/full")
    assert (ran.returncode, "bug in vggapps" in ran.stderr, "No space left" in ran.stderr) == (3, False, True)


def test_a_reader_that_has_seen_enough_is_no_error(here: Path) -> None:
    ran = shell(here, "vggapps layers vgg19 --json | head -1; vggapps weights list --json | true")
    assert (ran.stdout.count("\n"), ran.stderr) == (1, "")


def test_names_go_out_as_the_bytes_that_they_are(here: Path) -> None:
    words = PAINT.replace("town.png", "$'caf\\xe9.png'")
    ran = shell(here, f"vggapps {words} -q")
    assert (ran.returncode, os.fsencode(ran.stdout)) == (0, b"caf\xe9_by_waves.png\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_letters_that_an_encoding_lacks_are_escaped(here: Path, encoding: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "vggapps", "layers", "vgg11"], capture_output=True, check=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert ("×" if encoding != "ascii" else r"\xd7") in ran.stdout.decode(encoding)
