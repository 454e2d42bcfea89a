"""Comparisons in float32 at least: what half precision makes of squares, sums and roots is no loss to train on."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.vgg._exact import without_autocast

Comparison = TypeVar("Comparison", bound=Callable[..., Any])


def comparison(loss: Comparison) -> Comparison:
    """A loss of two maps, taken in float32 at least and in one dtype, also under autocast.

    Raises:
        SettingsError: (when called) the maps are not of as many pictures and channels.
    """

    @wraps(loss)
    def run(x: Tensor, y: Tensor, *more: Any, **options: Any) -> Any:
        if x.shape[:2] != y.shape[:2]:
            counts = " and ".join(f"{f.shape[0]} × {f.shape[1]}" for f in (x, y))
            raise SettingsError(
                f"pictures × channels of two maps to compare are {counts}",
                "take both from the same layer, for the same number of pictures",
            )
        with without_autocast(x):
            dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
            return loss(x.to(dtype), y.to(dtype), *more, **options)

    return cast(Comparison, run)


def length(x: Tensor, dim: int) -> Tensor:
    """The Euclidean norm along a dimension, of which all derivatives are taken as 0 at 0, where there are none."""
    square = x.square().sum(dim)
    nothing = square == 0
    return square.masked_fill(nothing, 1).sqrt().masked_fill(nothing, 0)
