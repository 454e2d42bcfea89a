"""ReLUs that let dead units be reached: where a picture gets no gradient at all, it gets that of what it could wake.

lucid's redirected ReLU (Apache-2.0; the idea, no code). Without it a picture whose target is silent stays grey.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.vgg._hooks import replaced

M = TypeVar("M", bound=nn.Module)


class Redirected(nn.Module):
    """A ReLU. Its gradient is that of a ReLU, but for pictures for which that is zero everywhere."""

    def forward(self, x: Float[Tensor, n * shape]) -> Float[Tensor, n * shape]:
        """The larger of x and 0."""
        found: Tensor = _Redirect.apply(x)  # type: ignore[no-untyped-call]
        return found


class _Redirect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.relu()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        usual = torch.where(x > 0, grad, 0)
        # The loss is minimised: where the gradient is negative, x is to grow, and may so come to life.
        waking = torch.where(grad < 0, grad, 0)
        silent = ~usual.flatten(1).any(1).view(-1, *[1] * (x.ndim - 1))
        return torch.where(silent, waking, usual)


def redirected(network: M) -> M:
    """The network with redirected ReLUs, its weights shared; itself where it has no ReLU modules."""
    if not any(isinstance(module, nn.ReLU) for module in network.modules()):
        return network
    return replaced(network, nn.ReLU, lambda relu: Redirected().train(relu.training))
