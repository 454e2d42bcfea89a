"""What one visitor may ask of a machine that is shared."""

from __future__ import annotations

from dataclasses import dataclass

from vggapps.errors import SettingsError
from vggapps.settings import check, setting


@dataclass(frozen=True)
class Limits:
    """What the page accepts."""

    max_upload: float = setting(20.0, minimum=0.01, help="Largest file that is taken, in MB.", panel="Limits")
    max_pixels: float = setting(24.0, minimum=0.01, help="Largest picture that is taken, in millions.", panel="Limits")
    max_size: int = setting(
        1024, minimum=128, maximum=32768, help="Longest side of pictures that are made, in pixels.", panel="Limits"
    )
    max_work: float = setting(
        130.0,
        minimum=0.1,
        help="Largest run: pixels times steps, in millions; 126 are 120 steps at 1024 x 1024.",
        panel="Limits",
    )
    max_seconds: float = setting(
        300.0, minimum=1, help="Longest run in seconds; the picture that is there by then is kept.", panel="Limits"
    )
    max_waiting: int = setting(32, minimum=0, help="How many may wait in line.", panel="Limits")

    def __post_init__(self) -> None:
        check(self)

    def check_work(self, size: int, steps: int, pictures: int = 1) -> None:
        """Whether a run is small enough.

        Args:
            size: longer side in pixels.
            steps: how many.
            pictures: that are made together.

        Raises:
            SettingsError: it is not; says what would be.
        """
        if size > self.max_size:
            raise SettingsError(f"{size} pixels a side are more than this page makes", f"choose up to {self.max_size}")
        wanted = size * size * steps * pictures / 1e6
        if wanted > self.max_work:
            fits = int(steps * self.max_work / wanted)
            smaller = int(size * (self.max_work / wanted) ** 0.5) // 32 * 32
            advice = [f"up to {fits} steps"] * (fits > 0) + [f"a size of {smaller}"] * (smaller > 0)
            raise SettingsError(
                f"{steps} steps at {size} pixels are more than this page does in one go",
                "choose " + (" or ".join(advice) or "a smaller size and fewer steps"),
            )
