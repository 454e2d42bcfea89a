"""The loss of a painter: that of style transfer by optimization, at several sizes, and stability under motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vggapps.image import resize
from vggapps.losses._moments import Moments
from vggapps.painters._motion import known, moved
from vggapps.style._score import StyleScore, content_term, style_term, whole
from vggapps.style._settings import StylizeSettings
from vggapps.style._styles import Painting
from vggapps.style._transfer import style_moments, term_weights
from vggapps.vgg._network import VGG

HALVINGS = (1, 2)  # the crops are compared at their size and at half of it, where large strokes are seen


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a batch is painted for.

    Attributes:
        photo: that is painted.
        rows: the style of each, an index.
        strength: of all of them.
        motion: that moves the first pictures; their moved copies are painted, too, after all others.
    """

    photo: Float[Tensor, "n 3 h w"]
    rows: Int64[Tensor, " n"]
    strength: float
    motion: Float[Tensor, "k 2 h w"] | None = None


class PainterLoss:
    """The loss of :func:`~vggapps.style.stylize_steps`, for a batch with a style for each picture.

    Args:
        vgg: from :func:`~vggapps.style.load_backbone`.
        styles: each one or several paintings, whose shares add up to 1.
        size: (height, width) of a whole photo, for which the styles are measured, in pixels.
        settings: of the style transfer that is learnt; the strength is that of each batch.
        motion_weight: of the mean absolute difference between what is painted and moved, and moved and painted.
    """

    def __init__(
        self,
        vgg: VGG,
        styles: Sequence[Sequence[Painting]],
        size: tuple[int, int],
        settings: StylizeSettings,
        motion_weight: float = 0.0,
    ) -> None:
        self.vgg, self.settings, self.motion_weight = vgg, settings, motion_weight
        (height, width), layers = size, settings.style_layer_weights
        self.targets = [
            _stacked(
                [style_moments(vgg, style, layers, settings.style_size, (height // n, width // n)) for style in styles]
            )
            for n in HALVINGS
        ]

    def __call__(self, painted: Float[Tensor, "m 3 h w"], wanted: Wanted) -> Float[Tensor, ""]:
        """The mean over the pictures and sizes, plus that of the motion."""
        count = len(wanted.photo)
        value = self._still(painted[:count], wanted)
        if wanted.motion is None:
            return value
        motion = wanted.motion.to(painted.device)
        difference = (moved(painted[: len(motion)], motion) - painted[count:]).abs()
        there = known(motion).expand_as(difference)
        return value + self.motion_weight * (difference * there).sum() / there.sum()

    def _still(self, painted: Float[Tensor, "n 3 h w"], wanted: Wanted) -> Float[Tensor, ""]:
        settings = replace(self.settings, strength=wanted.strength)
        style_weight, content_weight, tv_weight = term_weights(settings)
        height, width = painted.shape[2:]
        values = []
        for halving, targets in zip(HALVINGS, self.targets, strict=True):
            size = (height // halving, width // halving)
            photo = resize(wanted.photo.to(painted.device), size)
            with torch.no_grad():
                content = self.vgg.features(photo, settings.content_layers)
            rows = wanted.rows.to(painted.device)
            target = {layer: replace(m, mean=m.mean[rows], second=m.second[rows]) for layer, m in targets.items()}
            terms = [
                style_term(target, settings.style_loss, settings.style_layer_weights, style_weight),
                content_term(content, content_weight),
            ]
            value, _ = whole(self.vgg, StyleScore(terms, tv_weight))(resize(painted, size))
            values.append(value)
        return torch.stack(values).mean()


def _stacked(styles: Sequence[dict[str, Moments]]) -> dict[str, Moments]:
    """The moments of all styles by layer, one after the other."""
    return {
        layer: replace(
            one, mean=torch.cat([s[layer].mean for s in styles]), second=torch.cat([s[layer].second for s in styles])
        )
        for layer, one in styles[0].items()
    }
