"""Read pictures for a network: decoded and scaled by worker processes, in order and in bounded memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vggapps.errors import OutOfMemoryError, PictureError, VggappsError, out_of_memory
from vggapps.image import Picture, on_white, open_picture, with_shorter_side
from vggapps.image._opening import Source

_log = logging.getLogger(__name__)
FEW = 8  # for fewer pictures, starting a worker process takes longer than reading them
# Largest aspect ratio: with the whole picture, run time grows with it; with crops, the scaled-up rest is wasted.
LONGEST_WHOLE, LONGEST = 16, 512


@dataclass(frozen=True, eq=False)
class Reading:
    """One picture, or the error that prevented reading it.

    Attributes:
        index: of the source.
        scales: the picture at each requested size, 8-bit RGB of shape (h, w, 3); empty if it can't be read.
        error: why it can't be read.
    """

    index: int
    scales: tuple[NDArray[np.uint8], ...] = ()
    error: VggappsError | None = None


def read_pictures(
    sources: Sequence[Source], shorter_sides: Sequence[int], workers: int | None = None, *, whole: bool = False
) -> Iterator[Reading]:
    """Read pictures in order and in bounded memory; a picture that can't be read gives a reading with an error.

    Args:
        sources: paths, or contents of files.
        shorter_sides: pixels of the shorter side at each scale; see :func:`scaled_to`.
        workers: worker processes; by default half the processors, or none for a few pictures.
        whole: whether the whole picture is used, not only crops; see :func:`check_strip`.
    """
    if workers is None:
        workers = 0 if len(sources) < FEW else min(8, max(1, (os.cpu_count() or 1) // 2))
    reader = _Reader(sources, tuple(shorter_sides), whole=whole)
    # No batches here: pictures differ in size, and the caller batches them for its network.
    yield from DataLoader(reader, batch_size=None, num_workers=workers, collate_fn=_unchanged)


def check_strip(picture: Picture, *, whole: bool) -> None:
    """Reject a picture so long and narrow that it would take minutes or exhaust memory.

    The limit is lower if the ``whole`` picture is used, not only crops.
    """
    short, long = sorted(picture.size)
    if long > short * (LONGEST_WHOLE if whole else LONGEST):
        height, width = picture.size
        name = f"{picture.name}: " if picture.name else ""
        raise PictureError(
            f"{name}{width} x {height} px is too long a strip: one side is {round(long / short)} times the other",
            f"cut it into parts of at most {LONGEST_WHOLE} times their width",
        )


def scaled_to(picture: Picture, shorter_side: int) -> NDArray[np.uint8]:
    """Resize a picture to this shorter side, up or down: 8-bit RGB, (h, w, 3).

    Bilinear and antialiased on 8 bits, the longer side rounded down, as ``torchvision.transforms.Resize`` resizes
    Pillow images; published accuracies are measured this way. Transparency is composited on white.
    """
    image = on_white(picture)
    width, height = image.size
    short, long = min(width, height), max(width, height)
    side = int(shorter_side * long / short)
    size = (shorter_side, side) if width <= height else (side, shorter_side)
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BILINEAR))


def to_tensor(scaled: NDArray[np.uint8]) -> Float[Tensor, "1 3 h w"]:
    """Convert 8-bit RGB, (h, w, 3), to a tensor in [0, 1]."""
    return torch.from_numpy(scaled.copy()).permute(2, 0, 1)[None].float() / 255


def scaled_pictures(
    paths: Iterable[str | Path], shorter_side: int
) -> Iterator[tuple[str, Float[Tensor, "1 3 h w"] | None]]:
    """Paths and pictures scaled to this shorter side; a picture that can't be read is None, with a logged warning."""
    for path in paths:
        try:
            yield str(path), scaled_picture(path, shorter_side)
        except VggappsError as error:
            _log.warning("%s; it is left out", error.message)
            yield str(path), None


def scaled_picture(source: Source, shorter_side: int) -> Float[Tensor, "1 3 h w"]:
    """Open a picture and scale it, up or down, to this shorter side."""
    return with_shorter_side(open_picture(source, at_least=2 * shorter_side).rgb, shorter_side)


class _Reader(Dataset):
    def __init__(self, sources: Sequence[Source], sides: tuple[int, ...], *, whole: bool) -> None:
        self.sources, self.sides, self.whole = sources, sides, whole

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Reading:
        try:
            picture = open_picture(self.sources[index], at_least=2 * max(self.sides))
            check_strip(picture, whole=self.whole)
        except VggappsError as error:
            return Reading(index, error=error)
        except Exception as error:
            if not out_of_memory(error):
                raise
            reason = OutOfMemoryError("there is not enough memory to read it", "scale it down first")
            return Reading(index, error=reason)
        return Reading(index, tuple(scaled_to(picture, side) for side in self.sides))


def _unchanged(item: Any) -> Any:  # a lambda could not be sent to worker processes
    return item
