"""What is to be explained: a number that a network gives for a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.vgg.cut import Cut
from vggapps.vgg.hooks import OUTPUT, features
from vggapps.vgg.inference import check_inference
from vggapps.vgg.network import VGG
from vggapps.visualize.objectives import Objective, Seen, class_score, each
from vggapps.visualize.text import parse
from vggapps.weights.labels import labels_for

Target = int | str | Objective | Sequence[int]
Watch = Callable[[Sequence[int]], Iterable[int]]  # passes the steps of a slow method on, to show how far it is


@dataclass(frozen=True, eq=False)
class Question:
    """Why a network gives this number.

    Attributes:
        network: in inference mode.
        objective: the number.
        parts: where each picture of a batch has its own objective, these; else none.
    """

    network: nn.Module
    objective: Objective
    parts: tuple[Objective, ...] = ()

    def score(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """The number for each picture; a class's is before the softmax."""
        return self._score(features(self.network, image, self.objective.layers))

    def confidence(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """A class's probability, after the temperature that is stored with the weights; a layer's response as it is."""
        headless = isinstance(self.network, VGG) and self.network.head == "none"
        if self.objective.layers != {OUTPUT} or headless:
            return self.score(image)
        temperature = self.network.temperature if isinstance(self.network, VGG) else 1.0
        rows = _rows(exact(features(self.network, image, (OUTPUT,))[OUTPUT]))
        return self._score({OUTPUT: (rows / temperature).softmax(1)})

    def cut(self, layer: str) -> Cut:
        """The network cut at a layer; :meth:`score_after` tells what the second part makes of the layer's numbers."""
        return Cut(self.network, layer, self.objective.layers)

    def score_after(
        self, cut: Cut, activations: Float[Tensor, "n c h w"], picture: int | None = None
    ) -> Float[Tensor, " n"]:
        """The number, from the activations at the cut: of all pictures, or all of one of them."""
        # A copy: a module's in-place ReLU would else change the caller's.
        return self._score(cut.after(activations.clone(), picture))

    def about(self, picture: int) -> Question:
        """The question about one picture of the batch, which can then be asked of any number of its variants."""
        return Question(self.network, self.parts[picture]) if self.parts else self

    def blank(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The picture that says nothing: the mean colour, zero to the convolutions, of ours; black for a module."""
        nothing = torch.zeros_like(image)
        return self.network.convention.inverse(nothing) if isinstance(self.network, VGG) else nothing

    def _score(self, found: Mapping[str, Tensor]) -> Float[Tensor, " n"]:
        pictures = len(next(iter(found.values())))
        if self.parts and len(self.parts) != pictures:
            raise SettingsError(f"{len(self.parts)} classes for {pictures} pictures", "give one, or one for each")
        return self.objective.score(Seen({layer: exact(one) for layer, one in found.items()}))


def ask(network: nn.Module, target: Target) -> Question:
    """Why a network sees a class, or why a layer responds.

    Args:
        network: ours, or any module that takes pictures and gives a row of class scores for each.
        target: a class by its index; several, one for each picture; a text such as ``class:tabby`` or
            ``relu5_4:200``, see :mod:`vggapps.visualize.text`; or an objective.

    Raises:
        SettingsError: a target that the network has not, or that compares with a picture; or a network in training
            mode, where dropout would make explanations a matter of chance.
    """
    check_inference(network)
    if isinstance(target, str):
        target = parse(target, network)
    elif isinstance(target, int):
        target = _class(network, target)
    elif not isinstance(target, Objective):
        parts = tuple(_class(network, index) for index in target)
        return Question(network, each(parts), parts)
    if target.references:
        raise SettingsError(f"{target.text} compares with a picture", "ask for a class, a layer or a channel")
    return Question(network, target)


def likeliest(network: nn.Module, image: Float[Tensor, "n 3 h w"]) -> list[int]:
    """The class that each picture looks most like."""
    with torch.no_grad():
        indices: list[int] = _rows(features(network, image, (OUTPUT,))[OUTPUT]).argmax(1).tolist()
    return indices


def exact(x: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """At least in float32, which sums over many numbers need."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def finite(x: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """With zero for what is no number: a slope that is infinite, as a root's at zero, counts nothing."""
    return torch.where(x.isfinite(), x, 0)


def _rows(scores: Float[Tensor, "n classes ..."]) -> Float[Tensor, "n classes"]:
    """Class scores; those of a dense network are averaged over its positions."""
    return scores.flatten(2).mean(2) if scores.ndim > 2 else scores


def _class(network: nn.Module, index: int) -> Objective:
    """A class, with its name where that is known."""
    labels = labels_for(network)
    if not labels:
        return class_score(index)
    if not 0 <= index < len(labels):
        raise SettingsError(f"there is no class {index}", f"the last one is {len(labels) - 1}")
    return class_score(index, f"class:{labels[index].name}")
