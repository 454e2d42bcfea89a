"""From one number a picture to a batch's loss."""

from __future__ import annotations

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from vggapps.errors import unknown

Reduction = Literal["mean", "sum", "none"]


def check_reduction(reduction: str) -> None:
    """Whether there is such a word."""
    if reduction not in get_args(Reduction):
        raise unknown("reduction", reduction, get_args(Reduction))


def reduced(values: Float[Tensor, " n"], reduction: Reduction) -> Float[Tensor, "*n"]:
    """The pictures' mean or sum; ``none`` leaves them."""
    if reduction == "none":
        return values
    return values.mean() if reduction == "mean" else values.sum()
