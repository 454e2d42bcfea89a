"""How much memory a run takes, and whether it is done in one piece or tile by tile."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vggapps.style._available import available_memory

# Bytes for each pixel of a forward and backward pass to relu5_1 of VGG-19 with the statistics in float32: the peak
# above the loaded network, measured at 512 px (1.34 and 1.92 kB; at 900 px 1.24 and 1.47) and rounded up.
BYTES_PER_PIXEL = {torch.bfloat16: 1500, torch.float32: 2100}
GATHERED = 32  # bytes for each pixel of the whole picture that tiles are compared with: relu4_2 in float32
TILE = 512  # pixels; a tile's core. With its margin of 80 px a side it costs what a 672 px picture costs.


@dataclass(frozen=True)
class MemoryPlan:
    """What a run will take.

    Attributes:
        tile: side of the tiles in pixels, or None for one piece.
        bytes: estimated peak above the loaded network.
        free: bytes that are free now.
    """

    tile: int | None
    bytes: int
    free: int

    def __str__(self) -> str:
        how = "in one piece" if self.tile is None else f"in tiles of {self.tile} px"
        return f"{how}, about {self.bytes / 1e9:.1f} GB of memory ({self.free / 1e9:.1f} GB are free)"


def free_memory(device: torch.device) -> int:
    """Bytes that can be had on a device now; for the processor see :func:`available_memory`."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return available_memory()[0]


def plan_memory(
    size: tuple[int, int], copies: int, dtype: torch.dtype, device: torch.device, inputs: int = 0
) -> MemoryPlan:
    """Choose one piece where it takes at most half of what is free, else tiles.

    Args:
        size: (height, width) of the result.
        copies: float32 pictures that the optimiser keeps.
        dtype: of the convolutions.
        device: where they run.
        inputs: bytes that photo and styles hold throughout the run, where they are large.
    """
    pixels, free = size[0] * size[1], free_memory(device)
    held = 4 * 3 * pixels * (copies + 8) + inputs
    features = BYTES_PER_PIXEL[dtype]
    in_one = features * pixels + held
    if in_one <= free / 2:
        return MemoryPlan(None, in_one, free)
    return MemoryPlan(TILE, features * min(pixels, (TILE + 160) ** 2) + held + GATHERED * pixels, free)
