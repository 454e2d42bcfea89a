"""A picture in memory, and the file names that stand for one."""

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
    """A picture in memory, as returned by :func:`open_picture`, ``stylize``, ``dream`` and others.

    Notebooks display it as an image.

    Attributes:
        rgb: sRGB (gamma-coded, not linear), [0, 1], float32. Transparent pixels are already composited over one
            colour, the mean of the visible ones.
        alpha: opacity in [0, 1]; None for an opaque picture.
        name: the file's name without its folder, used in messages and for output names.
        notes: what a user should know about how the file was read, one line each.
        metadata: author, date, camera and resolution of the photo, which `save_picture` writes into the result.
            None leaves it out.
        settings: the settings that made the picture: :meth:`save` writes them into the file, :func:`read_settings`
            reads them. None for a picture that was opened.
        full: (height, width) of the upright file if the picture was scaled while it was opened; else None.
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
        """A copy with other colours in [0, 1], of any size; it keeps name, transparency (resized) and metadata."""
        alpha = None if self.alpha is None else resize(self.alpha, (rgb.shape[2], rgb.shape[3]))
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
        from vggapps.image._encode import save_picture

        return save_picture(self, target, bits=bits, quality=quality, overwrite=overwrite)

    def show(self) -> None:
        """Open the picture in the system's image viewer."""
        from vggapps.image._encode import to_pil

        to_pil(self).show(self.name)

    def __repr__(self) -> str:
        return f"<Picture {self.name!r}, {self.size[1]} x {self.size[0]} pixels>"

    def _repr_png_(self) -> bytes:
        from vggapps.image._encode import encode_picture

        return encode_picture(replace(self, settings=None), "png")


def is_picture_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file has the suffix of a picture format. Hidden files (``._a.jpg``) do not count."""
    path = Path(path)
    return path.suffix.lower().removeprefix(".") in SUFFIXES and not path.name.startswith(".")
