"""Poolings: between the blocks, and of all positions at a network's end."""

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
    """Pooling with stride 2: ``max``, ``average`` or ``l2`` (root of the mean square) of 2×2.

    Average and L2 pooling shrink activations that were trained with max pooling; they are scaled back by 1.5
    and 1.4. With these the five pools of the real VGG-19 keep max pooling's root mean square on photographs
    within a factor of 1.6. Larger ones, 2.0 and 1.56, are in use elsewhere: by pool5 they had grown to 2.8-4.1
    and 1.6-2.0.

    Published losses need two more as they are: ``mean``, average pooling without that scale (LaMa; Gatys 2016), and
    ``hann``, the root of the squares' mean under a 3×3 Hann window (DISTS, Ding 2020, eq. 3), which rounds sizes up.
    """

    def __init__(self, kind: Pooling = "max") -> None:
        super().__init__()
        if kind not in POOLINGS:
            raise unknown("pooling", kind, POOLINGS)
        self.kind = kind

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h/2 w/2"]:
        """Pool; a last odd row or column is dropped, as Caffe's and torchvision's networks do."""
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
    """In float32 at least, whatever autocast says: in float16 squares overflow or vanish, and so does the small number.

    It keeps the root's gradient finite where all activations are zero.
    """
    with without_autocast(x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return (mean(wide.square()) + 1e-12).sqrt().to(x.dtype)


def _hann(x: Tensor) -> Tensor:
    window = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype).to(x.device, non_blocking=True)  # no wait for a GPU
    kernel = (window[:, None] * window).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


class Flatten(nn.Module):
    """To one row a picture; maps that are not 7×7 are averaged to that first, as torchvision does.

    That is *not* the paper's dense evaluation, which the head ``conv`` gives.
    """

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c*49"]:
        """Average to 7×7, flatten."""
        return F.adaptive_avg_pool2d(x, 7).flatten(1)


class Sliding(nn.Conv2d):
    """A linear layer slid over a map; where it fits once only, it is computed as what it is, ten times faster."""

    def __init__(self, *arguments: Any, exact: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.exact = exact  # whether it stays in float32 where others are rounded

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        """A convolution's output."""
        if not self.exact:
            return self._slid(input)
        with without_autocast(input):
            return self._slid(input.to(self.weight.dtype))

    def _slid(self, input: Tensor) -> Tensor:
        if input.shape[2:] != self.weight.shape[2:]:
            return super().forward(input)
        weight = self.weight
        if weight.is_contiguous(memory_format=torch.channels_last):  # as it lies in memory, or it would be copied
            input, weight = input.permute(0, 2, 3, 1), weight.permute(0, 2, 3, 1)
        return F.linear(input.flatten(1), weight.flatten(1), self.bias)[:, :, None, None]


class Summarize(nn.Module):
    """All positions of a map as one row of numbers, see ``Pooled``.

    With a ``window`` it slides: there is one row for each window of so many positions a side, as the network that
    was trained on pictures of 224 pixels, and so on 7×7 positions, has to be applied to larger ones.
    """

    def __init__(self, pooled: Pooled, window: int | None = None) -> None:
        super().__init__()
        self.pooled, self.window = pooled, window

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d ..."]:
        """Sum up."""
        found = []
        if self.pooled.radial:  # which goes on in float32
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
    """The square root of what is positive, and less that of what is negative; its slope at 0 is taken as 0."""
    silent = x == 0
    return x.sign() * x.abs().masked_fill(silent, 1).sqrt()
