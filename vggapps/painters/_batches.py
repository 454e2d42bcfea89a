"""What a painter learns from: random parts of photos, each with a style and a strength."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms import v2  # type: ignore[import-untyped]

from vggapps.painters._loss import Wanted
from vggapps.painters._motion import moved, random_motion
from vggapps.painters._network import Painter
from vggapps.training import PictureBatches, Pictures
from vggapps.training._augmentation import Transform

_AREA = (0.1, 0.6)  # of the parts, relative to the photo
_ASPECT = (3 / 4, 4 / 3)
_NOISE = 0.0015  # of the copies that are moved
_NORMAL, _LEAST = 0.5, 0.1  # half of the batches have the normal strength, the others a random one from the least to 1
# At the beginning all are near 1, and the least strength is only reached after this part of the steps: a painter that
# has to keep the content from the start learns to change the colours and little else.
_DESCENT = 0.4


class PainterBatch(NamedTuple):
    """Parts of photos with the scales and shifts to use, and what they are painted for; see ``training.Batch``."""

    inputs: tuple[Tensor, Tensor]
    wanted: Wanted
    files: tuple[str, ...]
    unreadable: tuple[str, ...]


class PainterBatches:
    """``steps`` batches of parts of photos, as one epoch.

    Args:
        photos: each is seen equally often.
        painter: that is trained.
        steps: number of batches.
        size: side of the parts in pixels.
        count: of parts in a batch.
        styles: those that are drawn at random; by default all of the painter.
        motion: whether moved copies of the first half of each batch are painted, too.
        seed: of all random choices but styles and strengths, which are from torch's default generator.
        workers: processes that read.
    """

    def __init__(
        self,
        photos: Pictures,
        painter: Painter,
        steps: int,
        *,
        size: int,
        count: int,
        styles: Sequence[str] | None = None,
        motion: bool = False,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        crop = v2.RandomResizedCrop(size, scale=_AREA, ratio=_ASPECT)
        to_floats = v2.ToDtype(torch.float32, scale=True)
        views = Transform((v2.ToImage(), crop, v2.RandomHorizontalFlip(), to_floats), at_least=3 * size)
        self.photos = PictureBatches(photos, views, count, classes=1, seed=seed, workers=workers)
        self.painter, self.steps, self.motion = painter, steps, motion
        self.styles = tuple(styles or painter.styles)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[PainterBatch]:
        return self.epoch(0)

    def epoch(self, _: int, start: int = 0) -> Iterator[PainterBatch]:
        """The batches from ``start`` on."""
        while start < self.steps:
            epoch, begun = divmod(start, len(self.photos))
            for batch in self.photos.epoch(epoch, begun):
                yield self._painted(batch.images, batch.files, batch.unreadable, start / self.steps)
                start += 1
                if start == self.steps:
                    return

    def _painted(
        self, photos: Tensor, files: tuple[str, ...], unreadable: tuple[str, ...], fraction: float
    ) -> PainterBatch:
        strength = _strength(fraction)
        rows = torch.randint(len(self.styles), (len(photos),))
        mixes = [self.painter.mix({name: 1.0}, strength) for name in self.styles]
        wanted, inputs = Wanted(photos, rows, strength), photos
        if self.motion and len(photos):  # there is none if none of a batch can be read
            first = photos[: (len(photos) + 1) // 2]
            motion = random_motion(len(first), (photos.shape[2], photos.shape[3]))
            copies = moved(first, motion)
            wanted, inputs = (
                replace(wanted, motion=motion),
                torch.cat([photos, copies + _NOISE * torch.randn_like(copies)]),
            )
            rows = torch.cat([rows, rows[: len(first)]])
        return PainterBatch((inputs, torch.cat(mixes)[rows]), wanted, files, unreadable)


def _strength(fraction: float) -> float:
    """A random strength for a batch after that fraction of the training."""
    least = 1 - (1 - _LEAST) * min(1.0, fraction / _DESCENT)
    normal = least <= _NORMAL and bool(torch.rand(()) < 0.5)
    return _NORMAL if normal else float(torch.empty(()).uniform_(least, 1))
