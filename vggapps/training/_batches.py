"""Batches of augmented pictures, the same for any number of worker processes and wherever an epoch is resumed.

The order of an epoch is a function of the seed and its number, the random view of a picture a function of the seed, the
epoch and its position in that order. With several ranks (processes that train together), each reads its share of every
batch, and the shares in the order of ranks are the batch of a single process.
"""

from __future__ import annotations

import gc
import hashlib
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2  # type: ignore[import-untyped]

from vggapps.errors import OutOfMemoryError, SettingsError, VggappsError, argument
from vggapps.training._pictures import Pictures

# Uses of random numbers, to keep their seeds apart.
_ORDER, _VIEW, _MIX = range(3)


class Batch(NamedTuple):
    """Pictures for one step; none if none of the batch could be read.

    Attributes:
        images: float32 in [0, 1].
        targets: class indices, int64 (n,); with mixing, shares of the classes, float32 (n, classes).
        files: names of the pictures.
        unreadable: why others of this batch are left out, one line each, beginning with their names.
    """

    images: Float[Tensor, "n 3 h w"]
    targets: Int64[Tensor, " n"] | Float[Tensor, "n classes"]
    files: tuple[str, ...]
    unreadable: tuple[str, ...]


class PictureBatches:
    """The batches of all epochs; ``len`` is the number of batches per epoch.

    Each picture is seen once per epoch, unless ``balanced``. The last batch may be smaller. With several ranks, all
    have the same number of batches: a last training batch with fewer pictures than ranks is dropped; without
    ``shuffle`` it is kept, and some ranks get an empty batch.

    Args:
        pictures: the part of a data set.
        transform: from an RGB image to a float32 tensor, such as :func:`~vggapps.training._augmentation.augment`; its
            randomness is from torch's default generator. If it has an attribute ``at_least``, large files are scaled
            down to that shorter side or more while they are read.
        size: pictures per batch, of all ranks together.
        classes: number of classes.
        seed: of order, views and mixing.
        shuffle: whether the order is random.
        balanced: draw all classes equally often, with replacement, instead of each picture once.
        mix: the parameters alpha of MixUp (Zhang et al., ICLR 2018, arXiv 1710.09412) and CutMix (Yun et al., ICCV
            2019, arXiv 1905.04899); 0 for none; with both, one is chosen at random for each batch.
        workers: processes that read pictures; 0 reads in this process.
        rank: of this process, from 0.
        world: number of ranks.

    Raises:
        SettingsError: there are fewer pictures than ranks in a training batch, or in all.
    """

    def __init__(
        self,
        pictures: Pictures,
        transform: Callable[[Image.Image], Tensor],
        size: int,
        *,
        classes: int,
        seed: int = 0,
        shuffle: bool = True,
        balanced: bool = False,
        mix: tuple[float, float] = (0, 0),
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.is_random = shuffle or balanced
        if (least := min(size, len(pictures))) < world and self.is_random:
            raise SettingsError(
                f"{least} pictures for {world} processes", f"use fewer processes, or a larger {argument('batch')}"
            )
        side = getattr(transform, "at_least", None)
        self.pictures = pictures if side is None else pictures.at_least(side)
        self.transform, self.size, self.classes, self.seed, self.balanced = transform, size, classes, seed, balanced
        self.workers, self.rank, self.world = workers, rank, world
        mixers = [
            kind(alpha=float(alpha), num_classes=classes)
            for kind, alpha in zip((v2.MixUp, v2.CutMix), mix, strict=True)
            if alpha
        ]
        self.mixer: Any = v2.RandomChoice(mixers) if mixers else None

    def __len__(self) -> int:
        whole, rest = divmod(len(self.pictures), self.size)
        least = self.world if self.is_random else 1
        return whole + (rest >= least)

    def __iter__(self) -> Iterator[Batch]:
        return self.epoch(0)

    def in_order(self) -> PictureBatches:
        """The same pictures, each once, in order and without mixing."""
        other = copy(self)
        other.is_random, other.balanced, other.mixer = False, False, None
        return other

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch ``start`` on.

        Worker processes are started for each epoch and end with the iterator, also if it is closed early.

        Raises:
            OutOfMemoryError: a worker process was killed.
        """
        left = range(start, len(self))
        # Without a generator of its own, the loader would draw from the default one.
        loader: DataLoader[Batch] = DataLoader(
            _Epoch(self, number, self._order(number)), batch_size=None, sampler=left, generator=torch.Generator(),
            collate_fn=Batch._make, num_workers=min(self.workers, len(left)), worker_init_fn=_start_worker,
        )  # fmt: skip
        batches = iter(loader)
        try:
            yield from batches
        except RuntimeError as error:
            if "DataLoader worker (pid" not in str(error):
                raise
            raise OutOfMemoryError(
                f"a process that reads pictures has ended: {str(error).partition(chr(10))[0]}",
                f"if memory or /dev/shm is full, use a smaller batch or {argument('workers', self.workers // 2)}",
            ) from None
        finally:
            # Not left to the garbage collector: the traceback of an error keeps this frame, and with it the processes.
            getattr(batches, "_shutdown_workers", lambda: None)()

    def _order(self, number: int) -> Int64[Tensor, " n"]:
        """The indices of the pictures in the order of an epoch."""
        count, generator = len(self.pictures), torch.Generator().manual_seed(_seed(self.seed, number, _ORDER))
        if self.balanced:
            targets = torch.tensor(self.pictures.targets)
            weights = targets.bincount(minlength=self.classes).double().reciprocal()[targets]
            return weights.multinomial(count, replacement=True, generator=generator)
        return torch.randperm(count, generator=generator) if self.is_random else torch.arange(count)


class _View(NamedTuple):
    """One augmented picture, its class and name."""

    image: Float[Tensor, "3 h w"]
    target: int
    name: str


@dataclass(frozen=True, eq=False)
class _Epoch(Dataset[Batch]):
    """The batches of an epoch by their number, as worker processes make them."""

    batches: PictureBatches
    number: int
    order: Int64[Tensor, " n"]

    def __getitem__(self, batch: int) -> Batch:
        made = self.batches
        start = batch * made.size
        stop = min(start + made.size, len(self.order))
        own = range(*(start + (stop - start) * rank // made.world for rank in (made.rank, made.rank + 1)))
        with torch.random.fork_rng(devices=[]):
            found = [self._view(position) for position in own]
            views = [view for view in found if isinstance(view, _View)]
            images = torch.stack([view.image for view in views]) if views else torch.empty(0, 3, 0, 0)
            targets = torch.tensor([view.target for view in views], dtype=torch.int64)
            if made.mixer:
                others = (*range(own.start - 1, start - 1, -1), *range(stop - 1, own.stop - 1, -1))
                images, targets = self._mixed(batch, images, targets, others)
        unreadable = tuple(reason for reason in found if isinstance(reason, str))
        return Batch(images, targets, tuple(view.name for view in views), unreadable)

    def _view(self, position: int) -> _View | str:
        """The picture at this position of the order, or the reason why it can't be read."""
        pictures, index = self.batches.pictures, int(self.order[position])
        name = pictures.names[index]
        try:
            image = pictures.open(index)
        except VggappsError as error:
            return error.message if error.message.startswith(name) else f"{name}: {error.message}"
        # torch.manual_seed takes 100 times as long, because it seeds all devices.
        torch.default_generator.manual_seed(_seed(self.batches.seed, self.number, _VIEW, position))
        return _View(self.batches.transform(image), pictures.targets[index], name)

    def _mixed(self, batch: int, images: Tensor, targets: Tensor, others: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The pictures of this rank, each mixed with the picture before it, the first with the last of all ranks.

        ``others`` are the positions of the other ranks' pictures, from those before this rank's backwards.
        """
        if not len(images):
            return images, torch.empty(0, self.batches.classes)
        found = (self._view(position) for position in others)
        before = [view for view in found if isinstance(view, _View)][:1]
        images = torch.cat([*(view.image[None] for view in before), images])
        targets = torch.cat([torch.tensor([view.target for view in before], dtype=torch.int64), targets])
        torch.default_generator.manual_seed(_seed(self.batches.seed, self.number, _MIX, batch))
        images, targets = self.batches.mixer(images, targets)
        return images[len(before) :], targets[len(before) :]


def _seed(*numbers: int) -> int:
    """A seed that depends on all of these numbers."""
    return int.from_bytes(hashlib.blake2b(struct.pack(f"<{len(numbers)}q", *numbers), digest_size=8).digest())


def _start_worker(_: int) -> None:
    """Leave Ctrl-C to the main process, and the iterators that this process has inherited from it.

    Collected here as garbage, they would try to end processes that are not children of this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
