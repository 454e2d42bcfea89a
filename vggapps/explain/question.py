"""What is to be explained: a number that a network gives for a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.vgg.cut import Cut
from vggapps.vgg.hooks import OUTPUT, features
from vggapps.visualize.objectives import Objective, Seen, class_score, each
from vggapps.visualize.text import parse

Target = int | str | Objective | Sequence[int]


@dataclass(frozen=True, eq=False)
class Question:
    """Why a network gives this number.

    Attributes:
        network: in inference mode.
        objective: the number.
    """

    network: nn.Module
    objective: Objective

    def score(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """The number for each picture; a class's is before the softmax."""
        return self._score(features(self.network, image, self.objective.layers))

    def confidence(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """A class's probability; a layer's response as it is."""
        if self.objective.layers != {OUTPUT}:
            return self.score(image)
        found = features(self.network, image, (OUTPUT,))[OUTPUT].float()
        return self._score({OUTPUT: found.softmax(1)})

    def cut(self, layer: str) -> Cut:
        """The network cut at a layer; :meth:`score_after` tells what the second part makes of the layer's numbers."""
        return Cut(self.network, layer, self.objective.layers)

    def score_after(self, cut: Cut, activations: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        """The number, from the activations at the cut."""
        return self._score(cut.after(activations))

    def _score(self, found: Mapping[str, Tensor]) -> Float[Tensor, " n"]:
        return self.objective.score(Seen({layer: each.float() for layer, each in found.items()}))


def ask(network: nn.Module, target: Target) -> Question:
    """Why a network sees a class, or why a layer responds.

    Args:
        network: ours, or any module that takes pictures and gives a row of class scores for each.
        target: a class by its index; several, one for each picture; a text such as ``class:tabby`` or
            ``relu5_4:200``, see :mod:`vggapps.visualize.text`; or an objective.

    Raises:
        SettingsError: a target that the network has not, or a network in training mode, where dropout would make
            explanations a matter of chance.
    """
    if network.training:
        raise SettingsError("the network is in training mode", "call its eval() first, or freeze()")
    if isinstance(target, str):
        target = parse(target, network)
    elif isinstance(target, int):
        target = class_score(target)
    elif not isinstance(target, Objective):
        target = each([class_score(index) for index in target])
    return Question(network, target)


def likeliest(network: nn.Module, image: Float[Tensor, "n 3 h w"]) -> list[int]:
    """The class that each picture looks most like."""
    with torch.no_grad():
        scores = features(network, image, (OUTPUT,))[OUTPUT]
    indices: list[int] = scores.flatten(2).mean(2).argmax(1).tolist() if scores.ndim > 2 else scores.argmax(1).tolist()
    return indices
