"""Reading the samples of a picture a few rows at a time.

This way only the decoded picture and the resulting tensor are in memory at full size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

Rows = Callable[[int, int], NDArray[np.float32]]
"""``rows(top, bottom)`` returns (rows, width, channels) in [0, 1]: grey or RGB, optionally followed by opacity."""

_STRIP = 1 << 20  # pixels


def gathered(rows: Rows, height: int, width: int, divisor: int) -> Float[Tensor, "1 c h w"]:
    """All rows of a picture of that size, whose sides `rows` divides (rounded up)."""
    step = max(1, _STRIP // (width * divisor)) * divisor  # no block of pixels that is averaged spans two strips
    gathered: NDArray[np.float32] | None = None
    for top in range(0, height, step):
        strip = rows(top, min(top + step, height)).transpose(2, 0, 1)
        if gathered is None:
            gathered = np.empty((strip.shape[0], -(-height // divisor), strip.shape[2]), np.float32)
        gathered[:, top // divisor : top // divisor + strip.shape[1]] = strip
    assert gathered is not None, "a picture has rows"
    return torch.from_numpy(gathered)[None]


def divided(samples: NDArray[np.float32], divisor: int) -> NDArray[np.float32]:
    """Means of blocks of `divisor` x `divisor` samples; transparent pixels do not contribute their colour."""
    if divisor == 1:
        return samples
    transparent = samples.shape[-1] in (2, 4)
    if transparent:
        samples = np.concatenate([samples[..., :-1] * samples[..., -1:], samples[..., -1:]], -1)
    for axis in (0, 1):
        starts = np.arange(0, samples.shape[axis], divisor)
        counts = np.diff([*starts, samples.shape[axis]]).astype(np.float32)
        sums = np.add.reduceat(samples, starts, axis)
        samples = np.divide(sums, np.expand_dims(counts, (1 - axis, 2)), dtype=np.float32)
    if transparent:
        samples[..., :-1] /= samples[..., -1:].clip(1e-6)
    return samples
