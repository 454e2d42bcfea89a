"""Derivatives by other ways than a backward pass: ``torch.func`` and forward mode."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual
from torch.func import debug_unwrap


def transformed(*tensors: Tensor) -> bool:
    """Whether one of them is seen through ``torch.func`` (``grad``, ``vmap``, ``jvp``...) or forward-mode autograd.

    There a backward pass that is written out, or run a second time to save memory, is of no use: the formula that
    autograd can take apart has to run instead.
    """
    if torch.compiler.is_compiling():  # whose graph is made of the operations
        return False
    return any(debug_unwrap(t) is not t or unpack_dual(t).tangent is not None for t in tensors)  # type: ignore[no-untyped-call]


def numbers(tensor: Tensor) -> Tensor:
    """What stands behind a tensor inside ``torch.func``, to be looked at only: of ``vmap``, the whole batch."""
    return tensor if torch.compiler.is_compiling() else debug_unwrap(tensor).detach()  # type: ignore[no-untyped-call]
