"""Class activation maps: which places of a layer speak for a class.

All take a :class:`~vggapps.explanation.Question` and RGB pictures in [0, 1], and give one map for each picture at
the layer's own size: float32 at least, not negative, all zero where nothing speaks for the class. Maps are not scaled,
so that those of several pictures can be compared; see :func:`heat`.

The layer is by default the last ReLU behind a convolution, 14 × 14 positions at 224 pixels: the best compromise between
meaning and place. The pooling that follows would halve the map to 7 × 7 and add no meaning. A is the layer's output, g
the score's slope in it; a slope that is not finite, as that of a head's root at zero, counts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, argument
from vggapps.explanation._question import Question, Watch, ask, exact, finite, likeliest, taking
from vggapps.vgg._cut import Cut
from vggapps.vgg._hooks import OUTPUT
from vggapps.vgg._network import VGG

Images = Float[Tensor, "n 3 h w"]
Maps = Float[Tensor, "n 1 h2 w2"]
Activations = Float[Tensor, "n c h2 w2"]


def last_convolution(network: VGG, before: Iterable[str] = ()) -> str:
    """The last ReLU behind a convolution that the network has, none of the named layers being before it: ``relu5_4``.

    Raises:
        SettingsError: a named layer has no ReLU before it.
    """
    names: list[str] = list(network.layer_names)
    end = min((names.index(layer) for layer in before), default=len(names))
    for name in reversed(names[: end + 1]):
        if re.fullmatch(r"relu\d+_\d+", name):
            return name
    raise SettingsError(f"no ReLU comes before {names[end]}", f"give {argument('layer')}, or explain a later one")


def default_layer(question: Question) -> str:
    """Where maps are taken if nobody says where: :func:`last_convolution`, at or before the layer that is asked about.

    In a module of others it is the ReLU after the last convolution; or the block around it, where that one ReLU
    serves several of the block's convolutions, as in a ResNet.

    Raises:
        SettingsError: it can't be told.
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
    raise SettingsError("it is not clear which layer of this network to look at", f"name it as {argument('layer')}")


def grad_cam(
    question: Question | nn.Module,
    image: Images,
    index: int | Sequence[int] | None = None,
    layer: str | None = None,
) -> Maps:
    """ReLU(Σₖ αₖ Aᵏ), αₖ the mean of gᵏ over positions.

    R. Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, ICCV 2017
    (arXiv 1610.02391), equations 1 and 2. It generalises class activation maps (B. Zhou et al., Learning Deep Features
    for Discriminative Localization, CVPR 2016), which need a linear layer on averaged features.

    Args:
        question: what is explained; or a network, and the class by its ``index``.
        image: RGB in [0, 1].
        index: for a network: the class, one for all pictures or one for each, or several for one picture, which runs
            once for all of them; without a head, a channel of the last map. None for the likeliest.
        layer: whose positions; None for :func:`default_layer`.

    Raises:
        SettingsError: no such layer or class, a layer without positions, or a network in training mode, where
            dropout would make maps a matter of chance.
    """
    if not isinstance(question, Question):
        question = ask(question, likeliest(question, image) if index is None else index)
    a, g = _slopes(question, image, layer)
    return _map(g.mean((2, 3), keepdim=True) * a)


def grad_cam_plus_plus(question: Question, image: Images, layer: str | None = None) -> Maps:
    """As Grad-CAM, αₖ being the sum over positions of ReLU(g) / (2 + g ΣA).

    A. Chattopadhyay et al., Grad-CAM++, WACV 2018 (arXiv 1710.11063), equations 5 and 19, after cancelling g², so that
    no small number has to be added to what is divided by.
    """
    a, g = _slopes(question, image, layer)
    alpha = finite(g.relu() / (2 + g * a.sum((2, 3), keepdim=True)))
    return _map(alpha.sum((2, 3), keepdim=True) * a)


def hires_cam(question: Question, image: Images, layer: str | None = None) -> Maps:
    """ReLU(Σₖ gᵏ Aᵏ), position by position.

    R. Draelos, L. Carin, Use HiResCAM instead of Grad-CAM for faithful explanations, 2020 (arXiv 2011.08891), section
    3.3. Before its ReLU it sums to the score, but for biases, where one linear layer follows.
    """
    a, g = _slopes(question, image, layer)
    return _map(g * a)


