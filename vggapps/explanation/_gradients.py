"""Gradient-based explanations.

All functions take a :class:`~vggapps.explanation.Question` and RGB pictures in [0, 1], and return a signed value for
each channel of each pixel. Non-finite gradients are replaced by zero. ``batch`` is the number of pictures per forward
pass; ``watch`` wraps the steps of each picture, to show progress.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.explanation._question import Question, Watch, finite
from vggapps.vgg._hooks import replace_modules

Images = Float[Tensor, "n 3 h w"]


def gradient(question: Question, image: Images) -> Images:
    """The gradient of the score with respect to the pixels.

    K. Simonyan, A. Vedaldi, A. Zisserman, Deep Inside Convolutional Networks, 2014 (arXiv 1312.6034), section 3; their
    map is the largest absolute value over channels.
    """
    with torch.enable_grad():
        pixels = image.detach().requires_grad_()
        scores = question.score(pixels.clone())  # a copy, for modules that work in place
        (gradients,) = torch.autograd.grad(scores.sum(), pixels)
    return finite(gradients)


def gradient_x_input(question: Question, image: Images) -> Images:
    """The gradient times the difference to :meth:`~vggapps.explanation.Question.blank`.

    A. Shrikumar et al., Not Just a Black Box, 2016 (arXiv 1605.01713), applied to the normalized input of the first
    convolution: with pixels in [0, 1], black would never contribute.
    """
    return gradient(question, image) * (image - question.blank(image))


def guided_backprop(question: Question, image: Images) -> Images:
    """The gradient, with ReLUs that pass back only positive gradients, at positive activations.

    J. Springenberg et al., Striving for Simplicity, ICLR 2015 workshop (arXiv 1412.6806), section 3.4. Sharp, but
    largely independent of the learned weights (J. Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018).
    Modules must have their ReLUs as modules, not functions.
    """
    return _with_relus(question, image, guided=True)


def deconvnet(question: Question, image: Images) -> Images:
    """The gradient, with ReLUs that pass back only positive gradients, whatever their activation.

    M. Zeiler, R. Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014 (arXiv 1311.2901), section
    2.1. Modules must have their ReLUs as modules, not functions.
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
    """The mean gradient on a straight path from a baseline to the picture, times the path; sums to the score's change.

    M. Sundararajan, A. Taly, Q. Yan, Axiomatic Attribution for Deep Networks, ICML 2017 (arXiv 1703.01365), equation 1.

    Args:
        question, image: as for :func:`gradient`.
        samples: points on the path, by Gauss-Legendre quadrature.
        baseline: one picture, or one for each, of the same size; by default ``question.blank(image)``.
    """
    start = question.blank(image) if baseline is None else baseline.expand_as(image)
    nodes, weights = (
        torch.from_numpy(x).to(image).view(-1, 1, 1, 1) / 2 for x in np.polynomial.legendre.leggauss(samples)
    )
    total = torch.zeros_like(image)
    for i, path in enumerate(torch.split(image - start, 1)):
        for k in watch(range(0, samples, batch)):
            points = start[i] + (nodes[k : k + batch] + 0.5) * path
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
    """The mean gradient over noisy copies of the picture.

    D. Smilkov et al., SmoothGrad: removing noise by adding noise, 2017 (arXiv 1706.03825), section 3.

    Args:
        question, image: as for :func:`gradient`.
        samples: number of noisy copies.
        noise: standard deviation relative to the picture's range; the paper recommends 0.1 to 0.2.
        seed: of the noise, the same for each picture.
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
    twin = replace_modules(question.network, nn.ReLU, lambda _: _Relu(guided))
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
    """A ReLU that passes back positive gradients only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, guided: bool) -> Tensor:
        ctx.guided = guided
        ctx.save_for_backward(x > 0)
        return x.relu()

    @staticmethod
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (positive,) = ctx.saved_tensors
        passed = finite(gradients).relu()
        return torch.where(positive, passed, 0) if ctx.guided else passed, None
