"""Objectives: functions of features to be maximized, which can be added, subtracted and weighted.

An objective returns one number per image. C. Olah, A. Mordvintsev, L. Schubert, Feature Visualization, Distill 2017;
most of these are in their library lucid (Apache-2.0; formulas, no code).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, argument
from vggapps.objectives._forms import FORMS as FORMS
from vggapps.objectives._forms import text_form
from vggapps.vgg._hooks import OUTPUT

Scores = Float[Tensor, "n"]


@dataclass(frozen=True)
class Activations:
    """The features of a batch of images in one or more networks.

    Attributes:
        features: outputs by layer, float32; a layer of a further network is named ``vgg16/conv4_3``.
        references: the same for each reference image that objectives compare with, by the image's name. Reference
            images go through the same random transforms.
    """

    features: Mapping[str, Float[Tensor, "n c *hw"]]
    references: Mapping[str, Mapping[str, Float[Tensor, "1 c *hw"]]] = field(default_factory=dict)

    def select(self, picture: int) -> Activations:
        """The activations of one image of the batch."""
        rows = {layer: features[picture : picture + 1] for layer, features in self.features.items()}
        return Activations(rows, self.references)


@dataclass(frozen=True)
class Objective:
    """A function of features that returns one number per image, to be maximized.

    >>> eyes = channel("conv4_3", 12) + 0.5 * channel("conv4_3", 200) - direction("conv5_1", torch.ones(512))
    >>> eyes.text, sorted(eyes.layers)
    ('conv4_3:12 + 0.5*conv4_3:200 - direction(conv5_1)', ['conv4_3', 'conv5_1'])

    Attributes:
        layers: the layers that it needs.
        score: activations to one number per image.
        text: its text form, or a description.
        references: reference images by name, 1 × 3 × h × w.
    """

    layers: frozenset[str]
    score: Callable[[Activations], Scores] = field(repr=False)
    text: str
    references: Mapping[str, Float[Tensor, "1 3 h w"]] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def __add__(self, other: Objective) -> Objective:
        return self._with(
            other,
            lambda activations: self.score(activations) + other.score(activations),
            _sum(terms(self.text) + terms(other.text)),
        )

    def __sub__(self, other: Objective) -> Objective:
        return self + -1 * other

    def __mul__(self, weight: float) -> Objective:
        text = _sum([(weight * own, term) for own, term in terms(self.text)])
        return Objective(self.layers, lambda activations: weight * self.score(activations), text, self.references)

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return -1 * self

    def _with(self, other: Objective, score: Callable[[Activations], Scores], text: str) -> Objective:
        return Objective(self.layers | other.layers, score, text, {**self.references, **other.references})


# Spaces around the sign, as names of classes contain hyphens; not inside brackets.
_SIGN = re.compile(r"\s+([+-])\s+(?![^()]*\))")
_WEIGHT = re.compile(r"(-?(?:\d*\.)?\d+(?:e[+-]?\d+)?)\s*\*\s*(.+)", re.S)


def terms(text: str) -> list[tuple[float, str]]:
    """The weights and terms of a sum.

    >>> terms("conv4_3:12 - 0.5*class:hen-of-the-woods")
    [(1.0, 'conv4_3:12'), (-0.5, 'class:hen-of-the-woods')]
    """
    words = _SIGN.split(text.strip())
    found = []
    for sign, word in zip(["+", *words[1::2]], words[::2], strict=True):
        weight, term = 1.0, word.strip()
        if match := _WEIGHT.fullmatch(term):
            weight, term = float(match[1]), match[2].strip()
        elif term.startswith("-"):
            weight, term = -1.0, term[1:].strip()
        found.append((-weight if sign == "-" else weight, term))
    return found


def _sum(parts: Sequence[tuple[float, str]]) -> str:
    """The text of a sum: the inverse of :func:`terms`."""
    words: list[str] = []
    for weight, term in parts:
        size = "" if abs(weight) == 1 else f"{abs(weight):.12g}*"
        sign = "-" if weight < 0 else "+"
        words.append(f" {sign} {size}{term}" if words else f"{sign.strip('+')}{size}{term}")
    return "".join(words)


@text_form("LAYER:CHANNEL", "a channel: its mean over all positions, `conv4_3:12`")
def channel(layer: str, index: int) -> Objective:
    """The mean of a channel over all positions."""
    return Objective(
        frozenset({layer}),
        lambda activations: _channel(activations.features[layer], layer, index).mean(1),
        f"{layer}:{index}",
    )


@text_form("LAYER:CHANNEL@ROW,COLUMN", "one position of a channel, `conv4_3:12@3,5`")
@text_form("LAYER:CHANNEL@center", "its centre position")
def neuron(layer: str, index: int, row: int | None = None, column: int | None = None) -> Objective:
    """One position of a channel; the centre by default."""
    place = "center" if row is None or column is None else f"{row},{column}"

    def score(activations: Activations) -> Scores:
        features = activations.features[layer]
        if features.ndim == 2:
            return _channel(features, layer, index)[:, 0]
        height, width = features.shape[2:]
        y, x = (height // 2, width // 2) if row is None or column is None else (row, column)
        if not (0 <= y < height and 0 <= x < width):
            raise SettingsError(
                f"{layer} has {height} x {width} positions and no {y},{x}", f"choose a larger {argument('size')}"
            )
        return _channel(features[:, :, y : y + 1, x : x + 1], layer, index)[:, 0]

    return Objective(frozenset({layer}), score, f"{layer}:{index}@{place}")


@text_form("LAYER", "a whole layer: half its mean square, as in DeepDream")
def layer(name: str) -> Objective:
    """Half the mean square of a whole layer: the objective of DeepDream (A. Mordvintsev et al., 2015)."""
    return Objective(
        frozenset({name}), lambda activations: 0.5 * activations.features[name].square().flatten(1).mean(1), name
    )


@text_form("class:CLASS", "the logit of a class: `class:tabby`, `class:n02123045` or `class:281`")
def class_score(index: int, name: str = "") -> Objective:
    """The logit of a class; its mean over positions if the network returns a map of logits."""
    return Objective(
        frozenset({OUTPUT}),
        lambda activations: _channel(activations.features[OUTPUT], "the output", index).mean(1),
        f"class:{name or index}",
    )


@text_form("direction(LAYER, VECTOR)", "a direction in a layer's channels: `direction(conv4_3, v.npy)`")
def direction(layer: str, vector: Float[Tensor, " c"], name: str = "", power: float = 0.0) -> Objective:
    """A direction in a layer's channels: the mean over positions of ``v·a · max(0.1, cos(v, a))^power``."""

    def score(activations: Activations) -> Scores:
        a = activations.features[layer].flatten(2)
        if len(vector) != a.shape[1]:
            raise SettingsError(f"a direction of {len(vector)} numbers for {layer}", f"it has {a.shape[1]} channels")
        return _aligned(a, vector.to(a)[None, :, None], power).mean(1)

    return Objective(frozenset({layer}), score, f"direction({layer}, {name})" if name else f"direction({layer})")


