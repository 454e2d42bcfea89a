"""What a picture is here, and which files hold one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from vggapps.image._metadata import Metadata

SUFFIXES = frozenset(
    "jpg jpeg jpe jfif png webp tif tiff bmp gif heic heif avif jp2 j2k ppm pgm pbm pnm tga".split()  # noqa: SIM905
)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in memory.

    Attributes:
        rgb: sRGB (gamma-coded, not linear), [0, 1], float32. A transparent picture is already laid over one
            colour, the mean of what can be seen.
        alpha: opacity in [0, 1], 1 where the picture covers; None if it covers everywhere.
        name: the file's name without its folder, for messages and for naming outputs.
        notes: what a user should know about how the file was read, a line each.
        metadata: who made the photo, when, with what, and its resolution: what `save_picture` writes into the file
            of the result. None leaves it out.
        full: (height, width) of the file, upright, where the picture was read smaller or larger; else None.
    """

    rgb: Float[Tensor, "1 3 h w"]
    alpha: Float[Tensor, "1 1 h w"] | None = None
    name: str = "picture"
    notes: tuple[str, ...] = ()
    metadata: Metadata | None = None
    full: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb.shape[-2], self.rgb.shape[-1]


def is_picture_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name promises a picture, for walking folders. Hidden files (``._a.jpg``) never do."""
    path = Path(path)
    return path.suffix.lower().removeprefix(".") in SUFFIXES and not path.name.startswith(".")
