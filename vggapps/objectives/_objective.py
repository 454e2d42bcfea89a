"""What a picture is made for: objectives, which are added, subtracted and weighed.

An objective looks at features and gives one number for each picture, which is maximised. C. Olah, A. Mordvintsev,
L. Schubert, Feature Visualization, Distill 2017; their lucid has most of these (Apache-2.0; formulas, no code).
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
from vggapps.objectives._forms import written
from vggapps.vgg._hooks import OUTPUT

Scores = Float[Tensor, "n"]


@dataclass(frozen=True)
class Seen:
    """What the networks see of some pictures.

    Attributes:
        features: outputs by layer, float32; those of a second network are called ``vgg16/conv4_3``.
        references: the same for pictures that objectives compare with, of one row each, by the picture's name. They
            went through the same random transforms.
    """

    features: Mapping[str, Float[Tensor, "n c *hw"]]
    references: Mapping[str, Mapping[str, Float[Tensor, "1 c *hw"]]] = field(default_factory=dict)

    def only(self, picture: int) -> Seen:
        """Of one of the pictures."""
        rows = {layer: features[picture : picture + 1] for layer, features in self.features.items()}
        return Seen(rows, self.references)


@dataclass(frozen=True)
class Objective:
    """A number for each picture, the larger the better.

    >>> eyes = channel("conv4_3", 12) + 0.5 * channel("conv4_3", 200) - direction("conv5_1", torch.ones(512))
    >>> eyes.text, sorted(eyes.layers)
    ('conv4_3:12 + 0.5*conv4_3:200 - direction(conv5_1)', ['conv4_3', 'conv5_1'])

    Attributes:
        layers: what has to be seen.
        score: features to one number for each picture.
        text: how it is written.
        references: pictures, 1 × 3 × h × w, that are compared with, by name.
    """

    layers: frozenset[str]
    score: Callable[[Seen], Scores] = field(repr=False)
    text: str
    references: Mapping[str, Float[Tensor, "1 3 h w"]] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def __add__(self, other: Objective) -> Objective:
        return self._with(
            other, lambda seen: self.score(seen) + other.score(seen), _sum(terms(self.text) + terms(other.text))
        )

    def __sub__(self, other: Objective) -> Objective:
        return self + -1 * other

    def __mul__(self, weight: float) -> Objective:
        text = _sum([(weight * own, term) for own, term in terms(self.text)])
        return Objective(self.layers, lambda seen: weight * self.score(seen), text, self.references)

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return -1 * self

    def _with(self, other: Objective, score: Callable[[Seen], Scores], text: str) -> Objective:
        return Objective(self.layers | other.layers, score, text, {**self.references, **other.references})


# Spaces around the sign: names of classes have hyphens. What is inside of brackets belongs to one term.
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
    """The text of a sum: the reverse of :func:`terms`."""
    words: list[str] = []
    for weight, term in parts:
        size = "" if abs(weight) == 1 else f"{abs(weight):.12g}*"
        sign = "-" if weight < 0 else "+"
        words.append(f" {sign} {size}{term}" if words else f"{sign.strip('+')}{size}{term}")
    return "".join(words)


@written("LAYER:CHANNEL", "a channel: its mean over all positions, `conv4_3:12`")
def channel(layer: str, index: int) -> Objective:
    """The mean over all positions of a channel."""
    return Objective(
        frozenset({layer}), lambda seen: _channel(seen.features[layer], layer, index).mean(1), f"{layer}:{index}"
    )


@written("LAYER:CHANNEL@ROW,COLUMN", "one position of a channel, `conv4_3:12@3,5`")
@written("LAYER:CHANNEL@center", "the one in the middle")
def neuron(layer: str, index: int, row: int | None = None, column: int | None = None) -> Objective:
    """One position of a channel; the one in the middle where none is named."""
    place = "center" if row is None or column is None else f"{row},{column}"

    def score(seen: Seen) -> Scores:
        features = seen.features[layer]
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


@written("LAYER", "a whole layer: half its mean square, as in DeepDream")
def layer(name: str) -> Objective:
    """Half the mean square of a whole layer: what DeepDream climbs (A. Mordvintsev et al., 2015)."""
    return Objective(frozenset({name}), lambda seen: 0.5 * seen.features[name].square().flatten(1).mean(1), name)


@written("class:CLASS", "a class before the softmax: `class:tabby`, `class:n02123045` or `class:281`")
def class_score(index: int, name: str = "") -> Objective:
    """A class's score before the softmax; the mean over positions for a network that gives a map of scores."""
    return Objective(
        frozenset({OUTPUT}),
        lambda seen: _channel(seen.features[OUTPUT], "the output", index).mean(1),
        f"class:{name or index}",
    )


