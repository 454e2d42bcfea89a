"""A layer of radial basis functions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.vgg._exact import without_autocast


class Radial(nn.Module):
    """How near a row of numbers is to each of many centres: exp(-|s x + b - c|²).

    D. Broomhead, D. Lowe, Multivariable functional interpolation and adaptive networks, Complex Systems 2 (1988),
    section 3. A linear layer on top of it is a kernel machine that keeps some thousand centres for all examples: it
    remembers the few pictures of a rare class, which a linear layer alone averages away.

    Applied to maps it gives a map. Distances are differences of large numbers, and what is made of them is sums of
    large numbers with both signs: this layer and the next stay in float32 where others are rounded to bfloat16, and
    whatever autocast says.
    """

    exact = True

    def __init__(self, inputs: int, centres: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(centres, inputs))  # the centres c
        self.scale = nn.Parameter(torch.ones(inputs))  # s, in which the functions' width is
        self.bias = nn.Parameter(torch.zeros(inputs))  # b

    def forward(self, x: Float[Tensor, "n d ..."]) -> Float[Tensor, "n centres ..."]:
        """Between 0 and 1."""
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
