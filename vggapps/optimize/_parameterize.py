"""Parameterizations of pictures for optimization.

All but ``pixel`` decorrelate colours: y has three channels that are uncorrelated in natural pictures, and
x = sigmoid(C y). C. Olah et al., Feature Visualization, Distill 2017; A. Mordvintsev et al., Differentiable Image
Parameterizations, Distill 2018; MACO: T. Fel et al., Unlocking Feature Visualization for Deeper Networks with
MAgnitude Constrained Optimization, NeurIPS 2023 (arXiv 2306.06805), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps.optimize._engine import Render
from vggapps.optimize._pyramid import upsample

# The square root of the covariance of natural colours, U √S, each value of sRGB in [0, 1]; made by
# apps/picture_statistics.py from 1,000 photographs. Columns: brightness, warm against cold, green against purple.
COLORS = ((0.2468, 0.0994, 0.0240), (0.2527, -0.0066, -0.0523), (0.2473, -0.0925, 0.0295))
_LEAST = 1e-3  # the start keeps this distance from 0 and 1, where the sigmoid's inverse is infinite
_CONTRAST = 4.0  # as lucid: the sigmoid's input is divided by it, so that optimization starts from faint contrasts


@dataclass(frozen=True, eq=False)
class Parameters:
    """The parameters of pictures.

    Attributes:
        leaves: the tensors to optimize, float32.
        render: from leaves to pictures, n × 3 × h × w in [0, 1].
        rate: a suitable learning rate for Adam.
        bounds: of the leaves.
    """

    leaves: list[Tensor]
    render: Render
    rate: float
    bounds: tuple[float, float] | None = None


def pixel(size: tuple[int, int], start: Float[Tensor, "n 3 h w"]) -> Parameters:
    """The pixels themselves, from a picture or from noise."""
    return Parameters([_resized(start, size)], lambda leaves: leaves[0].clamp(0, 1), rate=0.02, bounds=(0.0, 1.0))


def fourier(size: tuple[int, int], start: Float[Tensor, "n 3 h w"], decay: float = 1.0) -> Parameters:
    """Fourier coefficients, scaled by 1 / frequency^decay, the spectrum of natural pictures.

    A step then changes coarse and fine structures in proportion to their natural strength.
    """
    scale = _natural_scale(size, decay).to(start.device)

    def render(leaves: Sequence[Tensor]) -> Tensor:
        return to_colors(torch.fft.irfft2(torch.view_as_complex(leaves[0]) * scale, s=size, norm="ortho") / _CONTRAST)

    frequencies = torch.fft.rfft2(from_colors(_resized(start, size)) * _CONTRAST, norm="ortho") / scale
    return Parameters([torch.view_as_real(frequencies).contiguous()], render, rate=0.05)


def laplacian(size: tuple[int, int], start: Float[Tensor, "n 3 h w"], levels: int = 5) -> Parameters:
    """A Laplacian pyramid: a sum of pictures, each half as large as the previous one and enlarged bicubically."""
    sides = [tuple(max(1, math.ceil(side / 2**level)) for side in size) for level in range(levels)]
    rest, leaves = from_colors(_resized(start, size)) * _CONTRAST, []
    for height, width in reversed(sides):
        level = F.interpolate(rest, (height, width), mode="area")
        rest = rest - upsample(level, size)
        leaves.append(level.contiguous())

    def render(leaves: Sequence[Tensor]) -> Tensor:
        return to_colors(torch.stack([upsample(leaf, size) for leaf in leaves]).sum(0) / _CONTRAST)

    return Parameters(leaves, render, rate=0.05)


def cppn(size: tuple[int, int], n: int, generator: torch.Generator, depth: int = 8, width: int = 24) -> Parameters:
    """A small network from coordinates to colours (K. Stanley, Compositional pattern producing networks, 2007).

    It can render pictures of any size. As in lucid: 1×1 convolutions, each followed by (atan h / 0.67, atan² h / 0.6),
    which preserve mean and variance of a normal variable.
    """
    extent = math.sqrt(3)  # variance 1 over the square
    rows, columns = (torch.linspace(-extent, extent, side) for side in size)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).flatten(1).to(generator.device)
    sides = [2] + [2 * width] * depth
    leaves = [torch.randn(n, width, inputs, generator=generator) / math.sqrt(inputs) for inputs in sides[:-1]]
    leaves.append(torch.zeros(n, 3, sides[-1]))

    def render(leaves: Sequence[Tensor]) -> Tensor:
        h = grid.to(leaves[0])
        for leaf in leaves[:-1]:
            h = (leaf @ h).atan()
            h = torch.cat([h / 0.67, h.square() / 0.6], -2)
        return to_colors((leaves[-1] @ h).view(n, 3, *size))

    return Parameters(leaves, render, rate=0.005)


def maco(size: tuple[int, int], n: int, spectrum: Float[Tensor, "3 h w/2+1"], generator: torch.Generator) -> Parameters:
    """Phases only: the magnitude of every frequency is that of natural pictures, up to one factor per picture.

    Args:
        size: (height, width) of the pictures.
        n: number of pictures.
        spectrum: magnitudes of decorrelated colours from :func:`spectrum_of`, for any size.
        generator: draws the first phases.
    """
    magnitude = resampled(spectrum, size)
    # The frequencies f and -f of a real picture have opposite phases; rfft2 keeps both in the first column, and in the
    # last one if the width is even. A frequency that is its own opposite has phase 0.
    paired = [0] + [size[1] // 2] * (size[1] % 2 == 0)

    def render(leaves: Sequence[Tensor]) -> Tensor:
        phase = leaves[0]
        columns = phase[..., paired]
        mirrored = columns.roll(-1, -2).flip(-2)
        phase = phase.index_copy(-1, torch.tensor(paired, device=phase.device), (columns - mirrored) / 2)
        y = torch.fft.irfft2(torch.polar(magnitude.to(phase), phase), s=size, norm="ortho")
        return to_colors(y / y.std((1, 2, 3), keepdim=True))

    leaf = torch.randn(n, *magnitude.shape, generator=generator) * math.pi
    return Parameters([leaf], render, rate=0.3)


def to_colors(y: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Decorrelated colours to RGB in [0, 1]."""
    x: Tensor = torch.einsum("ij,njhw->nihw", _matrix().to(y), y).sigmoid()
    return x


