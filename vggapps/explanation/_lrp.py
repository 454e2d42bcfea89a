"""Layer-wise relevance propagation (LRP): a score is propagated back layer by layer to the pixels.

S. Bach et al., On Pixel-Wise Explanations for Non-Linear Classifier Decisions, PLoS ONE 10 (2015); rules and the
composite for VGG from G. Montavon et al., Layer-Wise Relevance Propagation: An Overview, LNCS 11700 (2019), section 10.

Each layer redistributes the relevance of its outputs to its inputs according to their contributions; elementwise
functions pass it on. The network must be sequential; batch norm is fused into the convolution before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vggapps.errors import SettingsError, unknown
from vggapps.explanation._question import Question
from vggapps.objectives._objective import Activations
from vggapps.vgg._exact import Radial
from vggapps.vgg._hooks import OUTPUT, input_of
from vggapps.vgg._pooling import Flatten, Pool, Sliding, Summarize
from vggapps.vgg._wrapped import as_network

Row = list[tuple[str, nn.Module]]
Bounds = tuple[Tensor, Tensor]
_TINY = 1e-9  # keeps quotients finite, as in the overview
_POINTS = 32  # on the path of integrated gradients for a radial layer
_ALONE = (nn.ReLU, nn.Dropout, nn.Identity, nn.LocalResponseNorm)
_POOLINGS = (Pool, nn.MaxPool2d, nn.AvgPool2d)
_HEAD = (nn.Linear, nn.AdaptiveAvgPool2d, nn.Flatten, Flatten, Sliding, Summarize, Radial)
_KNOWN = (*_ALONE, *_POOLINGS, *_HEAD, nn.Conv2d)


@dataclass(frozen=True, eq=False)
class Weighted:
    """A layer whose outputs are weighted sums of its inputs.

    Attributes:
        run: function of input, weight and bias. A pooling has weight 1.
        bounds: smallest and largest possible input, for the first layer.
    """

    run: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    weight: Tensor
    bias: Tensor | None
    bounds: Bounds

    def parts(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """The sums of positive and of negative contributions to each output."""
        up, down = self.weight.clamp(min=0), self.weight.clamp(max=0)
        more, less = (None, None) if self.bias is None else (self.bias.clamp(min=0), self.bias.clamp(max=0))
        above, below = a.clamp(min=0), a.clamp(max=0)
        pro, contra = self.run(above, up, more), self.run(above, down, less)
        if below.any():
            pro, contra = pro + self.run(below, down, None), contra + self.run(below, up, None)
        return pro, contra


Rule = Callable[[Weighted, Tensor, Tensor], Tensor]  # layer, inputs, relevance of outputs -> relevance of inputs


def epsilon(layer: Weighted, a: Tensor, relevance: Tensor, least: float | Tensor = 0.0, rms: float = 0.0) -> Tensor:
    """LRP-ε: Rᵢ = Σⱼ aᵢ wᵢⱼ Rⱼ / (zⱼ + ε sign zⱼ), ε = least + rms times the root mean square of z; LRP-0 for ε = 0."""
    z = layer.run(a, layer.weight, layer.bias)
    if rms:
        least = least + rms * z.detach().square().mean(tuple(range(1, z.ndim)), keepdim=True).sqrt()
    return _redistribute(a, (z, relevance / _stable(z, least)))


def gamma(layer: Weighted, a: Tensor, relevance: Tensor, gamma: float = 0.25) -> Tensor:
    """LRP-γ: favors positive contributions, with w + γ max(w, 0) instead of w.

    For negative outputs, negative contributions are favored, to keep quotients bounded (L. Andéol et al., arXiv
    2110.11854).
    """
    pro, contra = layer.parts(a)
    z = pro + contra
    ratio = relevance / _stable(z + gamma * torch.where(z < 0, contra, pro))
    more = (1 + gamma) * ratio
    return _redistribute(a, (pro, torch.where(z < 0, ratio, more)), (contra, torch.where(z < 0, more, ratio)))


def alpha_beta(layer: Weighted, a: Tensor, relevance: Tensor, beta: float = 0.0) -> Tensor:
    """LRP-αβ: 1 + β of the relevance to positive contributions, -β to negative ones, if any; z⁺ for β = 0."""
    pro, contra = layer.parts(a)
    less = torch.where(contra < 0, -beta, 0.0)
    return _redistribute(a, (pro, (1 - less) * relevance / _stable(pro)), (contra, less * relevance / _stable(contra)))


def flat(layer: Weighted, a: Tensor, relevance: Tensor) -> Tensor:
    """Equal relevance for all inputs of an output."""
    ones = torch.ones_like(a).requires_grad_()
    z = layer.run(ones, torch.ones_like(layer.weight), None)
    return _redistribute(ones, (z, relevance / _stable(z)))


def box(layer: Weighted, a: Tensor, relevance: Tensor) -> Tensor:
    """The zᴮ rule for pixels in [l, h]: contributions xᵢ wᵢⱼ - l max(wᵢⱼ, 0) - h min(wᵢⱼ, 0)."""
    low, high = (bound.expand_as(a).clone().requires_grad_() for bound in layer.bounds)
    up, down = layer.weight.clamp(min=0), layer.weight.clamp(max=0)
    z = layer.run(a, layer.weight, None) - layer.run(low, up, None) - layer.run(high, down, None)
    slopes = torch.autograd.grad(z, (a, low, high), relevance / _stable(z))
    return torch.stack([x.detach() * slope for x, slope in zip((a, low, high), slopes, strict=True)]).sum(0)


@dataclass(frozen=True)
class Composite:
    """Assigns rules to layers.

    Attributes:
        pixels: for the first convolution.
        lower: up to the third pooling; ``upper``: from there to the last feature map; ``head``: for the rest.
        winner: whether max poolings pass all relevance to the maximum; otherwise they count as average poolings.
    """

    pixels: Rule
    lower: Rule
    upper: Rule
    head: Rule = epsilon
    winner: bool = True


_SMALL, _ALPHA_2 = partial(epsilon, least=1e-6), partial(alpha_beta, beta=1)
# "vgg" is the overview's for VGG-16, by blocks; the others are those of Zennit (arXiv 2106.13200).
COMPOSITES: Mapping[str, Composite] = {
    "vgg": Composite(box, gamma, partial(epsilon, rms=0.25), winner=False),
    "epsilon-gamma-box": Composite(box, gamma, gamma, _SMALL),
    "epsilon-plus-flat": Composite(flat, alpha_beta, alpha_beta, _SMALL),
    "alpha2-beta1": Composite(_ALPHA_2, _ALPHA_2, _ALPHA_2, _SMALL),
    "zero": Composite(epsilon, epsilon, epsilon),
}


@dataclass(frozen=True, eq=False)
class LayerRelevance:
    """Relevance of a layer's inputs, and that lost to biases and stabilizers, as fractions of the explained number."""

    layer: str
    share: Float[Tensor, " n"]
    lost: Float[Tensor, " n"]


