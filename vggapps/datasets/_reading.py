"""Pictures on their way to a network: decoded and scaled in worker processes, in order, a few at a time."""

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
FEW = 8  # below so many pictures starting a process takes longer than reading them
# How many times as long as wide a strip may be: where all of it is looked at that takes as many times longer, and where
# its middle is, the rest is scaled up only to be thrown away.
LONGEST_WHOLE, LONGEST = 16, 512


@dataclass(frozen=True, eq=False)
class Reading:
    """One picture, or why there is none.

    Attributes:
        index: which of the sources it is.
        scales: the picture at each wanted size, as 8-bit RGB of shape (h, w, 3); none where it can't be read.
        error: what is wrong with the file.
    """

    index: int
    scales: tuple[NDArray[np.uint8], ...] = ()
    error: VggappsError | None = None


def read_pictures(
    sources: Sequence[Source], shorter_sides: Sequence[int], workers: int | None = None, *, whole: bool = False
) -> Iterator[Reading]:
    """Read pictures one after another, in bounded memory; what can't be read is told in its place.

    Args:
        sources: paths, or files' bytes.
        shorter_sides: pixels of the shorter side, for each scale that is wanted; see :func:`scaled_to`.
        workers: processes that read; None for half of the processors and none for a few pictures.
        whole: whether all of a picture is looked at; see :func:`check_strip`.
    """
    if workers is None:
        workers = 0 if len(sources) < FEW else min(8, max(1, (os.cpu_count() or 1) // 2))
    reader = _Reader(sources, tuple(shorter_sides), whole=whole)
    # One item at a time, not batches: pictures differ in size, and the network's batches are made where it runs.
    yield from DataLoader(reader, batch_size=None, num_workers=workers, collate_fn=_as_it_is)


def check_strip(picture: Picture, *, whole: bool) -> None:
    """Refuse a picture that is so long and narrow that looking at it would take minutes, or fill the memory.

    Args:
        picture: of any size.
        whole: whether all of it is looked at, or crops alone.

    Raises:
        PictureError: it is.
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
    """A picture whose shorter side has so many pixels, enlarged if need be: 8-bit RGB, (h, w, 3).

    Bilinear and antialiased on 8 bits, the longer side rounded down, as ``torchvision.transforms.Resize`` does to
    Pillow's pictures: the published accuracies are measured so. What is transparent is laid over white.
    """
    image = on_white(picture)
    width, height = image.size
    short, long = min(width, height), max(width, height)
    side = int(shorter_side * long / short)
    size = (shorter_side, side) if width <= height else (side, shorter_side)
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BILINEAR))


def to_tensor(scaled: NDArray[np.uint8]) -> Float[Tensor, "1 3 h w"]:
    """8-bit RGB, (h, w, 3), as a picture in [0, 1]."""
    return torch.from_numpy(scaled.copy()).permute(2, 0, 1)[None].float() / 255


def scaled_pictures(
    paths: Iterable[str | Path], shorter_side: int
) -> Iterator[tuple[str, Float[Tensor, "1 3 h w"] | None]]:
    """Pictures scaled to a shorter side of so many pixels, with their paths; None for those that can't be read.

    What is wrong with these is told as a warning, so that one bad file among a thousand stops nothing.
    """
    for path in paths:
        try:
            yield str(path), scaled_picture(path, shorter_side)
        except VggappsError as error:
            _log.warning("%s; it is left out", error.message)
            yield str(path), None


def scaled_picture(source: Source, shorter_side: int) -> Float[Tensor, "1 3 h w"]:
    """A picture scaled, up or down, to a shorter side of so many pixels.

    Raises:
        PictureError: it can't be read.
    """
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
            return Reading(
                index, error=OutOfMemoryError("there is not enough memory to read it", "scale it down before")
            )
        return Reading(index, tuple(scaled_to(picture, side) for side in self.sides))


def _as_it_is(item: Any) -> Any:
    return item
