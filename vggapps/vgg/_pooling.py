"""Pooling between the blocks and before the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import unknown
from vggapps.vgg._exact import without_autocast
from vggapps.vgg._plan import Pooled
from vggapps.vgg._plan import Pooling as Pooling

POOLINGS: tuple[Pooling, ...] = ("max", "average", "l2", "mean", "hann")


class Pool(nn.Module):
    """2×2 pooling with stride 2: ``max``, ``average`` or ``l2`` (root mean square).

    Average and L2 pooling shrink activations that were trained with max pooling, so they are scaled by 1.5 and 1.4.
    With these factors the root mean square at the five poolings of VGG-19 stays within a factor of 1.6 of max
    pooling's on photographs. The factors 2.0 and 1.56 used elsewhere give 2.8-4.1 and 1.6-2.0 times as much at pool5.

    Published losses need two more: ``mean``, average pooling without the factor (LaMa; Gatys 2016), and ``hann``, the
    root mean square under a 3×3 Hann window (DISTS, Ding 2020, eq. 3), which rounds sizes up.
    """

    def __init__(self, kind: Pooling = "max") -> None:
        super().__init__()
        if kind not in POOLINGS:
            raise unknown("pooling", kind, POOLINGS)
        self.kind = kind

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h/2 w/2"]:
        """Pool; an odd last row or column is dropped, as in torchvision."""
        if self.kind == "max":
            return F.max_pool2d(x, 2)
        if self.kind == "average":
            return F.avg_pool2d(x, 2) * 1.5
        if self.kind == "mean":
            return F.avg_pool2d(x, 2)
        if self.kind == "hann":
            return _root_mean_square(x, _hann)
        return _root_mean_square(x, lambda s: F.avg_pool2d(s, 2)) * 1.4

    def extra_repr(self) -> str:
        return self.kind


def _root_mean_square(x: Tensor, mean: Callable[[Tensor], Tensor]) -> Tensor:
    """In float32 at least, also under autocast: float16 cannot hold the squares, or the epsilon.

    The epsilon keeps the gradient finite where all activations are zero.
    """
    with without_autocast(x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return (mean(wide.square()) + 1e-12).sqrt().to(x.dtype)


def _hann(x: Tensor) -> Tensor:
    window = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype).to(
        x.device, non_blocking=True
    )  # without synchronizing a GPU
    kernel = (window[:, None] * window).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


class Flatten(nn.Module):
    """Flatten to one row per image; maps of another size are averaged to 7×7 first, as in torchvision.

    This is *not* the paper's dense evaluation, which is the head ``conv``. With a ``window``, each sliding window of
    window × window positions becomes a row.
    """

    def __init__(self, window: int | None = None) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c*49 ..."]:
        if self.window is None:
            return F.adaptive_avg_pool2d(x, 7).flatten(1)
        # Averages over rows, then over columns: each is a convolution with the weights of adaptive pooling.
        weights = F.adaptive_avg_pool1d(torch.eye(self.window), 7).T.to(x, non_blocking=True)
        rows = F.conv2d(x.flatten(0, 1)[:, None], weights[:, None, :, None])
        cells = F.conv2d(rows.flatten(0, 1)[:, None], weights[:, None, None, :])
        return cells.view(len(x), -1, *cells.shape[2:])


class Sliding(nn.Conv2d):
    """A linear layer as a convolution; where it has one position, it is computed as linear, ten times as fast."""

    def __init__(self, *arguments: Any, exact: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.exact = exact  # whether it stays in float32 where other layers use bfloat16

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        if not self.exact:
            return self._convolve(input)
        with without_autocast(input):
            return self._convolve(input.to(self.weight.dtype))

    def _convolve(self, input: Tensor) -> Tensor:
        if input.shape[2:] != self.weight.shape[2:]:
            return super().forward(input)
        weight = self.weight
        if weight.is_contiguous(memory_format=torch.channels_last):  # in its memory order, without a copy
            input, weight = input.permute(0, 2, 3, 1), weight.permute(0, 2, 3, 1)
        return F.linear(input.flatten(1), weight.flatten(1), self.bias)[:, :, None, None]


class Summarize(nn.Module):
    """Pool a map over all positions, see ``Pooled``; with a ``window``, over sliding windows of window × window.

    Windows apply a network trained on images of one size, and so on maps of one size, to larger images.
    """

    def __init__(self, pooled: Pooled, window: int | None = None) -> None:
        super().__init__()
        self.pooled, self.window = pooled, window

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d ..."]:
        found = []
        if self.pooled.radial:  # the next layer computes in float32
            x = x.float()
        for summary in self.pooled.summary.split("+"):
            if self.window:
                slide = F.avg_pool2d if summary == "avg" else F.max_pool2d
                found.append(slide(x, self.window, stride=1))
            else:
                found.append(x.mean((2, 3)) if summary == "avg" else x.amax((2, 3)))
        row = torch.cat(found, 1)
        return signed_root(row) if self.pooled.root else row


def signed_root(x: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """sign(x) √|x|, with gradient 0 at 0."""
    return x.sign() * x.abs().masked_fill(x == 0, 1).sqrt()
