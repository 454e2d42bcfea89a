"""How many steps are taken at which size: the qualities of a painting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

LARGE = 512  # longer side in pixels, above which a picture has further scales
Quality = Literal["draft", "normal", "fine"]


@dataclass(frozen=True)
class Schedule:
    """Steps at each scale, coarse to fine.

    Attributes:
        steps: at a quarter, a half and the full size of a picture of up to 512 px. A larger picture has further scales.
            The last one has half as many steps for each doubling of the size, and those between a fifth, as strokes are
            set at the coarse scales.
        style: factor of the style weight. A run that stops early is nearer to the photo than to the style; this evens
            it out.
    """

    steps: tuple[int, int, int]
    style: float = 1.0

    def at(self, longer_side: int) -> list[int]:
        """Steps at each scale of a picture, coarse to fine.

        >>> SCHEDULES["normal"].at(512), SCHEDULES["normal"].at(2048)
        ([12, 10, 10], [12, 10, 2, 2, 3])
        """
        doublings = max(0, math.ceil(math.log2(longer_side / LARGE)))
        *coarse, full = self.steps
        return [*coarse, *[math.ceil(full / 5)] * doublings, math.ceil(full / 2**doublings)]


# Found on pairs of photos and paintings, by both judges of docs/stylize.md.
SCHEDULES: dict[Quality, Schedule] = {
    "draft": Schedule((6, 3, 2), style=2.4),
    "normal": Schedule((12, 10, 10), style=1.6),
    "fine": Schedule((40, 30, 28), style=1.3),
}


def split_steps(quality: Quality, steps: int | None, longer_side: int) -> list[int]:
    """Number of steps at each scale, coarse to fine: those of the quality, or ``steps`` in the same proportions.

    At least one is at full size.

    >>> split_steps("normal", 64, 512)
    [24, 20, 20]
    """
    planned = SCHEDULES[quality].at(longer_side)
    if steps is None:
        return planned
    counts = [round(steps * count / sum(planned)) for count in planned]
    counts[-1] = max(1, counts[-1])
    while sum(counts) > steps:  # rounding may have added some
        counts[counts.index(max(counts[:-1] or counts))] -= 1
    counts[0] += steps - sum(counts)
    return counts
