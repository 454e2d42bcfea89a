"""Checkpoints of a training run survive damage, a full disk and being killed."""

from __future__ import annotations

import errno
import io
import math
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vggapps.errors import SettingsError, WeightsError
from vggapps.training import _checkpoints as checkpoints
from vggapps.training._checkpoints import BEFORE, NEWEST, load_checkpoint, save_checkpoint


def state(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "weights": torch.full((40, 50), float(epoch))}


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, Mapping):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with the checkpoints of the epochs 1 and 2."""
    for epoch in (1, 2):
        save_checkpoint(tmp_path, state(epoch))
    return tmp_path


def leftovers(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.name not in (NEWEST, BEFORE))


def test_the_state_comes_back_with_its_types(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    saved = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": torch.get_rng_state(),
        "half": torch.randn(3).bfloat16(),
        "rows": [{"epoch": 1, "loss": 0.1 + 0.2, "note": "ä\n"}, {"epoch": 2, "loss": math.inf}],
        "best": None,
        "is_done": True,
        "sides": (256, [512]),
    }
    save_checkpoint(tmp_path, saved)
    loaded, note = load_checkpoint(tmp_path)
    assert equal(saved, loaded)
    assert note == ""


def test_the_generator_continues_as_if_not_interrupted(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(7)
    torch.rand(5, generator=generator)
    save_checkpoint(tmp_path, {"generator": generator.get_state()})
    following = torch.rand(5, generator=generator)
    resumed = torch.Generator()
    resumed.set_state(load_checkpoint(tmp_path)[0]["generator"])
    assert torch.equal(torch.rand(5, generator=resumed), following)


def test_torch_reads_the_file_itself(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(3))
    assert equal(torch.load(tmp_path / NEWEST, weights_only=True), state(3))


def test_the_newest_two_are_kept(two: Path) -> None:
    save_checkpoint(two, state(3))
    assert load_checkpoint(two)[0]["epoch"] == 3
    assert torch.load(two / BEFORE, weights_only=True)["epoch"] == 2
    assert leftovers(two) == []


def test_every_flipped_bit_is_noticed(two: Path) -> None:
    whole = (two / NEWEST).read_bytes()
    places = random.Random(0)
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[places.randrange(len(whole))] ^= 1 << places.randrange(8)
        (two / NEWEST).write_bytes(damaged)
        loaded, note = load_checkpoint(two)
        assert equal(loaded, state(1))
        assert note == f"{NEWEST} is damaged; {BEFORE} is used, which was saved before it"


@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.5, 0.99, 0.9999])
def test_a_truncated_file_is_noticed(two: Path, share: float) -> None:
    whole = (two / NEWEST).read_bytes()
    (two / NEWEST).write_bytes(whole[: int(share * len(whole))])
    loaded, note = load_checkpoint(two)
    assert equal(loaded, state(1))
    assert "damaged" in note


@pytest.mark.parametrize("data", [b"not a zip", b"\0" * 5000], ids=["text", "zeros"])
def test_a_file_of_another_kind_is_noticed(two: Path, data: bytes) -> None:
    (two / NEWEST).write_bytes(data)
    assert equal(load_checkpoint(two)[0], state(1))


def test_an_older_one_is_not_read_while_the_newest_is_good(two: Path) -> None:
    (two / BEFORE).write_bytes(b"")
    assert equal(load_checkpoint(two), (state(2), ""))


def test_both_damaged_is_an_error_with_a_remedy(two: Path) -> None:
    (two / NEWEST).write_bytes(b"")
    (two / BEFORE).write_bytes((two / BEFORE).read_bytes()[:-1])
    with pytest.raises(WeightsError, match=f"{NEWEST} is damaged, and {BEFORE} is damaged") as caught:
        load_checkpoint(two)
    assert "start the run again" in caught.value.hint


def test_no_checkpoint_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(WeightsError, match="there is no checkpoint in") as caught:
            load_checkpoint(folder)
        assert "interrupted" in caught.value.hint


def test_an_unreadable_file_is_not_called_damaged(two: Path) -> None:
    (two / NEWEST).unlink()
    (two / NEWEST).mkdir()
    loaded, note = load_checkpoint(two)
    assert equal(loaded, state(1))
    assert note.startswith(f"{NEWEST} can't be read: Is a directory")


@pytest.mark.parametrize("room", [0, 1000, 6000, "all but the digest"])
def test_a_full_disk_keeps_the_former_ones(two: Path, monkeypatch: pytest.MonkeyPatch, room: int | str) -> None:
    left = (two / NEWEST).stat().st_size - 32 if isinstance(room, str) else room

    class Full(io.BufferedRandom):
        def write(self, data: Any) -> int:
            nonlocal left
            left -= len(data)
            if left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode: Full(io.FileIO(path, mode.replace("b", ""))))
        with pytest.raises(WeightsError, match="No space left on device") as caught:
            save_checkpoint(two, state(3))
    assert caught.value.hint == f"free space on the disk, or choose another one; the former {NEWEST} is kept"
    assert equal(load_checkpoint(two), (state(2), ""))
    assert equal(torch.load(two / BEFORE, weights_only=True), state(1))
    assert leftovers(two) == []
    save_checkpoint(two, state(4))
    assert load_checkpoint(two)[0]["epoch"] == 4


def test_a_limit_of_the_system_keeps_the_former_ones(two: Path) -> None:
    resource = pytest.importorskip("resource")
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, former[1]))
    try:
        with pytest.raises(WeightsError, match="File too large"):
            save_checkpoint(two, {"weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert equal(load_checkpoint(two), (state(2), ""))


def test_an_error_promises_no_checkpoint_where_there_was_none(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        save_checkpoint(tmp_path / "missing", state(1))
    assert "kept" not in caught.value.hint


def test_a_run_killed_while_it_writes_loses_nothing(two: Path) -> None:
    killed = (
        "import os, sys; from pathlib import Path\n"
        "import vggapps.training._checkpoints as checkpoints\n"
        "os.fsync = lambda file: os._exit(9)\n"
        "checkpoints.save_checkpoint(Path(sys.argv[1]), {'epoch': 3})"
    )
    assert subprocess.run([sys.executable, "-c", killed, str(two)], check=False).returncode == 9
    assert len(leftovers(two)) == 1
    assert equal(load_checkpoint(two), (state(2), ""))
    save_checkpoint(two, state(3))
    assert leftovers(two) == []  # abandoned files would fill the disk of a machine that is often interrupted


def test_a_run_killed_between_the_two_renamings_loses_one_checkpoint(two: Path) -> None:
    (two / NEWEST).rename(two / BEFORE)
    loaded, note = load_checkpoint(two)
    assert equal(loaded, state(2))
    assert note.startswith(f"{NEWEST} is missing; {BEFORE} is used")
    save_checkpoint(two, state(3))
    assert equal(load_checkpoint(two), (state(3), ""))


def test_a_state_that_could_not_be_loaded_is_refused_when_it_is_saved(two: Path) -> None:
    with pytest.raises(SettingsError, match=r"objects of numpy\S*") as caught:
        save_checkpoint(two, {"loss": np.float64(1)})
    assert "numbers" in caught.value.hint
    assert equal(load_checkpoint(two), (state(2), ""))
    assert leftovers(two) == []


def test_an_error_of_torch_itself_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("of torch")

    monkeypatch.setattr(checkpoints.torch, "save", fail)
    with pytest.raises(RuntimeError, match="of torch"):
        save_checkpoint(tmp_path, state(1))
