"""Layers that compute in float32 at least, also under autocast, and whose weights ``accelerate`` leaves in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """Disable autocast on the tensor's device; on meta, which has no autocast, nothing is to disable."""
    return nullcontext() if tensor.is_meta else torch.autocast(tensor.device.type, enabled=False)


class ExactLinear(nn.Linear):
    """A linear layer in the dtype of its weights, for sums of large numbers with both signs."""

    exact = True

    def forward(self, input: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        with without_autocast(input):
            return super().forward(input.to(self.weight.dtype))


class ResponseNorm(nn.LocalResponseNorm):
    """Local response normalization, whose squares overflow float16; the output has the input's dtype."""

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        with without_autocast(input):
            wide = input.to(torch.promote_types(input.dtype, torch.float32))
            return super().forward(wide).to(input.dtype)


class Radial(nn.Module):
    """Radial basis functions of a row of numbers x: exp(-|s x + b - c|²) for each of many centres c.

    D. Broomhead, D. Lowe, Multivariable functional interpolation and adaptive networks, Complex Systems 2 (1988),
    section 3. A linear layer on top of it is a kernel machine with a fixed number of centres: it learns rare classes
    of few examples, which a linear layer alone averages away.

    Applied to maps it gives a map. It is exact because distances are differences of large numbers.
    """

    exact = True

    def __init__(self, inputs: int, centres: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(centres, inputs))  # the centres c
        self.scale = nn.Parameter(torch.ones(inputs))  # s, which includes the width of the functions
        self.bias = nn.Parameter(torch.zeros(inputs))  # b

    def forward(self, x: Float[Tensor, "n d ..."]) -> Float[Tensor, "n centres ..."]:
        dtype = torch.promote_types(self.scale.dtype, torch.float32)
        shape = (1, -1, *[1] * (x.ndim - 2))
        scale, bias, centres = (p.to(dtype) for p in (self.scale, self.bias, self.weight))
        with without_autocast(x):
            y = x.to(dtype) * scale.view(shape) + bias.view(shape)
            product = F.linear(y, centres) if y.ndim == 2 else F.conv2d(y, centres[:, :, None, None])
            square = y.square().sum(1, keepdim=True) + centres.square().sum(1).view(shape)
            return (2 * product - square).clamp(max=0).exp().to(self.scale.dtype)

    def extra_repr(self) -> str:
        return f"inputs={self.weight.shape[1]}, centres={self.weight.shape[0]}"
