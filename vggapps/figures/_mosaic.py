"""Square pictures side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.image import resize


def mosaic(
    pictures: Sequence[Float[Tensor, "1 3 s s"] | None], columns: int, strengths: Sequence[float] | None = None
) -> Float[Tensor, "1 3 h w"]:
    """Square pictures side by side on white, row by row; None leaves a place white.

    Args:
        pictures: all of the same size.
        columns: in a row.
        strengths: of each in [0, 1]: the weaker, the smaller it is drawn, by area; None for all alike.
    """
    side = next(picture.shape[3] for picture in pictures if picture is not None)
    paper = torch.ones(1, 3, math.ceil(len(pictures) / columns) * side, columns * side)
    for number, picture in enumerate(pictures):
        if picture is None:
            continue
        drawn = side if strengths is None else max(1, round(side * math.sqrt(strengths[number])))
        row, column = divmod(number, columns)
        top, left = row * side + (side - drawn) // 2, column * side + (side - drawn) // 2
        paper[:, :, top : top + drawn, left : left + drawn] = resize(picture, (drawn, drawn))
    return paper
