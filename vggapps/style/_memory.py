"""The memory of a run, and whether it is done in one piece or in tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from vggapps._memory import free_memory
from vggapps.errors import OutOfMemoryError, argument

# Peak bytes per pixel of a forward and backward pass to relu5_1 of VGG-19, with statistics in float32, above the loaded
# network: measured at 512 px (1.34 and 1.92 kB; at 900 px 1.24 and 1.47) and rounded up.
BYTES_PER_PIXEL = {torch.bfloat16: 1500, torch.float32: 2100}
GATHERED = 32  # bytes per pixel of the whole picture's relu4_2 in float32, the target of the tiles
TILE = 512  # pixels; side of a tile's core. With a margin of 80 px on each side it costs as much as a 672 px picture.


@dataclass(frozen=True)
class MemoryPlan:
    """How a run uses memory.

    Attributes:
        tile: side of the tiles in pixels, or None for one piece.
        bytes: estimated peak above the loaded network.
        free: available bytes.
    """

    tile: int | None
    bytes: int
    free: int

    def __str__(self) -> str:
        how = "in one piece" if self.tile is None else f"in tiles of {self.tile} px"
        return f"{how}, about {self.bytes / 1e9:.1f} GB of memory ({self.free / 1e9:.1f} GB are free)"


def plan_memory(
    size: tuple[int, int], copies: int, dtype: torch.dtype, device: torch.device, inputs: int = 0
) -> MemoryPlan:
    """Choose one piece if it needs at most half of the available memory, else tiles.

    Args:
        size: (height, width) of the result.
        copies: float32 pictures that the optimizer keeps.
        dtype: of the convolutions.
        device: of the network.
        inputs: bytes of photo and styles.
    """
    pixels, free = size[0] * size[1], free_memory(device)
    pictures = 4 * 3 * pixels * (copies + 8) + inputs
    features = BYTES_PER_PIXEL[dtype]
    in_one = features * pixels + pictures
    if in_one <= free / 2:
        return MemoryPlan(None, in_one, free)
    return MemoryPlan(TILE, features * min(pixels, (TILE + 160) ** 2) + pictures + GATHERED * pixels, free)


def too_large(size: tuple[int, int], needed: int, free: int) -> OutOfMemoryError:
    """The error for a result of (height, width) that needs more bytes than are free; it proposes a size that fits."""
    height, width = size
    return OutOfMemoryError(
        f"{width} x {height} px takes about {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free",
        f"try {argument('size', max(32, int(max(size) * math.sqrt(free / needed)) // 32 * 32))}",
    )
