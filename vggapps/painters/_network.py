"""A small network that paints photos in the styles it was trained on, in one pass.

Johnson, Alahi, Fei-Fei, Perceptual Losses for Real-Time Style Transfer, ECCV 2016 (arXiv 1603.08155), with the
conditional instance normalization of Dumoulin, Shlens, Kudlur, A Learned Representation for Artistic Style, ICLR 2017
(arXiv 1610.07629). Differences from both: most of the network works at a quarter of the size; its output is added to
the photo, and is 0 before the training; each style has scales and shifts for several strengths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, argument, unknown
from vggapps.image._identity import Identity

STRENGTHS = (0.25, 0.5, 1.0)  # for which a style has scales and shifts of its own
STRIDE = 4  # of the residual blocks, in pixels
_EPSILON = 1e-5  # of instance normalization, as in torch


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and inverse standard deviation of each channel before a normalization."""

    mean: Float[Tensor, "n c 1 1"]
    scale: Float[Tensor, "n c 1 1"]


def statistics_of(maps: Float[Tensor, "n c h w"]) -> Statistics:
    """Over all positions of each map, in float32."""
    variance, mean = torch.var_mean(maps.float(), (2, 3), correction=0, keepdim=True)
    return Statistics(mean, (variance + _EPSILON).rsqrt())


class ConditionalNorm(nn.Module):
    """Instance normalization with a scale and a shift per style: Dumoulin et al., equation 5.

    Args:
        channels: of the maps.
        rows: number of scales and shifts to mix.
    """

    def __init__(self, channels: int, rows: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(rows, channels))
        self.bias = nn.Parameter(torch.zeros(rows, channels))

    def forward(
        self, maps: Float[Tensor, "n c h w"], mix: Float[Tensor, "n rows"], statistics: Statistics
    ) -> Float[Tensor, "n c h w"]:
        """Normalized maps with the mixed scale and shift, in the dtype of the maps."""
        scale, shift = (mix @ self.weight)[:, :, None, None], (mix @ self.bias)[:, :, None, None]
        factor = scale * statistics.scale
        return torch.addcmul((shift - factor * statistics.mean).to(maps.dtype), maps, factor.to(maps.dtype))