def layer_cam(question: Question, image: Images, layer: str | None = None) -> Maps:
    """ReLU(Σₖ ReLU(gᵏ) Aᵏ), position by position: also early layers give clear maps.

    P.-T. Jiang et al., LayerCAM: Exploring Hierarchical Class Activation Maps, IEEE TIP 2021, equations 6 to 8.
    """
    a, g = _slopes(question, image, layer)
    return _map(g.relu() * a)


@torch.no_grad()
def score_cam(question: Question, image: Images, layer: str | None = None, batch: int = 8, watch: Watch = iter) -> Maps:
    """ReLU(Σₖ αₖ Aᵏ), α the softmax over channels of the score of the picture seen through each channel alone.

    H. Wang et al., Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks, CVPR 2020 workshop
    (arXiv 1910.01279), algorithm 1. What a channel hides has the colour of
    :meth:`~vggapps.explanation.Question.blank`, whose own score, which the paper subtracts, cancels in the
    softmax. A channel that is the same everywhere hides everything.

    Args:
        question: what is explained.
        image: RGB in [0, 1].
        layer: whose positions; None for :func:`default_layer`.
        batch: channels that go through the network together.
        watch: shown the steps of each picture: the layer's channels are many.
    """
    found = []
    blank = question.blank(image)
    cut = question.cut(layer or default_layer(question))
    for i, a in enumerate(torch.split(exact(_activations(question, cut, image)), 1)):
        one, nothing = question.about(i), blank[i : i + 1]
        scores = one.score(nothing).repeat(a.shape[1])
        alive = (a.amax((0, 2, 3)) > a.amin((0, 2, 3))).nonzero()[:, 0]
        for k in watch(range(0, len(alive), batch)):
            these = alive[k : k + batch]
            seen = F.interpolate(a[:, these], image.shape[2:], mode="bilinear", align_corners=False)[0, :, None]
            least, most = seen.amin((2, 3), keepdim=True), seen.amax((2, 3), keepdim=True)
            seen = finite((seen - least) / (most - least)).to(image)
            scores[these] = one.score(torch.lerp(nothing, image[i : i + 1], seen))
        found.append(_map(scores.softmax(0)[:, None, None] * a))
    return torch.cat(found)


@torch.no_grad()
def ablation_cam(
    question: Question, image: Images, layer: str | None = None, batch: int = 64, watch: Watch = iter
) -> Maps:
    """ReLU(Σₖ αₖ Aᵏ), αₖ being how much of the score goes with the channel.

    S. Desai, H. Ramaswamy, Ablation-CAM, WACV 2020, equation 3. The paper divides that by the score; here it is left
    as it is, since a division by a negative score would turn the map around.

    Args:
        question: what is explained.
        image: RGB in [0, 1].
        layer: whose channels are set to zero; None for :func:`default_layer`.
        batch: channels that go through the rest of the network together.
        watch: shown the steps of each picture.
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
        found.append(_map(drops[:, None, None] * exact(a)))
    return torch.cat(found)


def heat(cam: Maps, size: tuple[int, int]) -> Float[Tensor, "n 1 h w"]:
    """A map at another size, (height, width), bilinear; each picture's scaled to [0, 1] by its own maximum.

    A map of zeros stays so.
    """
    large = F.interpolate(cam, size=size, mode="bilinear", align_corners=False)
    return large / large.amax((2, 3), keepdim=True).clamp(min=torch.finfo(large.dtype).tiny)


def _map(weighted: Activations) -> Maps:
    return weighted.sum(1, keepdim=True).relu()


def _activations(question: Question, cut: Cut, image: Images) -> Activations:
    with torch.no_grad(), taking(question.network, image):
        activations = cut.before(image)
    if activations.ndim != 4:
        raise SettingsError(f"{cut.layer} has no positions", f"take a layer that has, {default_layer(question)}")
    if question.parts and len(image) == 1:  # one picture runs once for all classes
        activations = activations.expand(len(question.parts), -1, -1, -1)
    return activations


def _slopes(question: Question, image: Images, layer: str | None) -> tuple[Activations, Activations]:
    """The layer's output, and the score's slope in it."""
    cut = question.cut(layer or default_layer(question))
    activations = _activations(question, cut, image).detach()
    with torch.enable_grad():
        scores = question.score_after(cut, activations.requires_grad_())
        (slopes,) = torch.autograd.grad(scores.sum(), activations, allow_unused=True)  # no row depends on another's
    if slopes is None:
        raise SettingsError(f"{question.objective.text} does not depend on {cut.layer}", "take a layer before it")
    return exact(activations.detach()), finite(exact(slopes))
