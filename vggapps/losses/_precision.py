"""Losses in at least float32: squares, sums and roots in half precision are too inexact to train on."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.vgg._exact import without_autocast

Comparison = TypeVar("Comparison", bound=Callable[..., Any])


def in_float32(loss: Comparison) -> Comparison:
    """A loss of two maps that computes in at least float32, also under autocast; it checks batch size and channels."""

    @wraps(loss)
    def run(x: Tensor, y: Tensor, *more: Any, **options: Any) -> Any:
        if x.shape[:2] != y.shape[:2]:
            counts = " and ".join(f"{f.shape[0]} × {f.shape[1]}" for f in (x, y))
            raise SettingsError(
                f"the maps to compare have pictures × channels {counts}",
                "take both from the same layer, for the same number of pictures",
            )
        with without_autocast(x):
            dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
            return loss(x.to(dtype), y.to(dtype), *more, **options)

    return cast(Comparison, run)


def length(x: Tensor, dim: int) -> Tensor:
    """The Euclidean norm along a dimension; all its derivatives are 0 at 0, where they are undefined."""
    square = x.square().sum(dim)
    is_zero = square == 0
    return square.masked_fill(is_zero, 1).sqrt().masked_fill(is_zero, 0)