@text_form("caricature(LAYER, IMAGE)", "exaggerates a picture's features: `caricature(conv4_3, cat.jpg)`")
def caricature(layer: str, picture: Float[Tensor, "1 3 h w"], name: str = "picture", power: float = 1.0) -> Objective:
    """Exaggerate a picture's features in a layer: :func:`direction`, with the picture's features as direction."""

    def score(activations: Activations) -> Scores:
        a, target = activations.features[layer].flatten(1), activations.references[name][layer].flatten(1)
        # Relative to the target's square: the picture itself scores 1.
        product, cosine = (a * target).sum(1), torch.cosine_similarity(a, target, eps=1e-6)
        return product / target.square().sum(1).clamp_min(1e-6) * cosine.clamp_min(0.1) ** power

    return Objective(frozenset({layer}), score, f"caricature({layer}, {name})", {name: picture})


@text_form("likeness(LAYER, IMAGE)", "a picture's features, without exaggeration (feature accentuation)")
def likeness(layer: str, picture: Float[Tensor, "1 3 h w"], name: str = "picture") -> Objective:
    """Minus the relative squared distance to a picture's features in a layer (feature accentuation)."""

    def score(activations: Activations) -> Scores:
        a, target = activations.features[layer].flatten(1), activations.references[name][layer].flatten(1)
        return -(a - target).square().sum(1) / target.square().sum(1).clamp_min(1e-6)

    return Objective(frozenset({layer}), score, f"likeness({layer}, {name})", {name: picture})


