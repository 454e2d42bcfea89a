"""Explanations by slopes: how a score changes with each pixel.

All take a :class:`~vggapps.explanation.Question` and RGB pictures in [0, 1], and give a signed number for each
colour of each pixel. A slope that is not finite counts as zero.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.explanation._question import Question, Watch, finite
from vggapps.vgg._hooks import replaced

Images = Float[Tensor, "n 3 h w"]


def gradient(question: Question, image: Images) -> Images:
    """The score's slope in each pixel.

    K. Simonyan, A. Vedaldi, A. Zisserman, Deep Inside Convolutional Networks, 2014 (arXiv 1312.6034), section 3; their
    map is its greatest absolute value over the colours.
    """
    with torch.enable_grad():
        pixels = image.detach().requires_grad_()
        scores = question.score(pixels.clone())  # a copy, which a module may work on in place
        (slopes,) = torch.autograd.grad(scores.sum(), pixels)
    return finite(slopes)


def gradient_x_input(question: Question, image: Images) -> Images:
    """The slope times how far the pixel is from the picture that says nothing: its share, were the network linear.

    A. Shrikumar et al., Not Just a Black Box, 2016 (arXiv 1605.01713). In [0, 1] the product would explain nothing of
    what is black; with the distance from :meth:`~vggapps.explanation.Question.blank` it is the product in the
    numbers that the first convolution sees.
    """
    return gradient(question, image) * (image - question.blank(image))


def guided_backprop(question: Question, image: Images) -> Images:
    """The slope, where each ReLU passes back only what is positive, at positions that are positive themselves.

    J. Springenberg et al., Striving for Simplicity, ICLR 2015 workshop (arXiv 1412.6806), section 3.4. Sharp, but much
    of it does not depend on what the network has learnt (J. Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS
    2018).

    Raises:
        SettingsError: a module whose ReLUs are functions, not modules.
    """
    return _with_relus(question, image, guided=True)


def deconvnet(question: Question, image: Images) -> Images:
    """The slope, where each ReLU passes back what is positive, whether its own input was positive or not.

    M. Zeiler, R. Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014 (arXiv 1311.2901), section
    2.1; max poolings pass back to where the maximum was.

    Raises:
        SettingsError: a module whose ReLUs are functions, not modules.
    """
    return _with_relus(question, image, guided=False)


def integrated_gradients(
    question: Question,
    image: Images,
    samples: int = 50,
    baseline: Images | None = None,
    batch: int = 8,
    watch: Watch = iter,
) -> Images:
    """The mean slope on the straight way from a baseline to the picture, times the way: it sums to the score's change.

    M. Sundararajan, A. Taly, Q. Yan, Axiomatic Attribution for Deep Networks, ICML 2017 (arXiv 1703.01365), equation 1.

    Args:
        question: what is explained.
        image: RGB in [0, 1].
        samples: points on the way, Gauss and Legendre's.
        baseline: pictures of the same size, or one; None for the mean colour of the network's training pictures,
            which its convolutions see as zero, and for a module of others black.
        batch: points that go through the network together.
        watch: shown the steps of each picture.
    """
    start = question.blank(image) if baseline is None else baseline.expand_as(image)
    nodes, weights = (
        torch.from_numpy(x).to(image).view(-1, 1, 1, 1) / 2 for x in np.polynomial.legendre.leggauss(samples)
    )
    total = torch.zeros_like(image)
    for i, way in enumerate(torch.split(image - start, 1)):
        for k in watch(range(0, samples, batch)):
            points = start[i] + (nodes[k : k + batch] + 0.5) * way
            total[i] += (weights[k : k + batch] * gradient(question.about(i), points)).sum(0)
    return total * (image - start)


def smooth_grad(
    question: Question,
    image: Images,
    samples: int = 25,
    noise: float = 0.15,
    seed: int = 0,
    batch: int = 8,
    watch: Watch = iter,
) -> Images:
    """The mean slope around the picture.

    D. Smilkov et al., SmoothGrad: removing noise by adding noise, 2017 (arXiv 1706.03825), section 3.

    Args:
        question: what is explained.
        image: RGB in [0, 1].
        samples: noisy pictures.
        noise: deviation of the noise, relative to the picture's range; the paper advises 0.1 to 0.2.
        seed: of the noise, the same for each picture.
        batch: noisy pictures that go through the network together.
        watch: shown the steps of each picture.
    """
    total = torch.zeros_like(image)
    for i, picture in enumerate(torch.split(image, 1)):
        generator = torch.Generator().manual_seed(seed)
        deviation = noise * (picture.max() - picture.min())
        for k in watch(range(0, samples, batch)):
            drawn = torch.randn(min(batch, samples - k), *picture.shape[1:], generator=generator).to(picture)
            total[i] += gradient(question.about(i), picture + deviation * drawn).sum(0)
    return total / samples


def _with_relus(question: Question, image: Images, *, guided: bool) -> Images:
    twin = replaced(question.network, nn.ReLU, lambda _: _Relu(guided))
    return gradient(replace(question, network=twin), image)


class _Relu(nn.Module):
    def __init__(self, guided: bool) -> None:
        super().__init__()
        self.guided = guided
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = _Positive.apply(x, self.guided)  # type: ignore[no-untyped-call]
        return found


class _Positive(torch.autograd.Function):
    """A ReLU that passes back positive slopes only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, guided: bool) -> Tensor:
        ctx.guided = guided
        ctx.save_for_backward(x > 0)
        return x.relu()

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (positive,) = ctx.saved_tensors
        passed = finite(slopes).relu()
        return torch.where(positive, passed, 0) if ctx.guided else passed, None
