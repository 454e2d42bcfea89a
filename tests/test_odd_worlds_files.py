"""What the system says of files is told with a remedy and exit code 3, by every command; only defects are called so."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.main import get_command

from tests.conftest import Ran
from vggapps.cli import app as door
from vggapps.cli.outcome import to_vggapps_error
from vggapps.errors import OutOfMemoryError, PictureError, out_of_memory

Cli = Callable[..., Ran]
QUICK = ("--size", 32, "--steps", 1, "-q")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("town.png", "waves.png")):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (36, 48, 3), np.uint8)).save(name)
    Path("loop.png").symlink_to("loop.png")
    Path("dangling.png").symlink_to("nowhere.png")
    Path("folder.png").mkdir()
    Path("file").touch()
    return tmp_path


# The door


@pytest.fixture
def fail(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], Ran]:
    def run(error: Exception) -> Ran:
        def raises() -> None:
            raise error

        monkeypatch.setattr(door, "app", typer.Typer())
        door.app.command("fail")(raises)
        return cli()

    return run


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENAMETOOLONG, "shorter name"),
        (errno.EACCES, "permissions"),
        (errno.ELOOP, "link"),
        (errno.ENOSPC, "space"),
        (errno.EDQUOT, "space"),
        (errno.EROFS, "folder on a writable disk"),
        (errno.EISDIR, "not a folder"),
        (errno.ENOTDIR, "check its name"),
        (errno.ENOENT, "check its name"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EBADF, "stdin"),
        (errno.EIO, "disk"),
        (errno.ESTALE, "disk"),
        (errno.ETIMEDOUT, "network"),
    ],
)
def test_the_systems_errors(fail: Callable[[Exception], Ran], number: int, remedy: str) -> None:
    ran = fail(OSError(number, os.strerror(number), "town.png"))
    assert ran.code == 3
    line, hint = ran.err.splitlines()
    assert line == f"error: town.png: {os.strerror(number)}"
    assert remedy in hint
    assert "bug in vggapps" not in hint


@pytest.mark.parametrize(
    "error",
    [
        OSError("without a number"),
        OSError(),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        RuntimeError("Symlink loop from '/tmp/loop.png'"),
    ],
    ids=repr,
)
def test_others_of_their_family(fail: Callable[[Exception], Ran], error: Exception) -> None:
    ran = fail(error)
    assert (ran.code, len(ran.err.splitlines()), "bug in vggapps" in ran.err) == (3, 2, False)


def test_a_name_can_not_break_the_line_or_speak_to_the_terminal(fail: Callable[[Exception], Ran]) -> None:
    ran = fail(PictureError("a\nb\x1b[31m\udce9.png: there is no such file", "look\tagain"))
    assert ran.err == "error: a\\nb\\x1b[31m\\udce9.png: there is no such file\nhint: look\\tagain\n"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 999 bytes."),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.1 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("unable to mmap 548051225 bytes from file <vgg16.pth>: Cannot allocate memory (12)"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object: Cannot allocate memory"),
    ],
    ids=str,
)
def test_every_way_to_say_that_memory_lacks(fail: Callable[[Exception], Ran], error: Exception) -> None:
    assert out_of_memory(error)
    assert fail(error).code == 6
    assert isinstance(to_vggapps_error(error, "town.png"), OutOfMemoryError)
    assert str(to_vggapps_error(error, "town.png")).startswith("town.png: ")


@pytest.mark.parametrize(
    "error", [KeyError("relu"), TypeError("x"), RuntimeError("x"), OSError(errno.ENOENT, "memory")]
)
def test_what_has_nothing_to_do_with_memory(error: Exception) -> None:
    assert not out_of_memory(error)


def commands(group: Any, path: str = "") -> list[Any]:
    found = []
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found += commands(command, f"{path}{name} ") if inner else [pytest.param(command, id=f"{path}{name}")]
    return found


@pytest.mark.parametrize("command", commands(get_command(door.app)))
def test_the_hint_of_a_defect_is_true_for_every_command(command: Any) -> None:
    """It says that -vv shows where."""
    assert "-v" in [option for parameter in command.params for option in parameter.opts]


def test_very_verbose_shows_where(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vggapps.cli.info.problems", lambda: [][0])
    ran = cli("info", "-vv")
    assert (ran.code, "Traceback" in ran.err, "bug in vggapps" in ran.err) == (1, True, True)
    assert "Traceback" not in cli("info").err


# Commands


LONG = "x" * 300 + ".png"


@pytest.mark.parametrize(
    "words",
    [
        ["stylize", "town.png", "loop.png"],
        ["stylize", "dangling.png", "waves.png"],
        ["stylize", "town.png", "folder.png"],
        ["stylize", "town.png", "waves.png", "--init", "loop.png"],
        ["stylize", "--settings", "loop.png"],
        ["stylize", "--settings", LONG],
        ["stylize", "--settings", "folder.png"],
        ["stylize", "town.png", "file/waves.png"],
        ["explain", "loop.png"],
        ["compare", "town.png", "loop.png"],
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_files_that_are_none(here: Path, cli: Cli, words: list[str]) -> None:
    ran = cli(*words, *(QUICK if words[0] == "stylize" else ()))
    assert ran.code == 3, ran.err
    assert "bug in vggapps" not in ran.err


@pytest.mark.parametrize("weights", ["~nosuchuser/x.pth", "loop.png", "folder.png", LONG, "file/x.pth"])
def test_weights_that_are_none(here: Path, cli: Cli, weights: str) -> None:
    ran = cli("stylize", "town.png", "waves.png", *QUICK, "--backbone", f"vgg19={weights}")
    assert (ran.code, "bug in vggapps" in ran.err) == (5, False), ran.err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        PermissionError(errno.EACCES, "closed"),
    ],
    ids=repr,
)
def test_in_a_folder_one_picture_fails_and_the_others_are_made(
    here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    import vggapps.style._transfer as transfer

    steps = transfer.stylize_steps

    def once(content: Any, *rest: Any, **more: Any) -> Any:
        if content.name == "a.png":
            raise error
        return steps(content, *rest, **more)

    monkeypatch.setattr(transfer, "stylize_steps", once)
    Path("photos").mkdir()
    for name in "ab":
        shutil.copy("town.png", f"photos/{name}.png")
    ran = cli("stylize", "photos", "waves.png", *QUICK)
    assert (ran.code, ran.out) == (1, "b_by_waves.png\n")
    assert "a.png: " in ran.err
    assert "1 of 2 pictures failed" in ran.err