def from_colors(x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """The inverse of :func:`to_colors`; values are clamped to [0.001, 0.999]."""
    y: Tensor = torch.einsum("ij,njhw->nihw", _matrix().inverse().to(x), x.clamp(_LEAST, 1 - _LEAST).logit())
    return y


def spectrum_of(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "3 h w/2+1"]:
    """The mean magnitude of each frequency of decorrelated colours.

    A Hann window fades out the borders: the discontinuity between opposite borders would add all frequencies.
    """
    y = from_colors(image)
    windows = [torch.hann_window(side + 2, periodic=False)[1:-1].to(y) for side in image.shape[2:]]
    y = (y - y.mean((2, 3), keepdim=True)) * windows[0][:, None] * windows[1]
    found: Tensor = torch.fft.rfft2(y, norm="ortho").abs().mean(0)
    return found


def resampled(spectrum: Float[Tensor, "3 h w"], size: tuple[int, int]) -> Float[Tensor, "3 h2 w2"]:
    """A spectrum for pictures of another size, by cycles per pixel; without a mean colour. ``h`` is even."""
    rows, columns = torch.fft.fftfreq(size[0]), torch.fft.rfftfreq(size[1])
    centered = spectrum.roll(spectrum.shape[1] // 2, 1)
    centered = torch.cat([centered, centered[:, :1]], 1)  # rows from -0.5 to 0.5; the highest is its own opposite
    grid = torch.meshgrid(2 * rows, 4 * columns - 1, indexing="ij")
    found = F.grid_sample(centered[None], torch.stack(grid[::-1], -1)[None].to(centered), align_corners=True)[0]
    found[:, 0, 0] = 0
    return found


def _matrix() -> Float[Tensor, "3 3"]:
    """Scaled by the longest column, as in lucid."""
    colors = torch.tensor(COLORS)
    found: Tensor = colors / colors.norm(dim=0).max()
    return found


def _natural_scale(size: tuple[int, int], decay: float) -> Float[Tensor, "h w/2+1"]:
    rows, columns = torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])
    frequency = (rows.square() + columns.square()).sqrt().clamp_min(1 / max(size))
    found: Tensor = frequency**-decay
    return found


def _resized(start: Float[Tensor, "n 3 h w"], size: tuple[int, int]) -> Float[Tensor, "n 3 h w"]:
    return start.clone() if tuple(start.shape[2:]) == size else upsample(start, size).clamp(0, 1)
