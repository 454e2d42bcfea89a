"""Layers that compute in float32 at least, whatever autocast says."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """Autocast off where the tensor is; torch has none on meta, where nothing is computed."""
    return nullcontext() if tensor.is_meta else torch.autocast(tensor.device.type, enabled=False)


class ExactLinear(nn.Linear):
    """A linear layer that autocast leaves alone, as ``accelerate`` does: sums of large numbers with both signs."""

    exact = True

    def forward(self, input: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        """In the dtype of its weights."""
        with without_autocast(input):
            return super().forward(input.to(self.weight.dtype))


class ResponseNorm(nn.LocalResponseNorm):
    """Local response normalisation, whose squares float16 does not hold; the output has the input's dtype."""

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The input over a power of its neighbours' squares."""
        with without_autocast(input):
            wide = input.to(torch.promote_types(input.dtype, torch.float32))
            return super().forward(wide).to(input.dtype)
