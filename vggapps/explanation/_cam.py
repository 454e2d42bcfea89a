"""Class activation maps: which positions of a layer support a class.

All functions take a :class:`~vggapps.explanation.Question` and RGB pictures in [0, 1], and return one map per picture
at the resolution of ``layer``: float32 at least, non-negative, not scaled, so that pictures can be compared; see
:func:`heat`. ``batch`` is the number of pictures per forward pass; ``watch`` wraps the steps, to show progress.

The default layer is the ReLU of the last convolution, 14 × 14 positions at 224 pixels; the pooling after it would only
reduce the resolution to 7 × 7. In formulas, A is the layer's output and g the gradient of the score with respect to it;
non-finite gradients are replaced by zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, argument
from vggapps.explanation._question import (
    Question,
    Watch,
    ask,
    at_least_float32,
    checked_input,
    finite,
    predicted_classes,
)
from vggapps.vgg._cut import Cut
from vggapps.vgg._hooks import OUTPUT
from vggapps.vgg._network import VGG

Images = Float[Tensor, "n 3 h w"]
Maps = Float[Tensor, "n 1 h2 w2"]
Activations = Float[Tensor, "n c h2 w2"]


def last_convolution(network: VGG, before: Iterable[str] = ()) -> str:
    """The ReLU of the last convolution, at or before all of the given layers: ``relu5_4``."""
    names: list[str] = list(network.layer_names)
    end = min((names.index(layer) for layer in before), default=len(names))
    for name in reversed(names[: end + 1]):
        if re.fullmatch(r"relu\d+_\d+", name):
            return name
    raise SettingsError(f"no ReLU comes before {names[end]}", f"give {argument('layer')}, or explain a later one")


def default_layer(question: Question) -> str:
    """The default layer of maps: for a VGG :func:`last_convolution`, at or before the explained layer.

    For other modules, the ReLU after the last convolution; or the block around it if one ReLU module serves several
    convolutions of the block, as in a ResNet.
    """
    network, asked = question.network, question.objective.layers - {OUTPUT}
    if isinstance(network, VGG):
        return last_convolution(network, asked)
    modules: dict[str, nn.Module] = dict(network.named_modules())
    convolutions = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
    if not asked and convolutions:
        last, names = convolutions[-1], list(modules)
        block = last.rpartition(".")[0]
        inside = [type(child) for child in modules[block].children()]
        if 0 < inside.count(nn.ReLU) < inside.count(nn.Conv2d) and block:
            return block
        relus = [name for name in names[names.index(last) :] if isinstance(modules[name], nn.ReLU)]
        if relus:
            return relus[0]
    raise SettingsError("it is not clear which layer of this network to use", f"name it as {argument('layer')}")


def grad_cam(
    question: Question | nn.Module,
    image: Images,
    index: int | Sequence[int] | None = None,
    layer: str | None = None,
) -> Maps:
    """ReLU(Σₖ αₖ Aᵏ), αₖ the mean of gᵏ over positions.

    R. Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, ICCV 2017
    (arXiv 1610.02391), equations 1 and 2. It generalizes class activation maps (B. Zhou et al., Learning Deep Features
    for Discriminative Localization, CVPR 2016), which need a linear layer on averaged features.

    Args:
        question: what is explained; or a network, and the class as ``index``.
        image: RGB in [0, 1].
        index: with a network: one class for all pictures, one for each, or several for a single picture, which share
            one forward pass; without a head, a channel of the last map. By default the most probable class.
        layer: the layer of the maps; by default :func:`default_layer`.

    Raises:
        SettingsError: no such layer or class, a layer without positions, or a network in training mode.
    """
    if not isinstance(question, Question):
        question = ask(question, predicted_classes(question, image) if index is None else index)
    a, g = _gradients(question, image, layer)
    return _map(g.mean((2, 3), keepdim=True) * a)


def grad_cam_plus_plus(question: Question, image: Images, layer: str | None = None) -> Maps:
    """Grad-CAM with αₖ the sum over positions of ReLU(g) / (2 + g ΣA).

    A. Chattopadhyay et al., Grad-CAM++, WACV 2018 (arXiv 1710.11063), equations 5 and 19, with g² cancelled, so that
    the denominator needs no epsilon.
    """
    a, g = _gradients(question, image, layer)
    alpha = finite(g.relu() / (2 + g * a.sum((2, 3), keepdim=True)))
    return _map(alpha.sum((2, 3), keepdim=True) * a)


def hires_cam(question: Question, image: Images, layer: str | None = None) -> Maps:
    """ReLU(Σₖ gᵏ Aᵏ), position by position.

    R. Draelos, L. Carin, Use HiResCAM instead of Grad-CAM for faithful explanations, 2020 (arXiv 2011.08891), section
    3.3. If one linear layer follows, the map before its ReLU sums to the score, except for biases.
    """
    a, g = _gradients(question, image, layer)
    return _map(g * a)


def layer_cam(question: Question, image: Images, layer: str | None = None) -> Maps:
    """ReLU(Σₖ ReLU(gᵏ) Aᵏ), position by position; suitable for early layers, too.

    P.-T. Jiang et al., LayerCAM: Exploring Hierarchical Class Activation Maps, IEEE TIP 2021, equations 6 to 8.
    """
    a, g = _gradients(question, image, layer)
    return _map(g.relu() * a)


@torch.no_grad()
def score_cam(question: Question, image: Images, layer: str | None = None, batch: int = 8, watch: Watch = iter) -> Maps:
    """ReLU(Σₖ αₖ Aᵏ), α the softmax over channels of the score of the picture masked by each channel.

    H. Wang et al., Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks, CVPR 2020 workshop
    (arXiv 1910.01279), algorithm 1. Masked pixels have the color of :meth:`~vggapps.explanation.Question.blank`; its
    score, which the paper subtracts, cancels in the softmax. A constant channel masks everything.
    """
    found = []
    blank = question.blank(image)
    cut = question.cut(layer or default_layer(question))
    for i, a in enumerate(torch.split(at_least_float32(_activations(question, cut, image)), 1)):
        one, hidden = question.about(i), blank[i : i + 1]
        scores = one.score(hidden).repeat(a.shape[1])
        alive = (a.amax((0, 2, 3)) > a.amin((0, 2, 3))).nonzero()[:, 0]
        for k in watch(range(0, len(alive), batch)):
            these = alive[k : k + batch]
            mask = F.interpolate(a[:, these], image.shape[2:], mode="bilinear", align_corners=False)[0, :, None]
            least, most = mask.amin((2, 3), keepdim=True), mask.amax((2, 3), keepdim=True)
            mask = finite((mask - least) / (most - least)).to(image)
            scores[these] = one.score(torch.lerp(hidden, image[i : i + 1], mask))
        found.append(_map(scores.softmax(0)[:, None, None] * a))
    return torch.cat(found)


@torch.no_grad()
def ablation_cam(
    question: Question, image: Images, layer: str | None = None, batch: int = 64, watch: Watch = iter
) -> Maps:
    """ReLU(Σₖ αₖ Aᵏ), αₖ the drop of the score when channel k is set to zero.

    S. Desai, H. Ramaswamy, Ablation-CAM, WACV 2020, equation 3, without the paper's division by the score, which would
    invert the map for a negative score.
    """
    found = []
    cut = question.cut(layer or default_layer(question))
    for i, a in enumerate(torch.split(_activations(question, cut, image), 1)):
        one = question.about(i)
        whole = one.score_after(cut, a, i)
        drops = whole.new_zeros(a.shape[1])
        alive = (a != 0).any(3).any(2)[0].nonzero()[:, 0]
        for k in watch(range(0, len(alive), batch)):
            these = alive[k : k + batch]
            without = a.repeat(len(these), 1, 1, 1)
            without[range(len(these)), these] = 0
            drops[these] = whole - one.score_after(cut, without, i)
        found.append(_map(drops[:, None, None] * at_least_float32(a)))
    return torch.cat(found)


def heat(cam: Maps, size: tuple[int, int]) -> Float[Tensor, "n 1 h w"]:
    """Resize a map to (height, width), bilinear, and divide by each picture's maximum; a map of zeros stays zero."""
    large = F.interpolate(cam, size=size, mode="bilinear", align_corners=False)
    return large / large.amax((2, 3), keepdim=True).clamp(min=torch.finfo(large.dtype).tiny)


def _map(weighted: Activations) -> Maps:
    return weighted.sum(1, keepdim=True).relu()


def _activations(question: Question, cut: Cut, image: Images) -> Activations:
    with torch.no_grad(), checked_input(question.network, image):
        activations = cut.before(image)
    if activations.ndim != 4:
        raise SettingsError(f"{cut.layer} has no positions", f"use a convolutional layer, {default_layer(question)}")
    if question.parts and len(image) == 1:  # one forward pass for all classes
        activations = activations.expand(len(question.parts), -1, -1, -1)
    return activations


def _gradients(question: Question, image: Images, layer: str | None) -> tuple[Activations, Activations]:
    """The layer's output, and the gradient of the score with respect to it."""
    cut = question.cut(layer or default_layer(question))
    activations = _activations(question, cut, image).detach()
    with torch.enable_grad():
        scores = question.score_after(cut, activations.requires_grad_())
        (gradients,) = torch.autograd.grad(scores.sum(), activations, allow_unused=True)  # rows are independent
    if gradients is None:
        raise SettingsError(f"{question.objective.text} does not depend on {cut.layer}", "use an earlier layer")
    return at_least_float32(activations.detach()), finite(at_least_float32(gradients))