@text_form(
    "diversity(LAYER)", "the `pictures` of one objective differ (minus the cosine similarities of Gram matrices)"
)
def diversity(layer: str) -> Objective:
    """How different the pictures of a batch are: minus the cosine similarities of their Gram matrices."""

    def score(activations: Activations) -> Scores:
        a = activations.features[layer].flatten(2)
        grams = torch.nn.functional.normalize((a @ a.mT).flatten(1), dim=1)
        cosines = grams @ grams.T
        return cosines.diagonal() - cosines.sum(1)

    return Objective(frozenset({layer}), score, f"diversity({layer})")


@text_form("alignment(LAYER)", "neighbouring `pictures` are similar")
def alignment(layer: str, decay: float = 2.0) -> Objective:
    """How similar neighbours in a batch are, so that a row of pictures changes gradually.

    Minus the squared distances, weighted by ``decay ** -|i - j|``, relative to the mean square norm.
    """

    def score(activations: Activations) -> Scores:
        a = activations.features[layer].flatten(1)
        places = torch.arange(len(a), device=a.device)
        nearness = decay ** -(places[:, None] - places).abs().to(a)
        # Through products: pairwise differences would take n times the memory.
        squares, products = a.square().sum(1), a @ a.T
        distances = squares[:, None] + squares - 2 * products
        return -(distances * nearness).sum(1) / squares.mean().clamp_min(1e-6)

    return Objective(frozenset({layer}), score, f"alignment({layer})")


@text_form("interpolate(OBJECTIVE, OBJECTIVE)", "a blend from one objective to another over `pictures`")
def interpolate(first: Objective, second: Objective) -> Objective:
    """A linear blend from one objective to another over the pictures of a batch."""

    def score(activations: Activations) -> Scores:
        a, b = first.score(activations), second.score(activations)
        return torch.lerp(a, b, torch.linspace(0, 1, len(a)).to(a))

    return first._with(second, score, f"interpolate({first.text}, {second.text})")


def each(objectives: Sequence[Objective]) -> Objective:
    """One objective for each picture of a batch, in order."""

    def score(activations: Activations) -> Scores:
        return torch.cat([objective.score(activations.select(i)) for i, objective in enumerate(objectives)])

    layers = frozenset[str]().union(*(objective.layers for objective in objectives))
    references = {name: picture for objective in objectives for name, picture in objective.references.items()}
    return Objective(layers, score, ", ".join(objective.text for objective in objectives), references)


def _channel(features: Tensor, layer: str, index: int) -> Float[Tensor, "n p"]:
    if not 0 <= index < features.shape[1]:
        raise SettingsError(f"{layer} has no channel {index}", f"the last one is {features.shape[1] - 1}")
    return features[:, index].flatten(1) if features.ndim > 2 else features[:, index : index + 1]


def _aligned(a: Float[Tensor, "n c p"], b: Float[Tensor, "n c p"], power: float) -> Float[Tensor, "n p"]:
    product = (a * b).sum(1)
    if not power:
        return product
    return product * torch.cosine_similarity(a, b, dim=1, eps=1e-6).clamp_min(0.1) ** power