class Painter(nn.Module):
    """A painter of several styles.

    >>> painter = Painter(["waves", "night"])
    >>> photo = torch.rand(1, 3, 65, 90)
    >>> torch.equal(painter(photo, painter.mix({"waves": 1})), photo)  # before the training
    True

    Args:
        styles: their names.
        channels: of the residual blocks; half as many before and after them.
        blocks: number of residual blocks.

    Attributes:
        styles: their names.
        file: the identity of the file that it was read from, for recipes; None for a new one.
        about: how it was made, as its file says; empty for a new one.
    """

    file: Identity | None = None
    about: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, styles: Sequence[str], channels: int = 96, blocks: int = 5) -> None:
        super().__init__()
        self.styles, self.channels, self.blocks = tuple(styles), channels, blocks
        half, rows = channels // 2, len(styles) * len(STRENGTHS)
        inner = [_conv(channels, channels) for _ in range(2 * blocks)]
        last = _conv(half, 12)
        convs = [_conv(12, half), _conv(half, channels, stride=2), *inner, _conv(channels, half)]
        nn.init.zeros_(last.weight)
        self.convs = nn.ModuleList([*convs, last])
        self.norms = nn.ModuleList(ConditionalNorm(conv.out_channels, rows) for conv in convs)

    @property
    def reach(self) -> int:
        """Pixels in each direction on which a pixel of the result depends, apart from statistics; rounded up to 4."""
        # A convolution of 3 x 3 reaches one position further, of 2 pixels in the outer and 4 in the residual layers.
        return STRIDE * (2 * self.blocks + 3)

    def mix(self, styles: Mapping[str, float], strength: float = 0.5) -> Float[Tensor, "1 rows"]:
        """The weights of scales and shifts for a mixture of styles.

        Between the strengths that a style was trained for, they are interpolated; below the least one they fall to 0.

        Args:
            styles: weights by name, in proportion to each other.
            strength: from 0, which returns the photo, to 1, as in :class:`~vggapps.style.StylizeSettings`.

        Raises:
            SettingsError: an unknown style, a weight or strength out of range, or no style.
        """
        if unknown_styles := [name for name in styles if name not in self.styles]:
            raise unknown("style", unknown_styles[0], self.styles)
        total = math.fsum(styles.values())
        if not all(0 <= weight < math.inf for weight in styles.values()) or not total > 0:
            raise SettingsError("the weights of the styles must be positive numbers", "waves:0.7 night:0.3")
        if not 0 <= strength <= 1:
            raise SettingsError(f"{argument('strength')} is {strength}", "it must be at least 0 and at most 1")
        shares = torch.zeros(len(self.styles), len(STRENGTHS))
        for name, weight in styles.items():
            shares[self.styles.index(name)] = weight / total * _between(strength)
        return shares.view(1, -1).to(next(self.parameters()).device)

    def forward(
        self,
        photo: Float[Tensor, "n 3 h w"],
        mix: Float[Tensor, "#n rows"],
        statistics: Sequence[Statistics] | None = None,
    ) -> Float[Tensor, "n 3 h w"]:
        """Paint photos of RGB in [0, 1]. The result may exceed this range a little.

        Args:
            photo: of any size.
            mix: see :meth:`mix`.
            statistics: from :meth:`statistics`; by default those of each photo.
        """
        if statistics is None:
            return self._paint(photo, mix, statistics_of)
        given = iter(statistics)
        return self._paint(photo, mix, lambda _: next(given))

    @torch.no_grad()
    def statistics(self, photo: Float[Tensor, "n 3 h w"], mix: Float[Tensor, "#n rows"]) -> tuple[Statistics, ...]:
        """The statistics of all normalizations for a photo, with which its parts, or a larger copy, can be painted."""
        found: list[Statistics] = []

        def kept(maps: Tensor) -> Statistics:
            found.append(statistics_of(maps))
            return found[-1]

        self._paint(photo, mix, kept)
        return tuple(found)

    def _paint(self, photo: Tensor, mix: Tensor, statistics: Callable[[Tensor], Statistics]) -> Tensor:
        height, width = photo.shape[2:]
        padded = F.pad(photo, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        return photo + self.change(padded, mix, statistics)[:, :, :height, :width]

    def change(
        self, photo: Float[Tensor, "n 3 h w"], mix: Float[Tensor, "#n rows"], statistics: Callable[[Tensor], Statistics]
    ) -> Float[Tensor, "n 3 h w"]:
        """What is added to photos whose sides are multiples of 4.

        Args:
            photo: RGB in [0, 1].
            mix: see :meth:`mix`.
            statistics: from the maps before a normalization to their statistics, see :func:`statistics_of`.
        """
        convs, norms = iter(self.convs), iter(self.norms)

        def normalized(maps: Tensor) -> Tensor:
            maps = next(convs)(maps)
            return next(norms)(maps, mix, statistics(maps))  # type: ignore[no-any-return]

        maps = normalized(F.pixel_unshuffle(photo - 0.5, 2)).relu()
        maps = normalized(maps).relu()
        for _ in range(self.blocks):
            maps = maps + normalized(normalized(maps).relu())
        maps = normalized(F.interpolate(maps, scale_factor=2, mode="nearest")).relu()
        return F.pixel_shuffle(next(convs)(maps), 2)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Without a bias: normalization removes it, and in the last layer it would change the photo at strength 0."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, padding_mode="replicate", bias=False)


def _between(strength: float) -> Tensor:
    """Weights of the scales and shifts for STRENGTHS at a strength."""
    weights = torch.zeros(len(STRENGTHS))
    if strength <= STRENGTHS[0]:
        weights[0] = strength / STRENGTHS[0]
        return weights
    index = next(i for i, (_, high) in enumerate(pairwise(STRENGTHS)) if strength <= high)
    low, high = STRENGTHS[index : index + 2]
    weights[index + 1] = (strength - low) / (high - low)
    weights[index] = 1 - weights[index + 1]
    return weights
