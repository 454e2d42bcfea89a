"""What a picture is here, and which files hold one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from vggapps.image._metadata import Metadata
from vggapps.image._resize import resize

SUFFIXES = frozenset(
    "jpg jpeg jpe jfif png webp tif tiff bmp gif heic heif avif jp2 j2k ppm pgm pbm pnm tga".split()  # noqa: SIM905
)


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """A picture in memory: what :func:`open_picture` reads and what ``stylize``, ``dream`` and others make.

    In a notebook it is shown as an image.

    Attributes:
        rgb: sRGB (gamma-coded, not linear), [0, 1], float32. A transparent picture is already laid over one
            colour, the mean of what can be seen.
        alpha: opacity in [0, 1], 1 where the picture covers; None if it covers everywhere.
        name: the file's name without its folder, for messages and for naming outputs.
        notes: what a user should know about how the file was read, a line each.
        metadata: who made the photo, when, with what, and its resolution: what `save_picture` writes into the file
            of the result. None leaves it out.
        settings: what made the picture, for :func:`read_settings`: :meth:`save` writes them into the file. None for a
            picture that was read.
        full: (height, width) of the file, upright, where the picture was read smaller or larger; else None.
    """

    rgb: Float[Tensor, "1 3 h w"]
    alpha: Float[Tensor, "1 1 h w"] | None = None
    name: str = "picture"
    notes: tuple[str, ...] = ()
    metadata: Metadata | None = None
    settings: Mapping[str, object] | None = None
    full: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb.shape[-2], self.rgb.shape[-1]

    def with_rgb(self, rgb: Float[Tensor, "1 3 h2 w2"]) -> Picture:
        """The same picture with other colours, of any size: its name, transparency (scaled) and metadata stay.

        Args:
            rgb: in [0, 1].
        """
        size = (rgb.shape[2], rgb.shape[3])
        alpha = None if self.alpha is None else resize(self.alpha, size)
        return replace(self, rgb=rgb, alpha=alpha, notes=(), settings=None)

    def save(
        self,
        target: str | os.PathLike[str],
        *,
        bits: int = 8,
        quality: int | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write the picture with its settings and metadata; the arguments and errors are :func:`save_picture`'s."""
        from vggapps.image._write import save_picture

        return save_picture(self, target, bits=bits, quality=quality, overwrite=overwrite)

    def show(self) -> None:
        """Open the picture in the system's image viewer."""
        from vggapps.image._encode import to_pil

        to_pil(self).show(self.name)

    def __repr__(self) -> str:
        return f"<Picture {self.name!r}, {self.size[1]} x {self.size[0]} pixels>"

    def _repr_png_(self) -> bytes:
        """The picture in a notebook."""
        from vggapps.image._encode import encode_picture

        return encode_picture(replace(self, settings=None), "png")


def is_picture_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name promises a picture, for walking folders. Hidden files (``._a.jpg``) never do."""
    path = Path(path)
    return path.suffix.lower().removeprefix(".") in SUFFIXES and not path.name.startswith(".")
