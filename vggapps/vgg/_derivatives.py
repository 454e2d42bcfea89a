"""Detection of ``torch.func`` transforms and forward-mode autograd."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual
from torch.func import debug_unwrap


def is_transformed(*tensors: Tensor) -> bool:
    """Whether a tensor is inside a ``torch.func`` transform (``grad``, ``vmap``, ``jvp``...) or forward-mode autograd.

    A custom backward pass, or one with checkpointing, does not work there: plain operations must run instead.
    """
    if torch.compiler.is_compiling():  # the compiler traces the operations
        return False
    return any(debug_unwrap(t) is not t or unpack_dual(t).tangent is not None for t in tensors)  # type: ignore[no-untyped-call]


def unwrapped(tensor: Tensor) -> Tensor:
    """The tensor inside a ``torch.func`` wrapper, detached, to read values: of ``vmap`` the whole batch."""
    return tensor if torch.compiler.is_compiling() else debug_unwrap(tensor).detach()  # type: ignore[no-untyped-call]
