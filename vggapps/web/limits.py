"""The limits of a page on a shared machine."""

from __future__ import annotations

from dataclasses import dataclass

from vggapps.errors import SettingsError
from vggapps.settings import check, setting


@dataclass(frozen=True)
class Limits:
    """What the page accepts."""

    max_upload: float = setting(20.0, minimum=0.01, help="Largest file that is accepted, in MB.", panel="Limits")
    max_pixels: float = setting(
        24.0, minimum=0.01, help="Largest picture that is accepted, in millions of pixels.", panel="Limits"
    )
    max_size: int = setting(
        1024, minimum=128, maximum=32768, help="Longest side of pictures that are made, in pixels.", panel="Limits"
    )
    max_work: float = setting(
        130.0,
        minimum=0.1,
        help="Largest run: pixels times steps, in millions; 120 steps at 1024 x 1024 are 126.",
        panel="Limits",
    )
    max_seconds: float = setting(
        300.0, minimum=1, help="Longest run in seconds; the picture made by then is kept.", panel="Limits"
    )
    max_waiting: int = setting(
        32, minimum=0, help="How many runs may wait: long ones, and as many quick ones.", panel="Limits"
    )

    def __post_init__(self) -> None:
        check(self)

    def check_work(self, size: int, steps: int, pictures: int = 1) -> None:
        """Check the work of a run.

        Args:
            size: longer side in pixels.
            steps: number of steps.
            pictures: number of pictures optimized together.

        Raises:
            SettingsError: it exceeds the limits; the hint suggests smaller values.
        """
        if size > self.max_size:
            raise SettingsError(
                f"{size} pixels per side are more than this page makes", f"choose up to {self.max_size}"
            )
        work = size * size * steps * pictures / 1e6
        if work > self.max_work:
            fewer = int(steps * self.max_work / work)
            smaller = int(size * (self.max_work / work) ** 0.5) // 32 * 32
            advice = [f"up to {fewer} steps"] * (fewer > 0) + [f"a size of {smaller}"] * (smaller > 0)
            raise SettingsError(
                f"{steps} steps at {size} pixels are more than this page does in one go",
                "choose " + (" or ".join(advice) or "a smaller size and fewer steps"),
            )
