"""What is minimised: style, content and roughness of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.losses._bound import ContentLoss, StyleLoss
from vggapps.losses._moments import moments
from vggapps.losses._variation import total_variation
from vggapps.optimize._engine import Score
from vggapps.vgg._network import VGG


@dataclass(frozen=True)
class Objective:
    """The parts of the loss and what each counts."""

    style: StyleLoss
    content: ContentLoss
    style_weight: float
    content_weight: float
    tv_weight: float

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that are looked at."""
        return tuple(dict.fromkeys([*self.style.target, *self.content.target]))

    def terms(self, image: Float[Tensor, "1 3 h w"], style: Tensor, content: Tensor) -> dict[str, Tensor]:
        """The weighted parts by name; what counts nothing is left out."""
        terms = {"style": self.style_weight * style, "content": self.content_weight * content}
        if self.tv_weight:
            terms["tv"] = self.tv_weight * total_variation(image).mean()
        return terms


def whole(vgg: VGG, objective: Objective) -> Score:
    """The score of a picture that fits into memory as it is: one forward pass, one dictionary of features."""

    def score(image: Float[Tensor, "1 3 h w"]) -> tuple[Tensor, Mapping[str, Tensor]]:
        features = vgg.features(image, objective.layers)
        style = objective.style({name: moments(features[name]) for name in objective.style.target})
        terms = objective.terms(image, style, objective.content(features))
        return torch.stack(list(terms.values())).sum(), terms

    return score