def lrp(question: Question, image: Float[Tensor, "n 3 h w"], composite: str = "vgg") -> Float[Tensor, "n 3 h w"]:
    """The relevance of each channel of each pixel; ``composite`` is one of ``COMPOSITES``, see :func:`relevance`.

    Raises:
        SettingsError: no such composite or layer, or a network that is not a sequence of known layers.
    """
    return relevance(question, image, composite)[0]


def relevance(
    question: Question, image: Float[Tensor, "n 3 h w"], composite: str = "vgg"
) -> tuple[Float[Tensor, "n 3 h w"], list[LayerRelevance]]:
    """The relevance of each channel of each pixel, and its conservation in each layer.

    Args:
        question: about a class or layers of a VGG or another sequential network.
        image: RGB in [0, 1] for a VGG; for other modules their input, bounded by its minimum and maximum per picture.
        composite: one of ``COMPOSITES``.

    Returns:
        Relevance in units of the score, float32 at least; and the layers from input to output, so that the share of the
        first is the total over pixels.
    """
    if composite not in COMPOSITES:
        raise unknown("composite", composite, COMPOSITES)
    network, rules = question.network, COMPOSITES[composite]
    dtype = torch.promote_types(next(network.parameters()).dtype, torch.float32)
    if any(parameter.dtype != dtype for parameter in network.parameters()):
        network = deepcopy(network).to(dtype)
    x = image.detach().to(dtype)
    row, ends = _row(network, x, question.objective.layers)
    x = as_network(network).preprocess(x)
    bounds = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    if convention := as_network(network).convention:
        bounds = convention(torch.zeros_like(bounds[0])), convention(torch.ones_like(bounds[1]))
    inputs, outputs = [], {}
    with torch.no_grad():
        for name, module in row:
            inputs.append(x)
            x = outputs[name] = module(x.clone())  # for in-place ReLUs
    score, shares = _start(question, {layer: outputs[name] for layer, name in ends.items()})
    report, current = [], torch.zeros_like(x)
    for (name, module), rule in zip(reversed(row), reversed(_rules(row, rules)), strict=True):
        output = current + sum(shares[layer] for layer, end in ends.items() if end == name)
        with torch.enable_grad():
            current = _back(module, inputs.pop().requires_grad_(), output, rule, rules.winner, bounds)
        before, after = (part.flatten(1).sum(1) / _stable(score) for part in (output, current))
        report.append(LayerRelevance(name, after, before - after))
    return current, report[::-1]