@written("direction(LAYER, VECTOR)", "a direction in a layer's channels: `direction(conv4_3, v.npy)`")
def direction(layer: str, vector: Float[Tensor, " c"], name: str = "", power: float = 0.0) -> Objective:
    """A direction in a layer's channels: the mean over positions of ``v·a · max(0.1, cos(v, a))^power``."""

    def score(seen: Seen) -> Scores:
        a = seen.features[layer].flatten(2)
        if len(vector) != a.shape[1]:
            raise SettingsError(f"a direction of {len(vector)} numbers for {layer}", f"it has {a.shape[1]} channels")
        return _aligned(a, vector.to(a)[None, :, None], power).mean(1)

    return Objective(frozenset({layer}), score, f"direction({layer}, {name})" if name else f"direction({layer})")


@written("caricature(LAYER, IMAGE)", "more of what the layer sees in a picture: `caricature(conv4_3, cat.jpg)`")
def caricature(layer: str, picture: Float[Tensor, "1 3 h w"], name: str = "picture", power: float = 1.0) -> Objective:
    """More of what the layer sees in a picture: the same sum, with the picture's own features for directions."""

    def score(seen: Seen) -> Scores:
        a, target = seen.features[layer].flatten(1), seen.references[name][layer].flatten(1)
        # Relative to the target's square, so that 1 is what the picture itself has.
        product, cosine = (a * target).sum(1), torch.cosine_similarity(a, target, eps=1e-6)
        return product / target.square().sum(1).clamp_min(1e-6) * cosine.clamp_min(0.1) ** power

    return Objective(frozenset({layer}), score, f"caricature({layer}, {name})", {name: picture})


@written("likeness(LAYER, IMAGE)", "what the layer sees in a picture, and no more (feature accentuation)")
def likeness(layer: str, picture: Float[Tensor, "1 3 h w"], name: str = "picture") -> Objective:
    """Less the squared distance from what a layer sees in a picture, relative to its square (feature accentuation)."""

    def score(seen: Seen) -> Scores:
        a, target = seen.features[layer].flatten(1), seen.references[name][layer].flatten(1)
        return -(a - target).square().sum(1) / target.square().sum(1).clamp_min(1e-6)

    return Objective(frozenset({layer}), score, f"likeness({layer}, {name})", {name: picture})


@written("diversity(LAYER)", "the `pictures` of one objective differ (less the cosines of Gram matrices)")
def diversity(layer: str) -> Objective:
    """How little the pictures of a batch are like each other: less the cosines of their Gram matrices."""

    def score(seen: Seen) -> Scores:
        a = seen.features[layer].flatten(2)
        grams = torch.nn.functional.normalize((a @ a.mT).flatten(1), dim=1)
        cosines = grams @ grams.T
        return cosines.diagonal() - cosines.sum(1)

    return Objective(frozenset({layer}), score, f"diversity({layer})")


@written("alignment(LAYER)", "neighbours among `pictures` are alike")
def alignment(layer: str, decay: float = 2.0) -> Objective:
    """How near neighbours in a batch are to each other, so that a row of pictures changes step by step.

    Less the squared distances, divided by ``decay`` for each place further away, relative to the layer's mean square.
    """

    def score(seen: Seen) -> Scores:
        a = seen.features[layer].flatten(1)
        places = torch.arange(len(a), device=a.device)
        nearness = decay ** -(places[:, None] - places).abs().to(a)
        # Through products: differences would be a batch of batches.
        squares, products = a.square().sum(1), a @ a.T
        distances = squares[:, None] + squares - 2 * products
        return -(distances * nearness).sum(1) / squares.mean().clamp_min(1e-6)

    return Objective(frozenset({layer}), score, f"alignment({layer})")


@written("interpolate(OBJECTIVE, OBJECTIVE)", "from one objective to another over `pictures`")
def interpolate(first: Objective, second: Objective) -> Objective:
    """From one objective to another over the pictures of a batch."""

    def score(seen: Seen) -> Scores:
        a, b = first.score(seen), second.score(seen)
        return torch.lerp(a, b, torch.linspace(0, 1, len(a)).to(a))

    return first._with(second, score, f"interpolate({first.text}, {second.text})")


def each(objectives: Sequence[Objective]) -> Objective:
    """For each picture of a batch its own objective."""

    def score(seen: Seen) -> Scores:
        return torch.cat([objective.score(seen.only(i)) for i, objective in enumerate(objectives)])

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
