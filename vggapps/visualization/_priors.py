"""The priors and optimizers of two published methods of feature inversion.

- ``mv2014``: A. Mahendran, A. Vedaldi, Understanding Deep Image Representations by Inverting Them, CVPR 2015
  (arXiv 1412.0035), with the constants of their deep-goggle;
- ``mv2016``: the same, Visualizing Deep Convolutional Neural Networks Using Natural Pre-images, IJCV 2016
  (arXiv 1512.02017), with those of their nnpreimage.

Their constants are for pictures in 0 to 255 minus the mean of the training pictures, called x below; pictures in [0, 1]
are converted to x first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.vgg._normalize import OXFORD

ALPHA = 6  # exponent of the range prior in both papers; that of the variation prior is 2
NATURAL = 68.0  # standard deviation of x over photographs (67.7 over 150 of ImageNet): "x0_sigma" in mv2014
SIGMA = 80.0  # typical norm of a pixel's x in mv2016
BOUND = 160.0  # largest norm of a pixel's x in mv2016
MOMENTUM = 0.9

Image = Float[Tensor, "1 3 h w"]
Terms = Callable[[Image], Mapping[str, Tensor]]


def variation(x: Image) -> Float[Tensor, ""]:
    """R_Vβ with β = 2: the sum over pixels and channels of squared differences to the right and lower neighbour."""
    return (x[:, :, 1:] - x[:, :, :-1]).square().sum() + (x[:, :, :, 1:] - x[:, :, :, :-1]).square().sum()


def terms_2014(image: Image, stride: int) -> dict[str, Tensor]:
    """``range``: λ_α/2 Σ x⁶; ``variation``: λ_V/2 R_V; both divided by the typical sum of x².

    λ_α = 8e-10; λ_V = 1, 10 and 100 for shallow, middle and deep layers. (Equivalent to the paper's 2.16e8 and 5, which
    are for pictures of norm 1.)

    Layers with a stride of up to 2 (blocks 1 and 2) are shallow, up to 8 middle.
    """
    x = OXFORD(image)
    squares = NATURAL**2 * x.numel()
    weight = 1 if stride <= 2 else 10 if stride <= 8 else 100
    return {
        "range": 8e-10 / 2 * x.pow(ALPHA).sum() / squares,
        "variation": weight / 2 * variation(x) / squares,
    }


def weight_2016(stride: int) -> int:
    """The weight of the features relative to the priors: one of the four weights in the authors' experiments.

    Shallow layers retain more information about the picture and need weaker priors.
    """
    return {1: 300, 2: 300, 4: 100, 8: 20, 16: 20}.get(stride, 1)


def terms_2016(image: Image, stride: int) -> dict[str, Tensor]:
    """``range``: mean over pixels of (norm of x / 80)⁶; ``variation``: (6.5/80)² R_V / pixels.

    Both are divided by :func:`weight_2016`, so that the term of the features is their relative error.
    """
    x = OXFORD(image)
    pixels, weight = x.shape[2] * x.shape[3], weight_2016(stride)
    return {
        "range": (x.square().sum(1) / SIGMA**2).pow(ALPHA / 2).mean() / weight,
        "variation": (6.5 / SIGMA) ** 2 * variation(x) / pixels / weight,
    }


def start_2014(size: tuple[int, int], generator: torch.Generator) -> Image:
    """Gaussian noise with the standard deviation of photographs."""
    return OXFORD.inverse(NATURAL * torch.randn(1, 3, *size, generator=generator))


def start_2016(size: tuple[int, int], generator: torch.Generator) -> Image:
    """Uniform noise with the 95th percentile of a typical pixel."""
    noise = 2 * torch.rand(1, 3, *size, generator=generator) - 1
    return OXFORD.inverse(noise / 0.9 * SIGMA / math.sqrt(3))


@dataclass
class Descent:
    """Gradient descent with momentum, as in both authors' code: a change of the rate resets the momentum.

    Args:
        rates: for each step, in units of x.
        scale: ``(gradient, rate) -> change``, both of x.
        bound: largest norm of a pixel's x after a step.
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
        """Unused: an inversion has one size."""


def descent_2014(size: tuple[int, int], steps: int) -> Descent:
    """Rate 0.004 · Σ x² of a photograph; a tenth after a quarter of the steps, a hundredth after three quarters."""
    rate = 0.004 * NATURAL**2 * 3 * size[0] * size[1]
    rates = [rate * (1 if 4 * k < steps else 0.1 if 4 * k < 3 * steps else 0.01) for k in range(steps)]
    return Descent(rates, lambda gradient, rate: rate * gradient)


def descent_2016(size: tuple[int, int], stride: int, steps: int, calm: int) -> Descent:
    """AdaGrad with decay: g / (1/rate + √G), G = 0.9 G + g².

    The rate is multiplied by :func:`weight_2016`, which the loss is divided by. From step ``calm`` on, counted from 0,
    it is a tenth, and G is reset.
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
