"""Batches for training: the same whatever reads them, complete, and robust against broken pictures and processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vggapps.errors import OutOfMemoryError, PictureError, SettingsError
from vggapps.training._augmentation import augment, evaluate_transform
from vggapps.training._batches import Batch, PictureBatches
from vggapps.training._pictures import Files, Pictures

ROOT = Path(__file__).parents[1]
SHIFTS, PLAIN = augment("shifts", 16), evaluate_transform(16, 16)


@dataclass(frozen=True)
class Noise:
    """Pictures of noise; some are broken."""

    broken: frozenset[int] = frozenset()

    def __call__(self, index: int) -> Image.Image:
        if index in self.broken:
            raise PictureError(f"picture {index}: it is damaged")
        return Image.fromarray(np.random.default_rng(index).integers(0, 256, (16, 16, 3), np.uint8))


@dataclass(frozen=True)
class Flat:
    """Pictures of one grey level for each of ten classes."""

    def __call__(self, index: int) -> Image.Image:
        return Image.new("RGB", (16, 16), (20 * (index % 10),) * 3)


def pictures(count: int, open_one: Callable[[int], Image.Image] | None = None) -> Pictures:
    indices = range(count)
    return Pictures(tuple(f"picture {n}" for n in indices), tuple(n % 10 for n in indices), open_one or Noise())


def batches(count: int, size: int, broken: tuple[int, ...] = (), **more: Any) -> PictureBatches:
    return PictureBatches(pictures(count, Noise(frozenset(broken))), SHIFTS, size, classes=10, **more)


def same(one: Batch, other: Batch) -> bool:
    tensors = all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(one[:2], other[:2], strict=True))
    return tensors and one[2:] == other[2:]


def all_same(some: list[Batch], others: list[Batch]) -> bool:
    return len(some) == len(others) and all(map(same, some, others))


def joined(shares: tuple[Batch, ...]) -> Batch:
    """The batch whose shares several ranks have."""
    filled = [share for share in shares if len(share.images)]
    return Batch(
        torch.cat([share.images for share in filled]),
        torch.cat([share.targets for share in filled]),
        sum((share.files for share in shares), ()),
        sum((share.unreadable for share in shares), ()),
    )


# The same batches


@pytest.mark.parametrize("more", [{}, {"mix": (0.2, 1.0)}, {"balanced": True}, {"shuffle": False}])
def test_batches_do_not_depend_on_processes_or_where_an_epoch_starts(more: dict[str, Any]) -> None:
    alone = [list(batches(37, 8, (5,), **more).epoch(number)) for number in (0, 1)]
    helped = batches(37, 8, (5,), workers=2, **more)
    assert all_same(list(helped), alone[0])
    assert all_same(list(helped.epoch(1, 2)), alone[1][2:])
    assert all_same(list(batches(37, 8, (5,), **more).epoch(1, 4)), alone[1][4:])
    assert list(helped.epoch(1, 5)) == []
    assert all_same(alone[0], alone[1]) is False
    assert len(helped) == len(alone[0]) == 5


def test_seeds_and_epochs_differ_in_order_and_views() -> None:
    orders = {
        tuple(f for batch in batches(30, 8, seed=s).epoch(e) for f in batch.files) for s in (0, 1) for e in (0, 1)
    }
    assert len(orders) == 4
    one, other = (next(batches(30, 30, shuffle=False).epoch(number)) for number in (0, 1))
    assert one.files == other.files
    assert not any(torch.equal(a, b) for a, b in zip(one.images[:5], other.images[:5], strict=True))


def test_torchs_own_generator_is_left_as_it_is() -> None:
    for workers in (0, 1):
        before = torch.get_rng_state()
        for _ in batches(20, 8, mix=(1, 1), workers=workers):
            assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(torch.get_rng_state(), before)


def test_batches_can_be_sent_to_processes_that_do_not_inherit_them() -> None:
    one = batches(20, 8, mix=(0.2, 1))
    assert all_same(list(pickle.loads(pickle.dumps(one))), list(one))


# Ranks


@pytest.mark.parametrize("mix", [(0, 0), (0.4, 0), (0.4, 1.0)])
@pytest.mark.parametrize("world", [2, 3])
def test_the_shares_of_all_ranks_are_the_batch_of_one_process(world: int, mix: tuple[float, float]) -> None:
    broken = (0, 3, 4, 5, 11, 20)
    whole = list(batches(41, 12, broken, mix=mix).epoch(2))
    ranks = [list(batches(41, 12, broken, mix=mix, rank=rank, world=world).epoch(2)) for rank in range(world)]
    assert all_same([joined(shares) for shares in zip(*ranks, strict=True)], whole)
    assert all(len(share.files) + len(share.unreadable) == 12 // world for share in (r[0] for r in ranks))


def test_a_training_batch_too_small_for_all_ranks_is_dropped() -> None:
    ranks = [batches(17, 8, rank=rank, world=2) for rank in (0, 1)]
    assert [len(rank) for rank in ranks] == [len(list(rank)) for rank in ranks] == [2, 2]
    assert len(batches(18, 8, world=2)) == 3
    assert len(batches(17, 8)) == 3
    with pytest.raises(SettingsError, match="3 pictures for 4 processes"):
        batches(3, 8, world=4)
    assert [len(next(iter(batches(1, 8, shuffle=False, rank=rank, world=2))).files) for rank in (0, 1)] == [0, 1]


@pytest.mark.parametrize("count", [16, 17, 18, 23])
def test_each_validation_picture_is_seen_once_without_padding(count: int) -> None:
    ranks = [list(batches(count, 8, shuffle=False, rank=rank, world=3)) for rank in range(3)]
    assert len({len(rank) for rank in ranks}) == 1
    seen = [name for shares in zip(*ranks, strict=True) for share in shares for name in share.files]
    assert seen == [f"picture {number}" for number in range(count)]
    assert all(len(share.images) == len(share.targets) == len(share.files) for rank in ranks for share in rank)


# What is in an epoch


def test_each_picture_is_seen_once_per_epoch_with_its_class() -> None:
    seen = [pair for batch in batches(37, 8).epoch(3) for pair in zip(batch.files, batch.targets.tolist(), strict=True)]
    assert sorted(seen) == sorted((f"picture {n}", n % 10) for n in range(37))
    assert seen != sorted(seen)


def test_balanced_epochs_draw_all_classes_equally_often() -> None:
    targets = (0,) * 900 + (1,) * 90 + (2,) * 10
    some = Pictures(tuple(map(str, range(1000))), targets, Flat())
    made = PictureBatches(some, PLAIN, 100, classes=3, balanced=True)
    counts = Counter(target for number in range(3) for batch in made.epoch(number) for target in batch.targets.tolist())
    assert sum(counts.values()) == 3000
    assert all(abs(counts[target] - 1000) < 5 * np.sqrt(3000 * 2 / 9) for target in range(3))


@pytest.mark.parametrize("mix", [(0.5, 0), (0, 1.0), (0.5, 1.0)])
def test_mixed_targets_are_the_shares_of_the_pictures(mix: tuple[float, float]) -> None:
    made = PictureBatches(pictures(60, Flat()), PLAIN, 12, classes=10, mix=mix)
    for batch in made:
        assert batch.targets.shape == (12, 10)
        assert batch.targets.dtype == torch.float32
        assert torch.allclose(batch.targets.sum(1), torch.ones(12))
        # Class k is flat at 20 k / 255, so that the mean of a mixture tells its shares.
        assert torch.allclose(batch.images.mean((1, 2, 3)), batch.targets @ torch.arange(10.0) * 20 / 255, atol=1e-5)
    flat = [float(image.std()) < 1e-6 for batch in made for image in batch.images]
    assert all(flat) is (mix[1] == 0)  # MixUp keeps flat pictures flat, CutMix does not


# Broken pictures and processes


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_pictures_are_reported_and_left_out(tmp_path: Path, workers: int) -> None:
    paths = [str(tmp_path / f"{number}.png") for number in range(9)]
    for number, path in enumerate(paths):
        Noise()(number).save(path)
    Path(paths[4]).write_bytes(b"no picture")
    Path(paths[7]).unlink()
    some = Pictures(tuple(paths), (0, 1, 2) * 3, Files(tuple(paths)))
    found = list(PictureBatches(some, PLAIN, 3, classes=3, shuffle=False, workers=workers))
    assert [len(batch.images) for batch in found] == [3, 2, 2]
    assert [batch.targets.tolist() for batch in found] == [[0, 1, 2], [0, 2], [0, 2]]
    assert found[1].files == (paths[3], paths[5])
    assert [len(batch.unreadable) for batch in found] == [0, 1, 1]
    assert found[1].unreadable[0].startswith(f"{paths[4]}: it is text")
    assert found[2].unreadable[0].startswith(f"{paths[7]}: there is no such file")


@pytest.mark.parametrize("mix", [(0, 0), (0.2, 0)])
def test_a_batch_without_readable_pictures_is_empty(mix: tuple[float, float]) -> None:
    found = list(batches(8, 4, (0, 1, 2, 3), shuffle=False, mix=mix))
    assert [len(batch.images) for batch in found] == [len(batch.targets) for batch in found] == [0, 4]
    assert found[0].targets.shape[1:] == found[1].targets.shape[1:]
    assert len(found[0].unreadable) == 4


@dataclass(frozen=True)
class Signal:
    """A transform during which its process gets a signal, at black pictures."""

    number: int

    def __call__(self, image: Image.Image) -> Tensor:
        if image.getpixel((0, 0)) == (0, 0, 0):
            os.kill(os.getpid(), self.number)
        return PLAIN(image)


def test_a_killed_process_is_an_error_with_a_remedy() -> None:
    made = PictureBatches(pictures(8, Flat()), Signal(signal.SIGKILL), 4, classes=10, shuffle=False, workers=2)
    with pytest.raises(OutOfMemoryError, match="has ended") as caught:
        list(made)
    assert "workers=1" in caught.value.hint
    assert not multiprocessing.active_children()


def test_ctrl_c_is_left_to_the_main_process() -> None:
    made = PictureBatches(pictures(8, Flat()), Signal(signal.SIGINT), 4, classes=10, workers=1)
    assert sum(len(batch.images) for batch in made) == 8


SEVERAL = """
import gc, multiprocessing
from tests.test_training_batches import PLAIN, PictureBatches, batches, pictures

def collecting(image):
    gc.collect()
    return PLAIN(image)

for _ in range(2):
    first, second = batches(60, 4, workers=2).epoch(0), batches(60, 4, workers=2).epoch(1)
    for number, _ in enumerate(zip(first, second)):
        if number == 5:
            break
    del first, second
print(len(multiprocessing.active_children()))
gc.disable()
abandoned = [batches(60, 4, workers=2).epoch(0)]
next(abandoned[0])
abandoned.append(abandoned)
del abandoned
print(len(list(PictureBatches(pictures(8), collecting, 4, classes=10, workers=1))))
open_at_the_end = batches(60, 4, workers=2).epoch(0)
next(open_at_the_end)
"""


def test_several_iterators_leave_neither_processes_nor_messages() -> None:
    """Ended early, abandoned in a cycle for the garbage collector, and open when the program ends."""
    ran = subprocess.run([sys.executable, "-c", SEVERAL], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (ran.returncode, ran.stdout.split(), ran.stderr) == (0, ["0", "2"], "")
