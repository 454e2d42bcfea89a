"""The frequencies of natural pictures."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load
from torch import Tensor

from vggapps.errors import PictureError
from vggapps.image import center, look_into, open_picture, with_shorter_side
from vggapps.optimize._parameterize import spectrum_of

SIDE = 128
"""Side of the centre crop, in pixels; the picture's shorter side is scaled to twice that first."""


def load_spectrum(folder: str | Path | None = None) -> Float[Tensor, "3 h w"]:
    """The mean spectrum of the pictures in a folder, or the one that comes with vggapps.

    Raises:
        PictureError: there is no picture in the folder, or one of them can't be read.
    """
    if folder is None:
        data = (resources.files("vggapps") / "data" / "spectrum.safetensors").read_bytes()
        return load(data)["spectrum"].float()
    paths = look_into(folder).pictures
    if not paths:
        raise PictureError(f"{folder}: there is no picture in this folder", "give a folder of photographs")
    return torch.stack(
        [spectrum_of(spectrum_square(open_picture(path, at_least=2 * SIDE).rgb)) for path in paths]
    ).mean(0)


def spectrum_square(image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 s s"]:
    """The square in the middle, half the shorter side, whose frequencies are taken."""
    return center(with_shorter_side(image, 2 * SIDE), SIDE)
