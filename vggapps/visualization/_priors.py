"""The two published ways to invert features: what makes a picture natural, and how it is descended.

- ``mv2014``: A. Mahendran, A. Vedaldi, Understanding Deep Image Representations by Inverting Them, CVPR 2015
  (arXiv 1412.0035), with the constants of their deep-goggle;
- ``mv2016``: the same, Visualizing Deep Convolutional Neural Networks Using Natural Pre-images, IJCV 2016
  (arXiv 1512.02017), with those of their nnpreimage.

Both are written for pictures from 0 to 255 less the mean of the training pictures, which are x below; our pictures in
[0, 1] are brought there first, or the constants would mean nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.vgg._normalize import OXFORD

ALPHA = 6  # the power of the range prior, in both papers; that of the variation is 2
NATURAL = 68.0  # deviation of x over photographs (67.7 over 150 of ImageNet's): the scale of mv2014, "x0_sigma"
SIGMA = 80.0  # the typical, and
BOUND = 160.0  # the largest length of a pixel's x in mv2016
MOMENTUM = 0.9

Image = Float[Tensor, "1 3 h w"]
Terms = Callable[[Image], Mapping[str, Tensor]]


def variation(x: Image) -> Float[Tensor, ""]:
    """R_Vβ with β = 2: the sum over pixels and channels of the squared differences to the right and below."""
    return (x[:, :, 1:] - x[:, :, :-1]).square().sum() + (x[:, :, :, 1:] - x[:, :, :, :-1]).square().sum()


def terms_2014(image: Image, stride: int) -> dict[str, Tensor]:
    """``range``: λ_α/2 Σ x⁶; ``variation``: λ_V/2 R_V; both over the typical sum of x².

    λ_α = 8e-10; λ_V = 1, 10 and 100 for shallow, middle and deep layers. (The paper's own 2.16e8 and 5 are for pictures
    of length 1, which comes to the same.)

    Args:
        image: in [0, 1].
        stride: of the layer: up to 2 is shallow (blocks 1 and 2), up to 8 middle.
    """
    x = OXFORD(image)
    squares = NATURAL**2 * x.numel()
    weight = 1 if stride <= 2 else 10 if stride <= 8 else 100
    return {
        "range": 8e-10 / 2 * x.pow(ALPHA).sum() / squares,
        "variation": weight / 2 * variation(x) / squares,
    }


def weight_2016(stride: int) -> int:
    """What the features count beside the priors: one of the four weights that the authors' experiments compare.

    The shallower the layer, the more it tells of the picture, and the less the priors have to.
    """
    return {1: 300, 2: 300, 4: 100, 8: 20, 16: 20}.get(stride, 1)


def terms_2016(image: Image, stride: int) -> dict[str, Tensor]:
    """``range``: mean over pixels of (length of x / 80)⁶; ``variation``: (6.5/80)² R_V / pixels.

    Both over :func:`weight_2016`, so that the features' term is their relative error.

    Args:
        image: in [0, 1].
        stride: of the layer.
    """
    x = OXFORD(image)
    pixels, weight = x.shape[2] * x.shape[3], weight_2016(stride)
    return {
        "range": (x.square().sum(1) / SIGMA**2).pow(ALPHA / 2).mean() / weight,
        "variation": (6.5 / SIGMA) ** 2 * variation(x) / pixels / weight,
    }


def start_2014(size: tuple[int, int], generator: torch.Generator) -> Image:
    """Normal noise as long as a photograph."""
    return OXFORD.inverse(NATURAL * torch.randn(1, 3, *size, generator=generator))


def start_2016(size: tuple[int, int], generator: torch.Generator) -> Image:
    """Uniform noise whose 95th percentile is that of a typical pixel."""
    noise = 2 * torch.rand(1, 3, *size, generator=generator) - 1
    return OXFORD.inverse(noise / 0.9 * SIGMA / math.sqrt(3))


@dataclass
class Descent:
    """Gradient descent with momentum, as both codes have it: the momentum is lost when the rate changes.

    Args:
        rates: of each step, in units of x.
        scale: ``(gradient, rate) -> change``, both of x.
        bound: the largest length of a pixel's x after a step.
    """

    rates: Sequence[float]
    scale: Callable[[Tensor, float], Tensor]
    bound: float = math.inf
    taken: int = 0
    momentum: Tensor | None = None

    @torch.no_grad()
    def update(self, leaves: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """One step."""
        (leaf,), (gradient,) = leaves, gradients
        rate = self.rates[self.taken]
        if self.momentum is None or rate != self.rates[max(0, self.taken - 1)]:
            self.momentum = torch.zeros_like(leaf)
        self.taken += 1
        self.momentum = MOMENTUM * self.momentum - self.scale(gradient / 255, rate)  # of x, which is 255 times leaf
        x = OXFORD(leaf) + self.momentum
        if math.isfinite(self.bound):
            x *= (self.bound / x.norm(dim=1, keepdim=True).clamp_min(1e-6)).clamp_max(1)
        leaf.copy_(OXFORD.inverse(x))

    def resample(self, resample: Callable[[Tensor], Tensor], area: float) -> None:
        """An inversion has one size."""


def descent_2014(size: tuple[int, int], steps: int) -> Descent:
    """0.004 · Σ x² of a photograph; a tenth of it after a quarter of the steps, a hundredth after three quarters."""
    rate = 0.004 * NATURAL**2 * 3 * size[0] * size[1]
    rates = [rate * (1 if 4 * k < steps else 0.1 if 4 * k < 3 * steps else 0.01) for k in range(steps)]
    return Descent(rates, lambda gradient, rate: rate * gradient)


def descent_2016(size: tuple[int, int], stride: int, steps: int, calm: int) -> Descent:
    """As AdaGrad, with a memory: g / (1/rate + √G), G = 0.9 G + g².

    Args:
        size: of the picture.
        stride: of the layer; the rate is larger by the weight that the loss has been divided by.
        steps: how many.
        calm: from this step on, counted from 0, the rate is a tenth, and G begins anew.
    """
    rate = weight_2016(stride) * size[0] * size[1] * 0.05 * SIGMA**2 / ALPHA
    squares, before = torch.zeros(()), rate

    def scale(gradient: Tensor, rate: float) -> Tensor:
        nonlocal squares, before
        if rate != before:
            squares, before = torch.zeros(()), rate
        squares = MOMENTUM * squares.to(gradient) + gradient.square()
        return gradient / (1 / rate + squares.sqrt())

    return Descent([rate * (1 if k < calm else 0.1) for k in range(steps)], scale, BOUND)