def _start(question: Question, found: Mapping[str, Tensor]) -> tuple[Float[Tensor, " n"], dict[str, Tensor]]:
    """The explained number, and the contribution of each layer in it, by gradient times activation."""
    leaves = {layer: output.clone().requires_grad_() for layer, output in found.items()}
    with torch.enable_grad():
        score = question.objective.score(Activations(leaves))
        slopes = torch.autograd.grad(score.sum(), list(leaves.values()), materialize_grads=True)
    return score.detach(), {layer: slope * found[layer] for layer, slope in zip(leaves, slopes, strict=True)}


def _row(network: nn.Module, image: Tensor, targets: frozenset[str]) -> tuple[Row, dict[str, str]]:
    """The layers up to the last target, with batch norm folded in; and the module name of each target."""
    row = list(network.named_children()) if as_network(network).convention else _leaves(network, image)
    names = [name for name, _ in row]
    ends = {layer: names[-1] if layer == OUTPUT else layer for layer in targets}
    if absent := sorted(set(ends.values()) - set(names)):
        raise unknown("layer", absent[0], names)
    folded: Row = []
    for name, module in row[: 1 + max(map(names.index, ends.values()))]:
        before = folded[-1][1] if folded and folded[-1][0] not in ends.values() else None
        if isinstance(module, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            folded[-1] = (name, fuse_conv_bn_eval(before, module))
        elif isinstance(module, _KNOWN):
            folded.append((name, module))
        else:
            raise SettingsError(f"LRP has no rule for {name}, a {type(module).__name__}", "use another method")
    return folded, ends


def _leaves(network: nn.Module, image: Tensor) -> Row:
    """The leaf modules of a sequential network, with a Flatten before the first linear layer."""
    row = [(name, module) for name, module in network.named_modules() if not any(module.children())]
    kinds = [type(module) for _, module in row]
    if nn.Linear in kinds and nn.Flatten not in kinds:
        row.insert(kinds.index(nn.Linear), ("flatten", nn.Flatten()))
    same, given = False, input_of(network, image.clone())
    with torch.no_grad(), suppress(RuntimeError):  # mismatched shapes
        same = torch.allclose(nn.Sequential(*[module for _, module in row])(given), network(image.clone()))
    if not same:
        raise SettingsError(f"{type(network).__name__} is not a sequence of layers", "use another method, or a VGG")
    return row


def _rules(row: Row, composite: Composite) -> list[Rule]:
    found, poolings, head = list[Rule](), 0, False
    for _, module in row:
        head = head or isinstance(module, _HEAD)
        lower = composite.lower if found or not isinstance(module, nn.Conv2d) else composite.pixels
        found.append(composite.head if head else lower if poolings < 3 else composite.upper)
        poolings += isinstance(module, _POOLINGS)
    return found


def _back(module: nn.Module, a: Tensor, relevance: Tensor, rule: Rule, winner: bool, bounds: Bounds) -> Tensor:
    match module:
        case nn.ReLU() | nn.Dropout() | nn.Identity() | nn.LocalResponseNorm() | nn.Flatten():
            return relevance.reshape(a.shape)
        case nn.Conv2d():
            return rule(Weighted(module._conv_forward, module.weight, module.bias, bounds), a, relevance)
        case nn.Linear():
            return rule(Weighted(F.linear, module.weight, module.bias, bounds), a, relevance)
        case Radial():
            return _integrated(module, a, relevance)
        case Summarize():
            rule, module = epsilon, Summarize(replace(module.pooled, root=False), module.window)
        case Pool(kind="max") | nn.MaxPool2d() if winner:
            rule = epsilon
        case Pool(kind="max"):
            module = nn.AvgPool2d(2)
        case nn.MaxPool2d():
            module = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
    return rule(Weighted(lambda x, weight, _: weight * module(x), a.new_ones(1), None, bounds), a, relevance)


def _integrated(radial: Radial, a: Tensor, relevance: Tensor) -> Tensor:
    """Relevance by integrated gradients from zeros, since a distance is not a weighted sum of its inputs.

    M. Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017. The value at zero is not attributed.
    """
    ratio, slopes = relevance / _stable(radial(a)), torch.zeros_like(a)
    for point in range(_POINTS):
        x = (a.detach() * ((point + 0.5) / _POINTS)).requires_grad_()
        slopes += torch.autograd.grad(radial(x), x, ratio)[0]
    return a.detach() * slopes / _POINTS


def _redistribute(a: Tensor, *weighed: tuple[Tensor, Tensor]) -> Tensor:
    """Contributions of the inputs to each sum (input times gradient), weighted by its ratio and added up."""
    (slope,) = torch.autograd.grad([z for z, _ in weighed], a, [ratio for _, ratio in weighed])
    return a.detach() * slope


def _stable(z: Tensor, least: float | Tensor = 0.0) -> Tensor:
    """Move away from zero, for division."""
    return z.detach() + torch.where(z < 0, -1.0, 1.0) * (least + _TINY)
