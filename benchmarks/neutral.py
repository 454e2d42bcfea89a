"""A judge of style transfer that no contestant optimises.

Style: sliced Wasserstein distance between the features of two pictures on relu1_2, relu2_2, relu3_3 and relu4_3, none
of which is optimised; whole distributions, where the contestants match means, covariances or Gram matrices. Squared,
relative to the style's own variance, averaged over layers. Content: mean squared difference of relu4_4, each channel
standardised by its own picture, so that neither colour nor contrast counts. 0 is equal, 2 unrelated.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vggapps import load_vgg
from vggapps.image import resize
from vggapps.vgg import accelerate

STYLE = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
CONTENT = "relu4_4"
DIRECTIONS, QUANTILES = 64, 2000


class Judge:
    """Distances of a picture to one content and one style, 1 x 3 x H x W in [0, 1]; the style is given the area of
    the content."""

    def __init__(self, content: Tensor, style: Tensor) -> None:
        self.vgg = accelerate(load_vgg("vgg19", head="none"))
        self.size = (content.shape[2], content.shape[3])
        factor = min(1.0, math.sqrt(content[0, 0].numel() / style[0, 0].numel()))
        style = resize(style, (round(style.shape[2] * factor), round(style.shape[3] * factor)))
        self.style = self._quantiles(self._features(style, STYLE))
        self.content = self._standardised(self._features(content, (CONTENT,)))

    def __call__(self, image: Tensor) -> tuple[float, float]:
        """Style distance and content distance; a smaller picture, as on the way to the result, is enlarged."""
        if tuple(image.shape[2:]) != self.size:
            image = resize(image, self.size)
        features = self._features(image, (*STYLE, CONTENT))
        style = [
            (own - wanted).square().mean() / variance
            for (own, _), (wanted, variance) in zip(self._quantiles(features), self.style, strict=True)
        ]
        content = (self._standardised(features) - self.content).square().mean()
        return float(torch.stack(style).mean()), float(content)

    @torch.no_grad()
    def _features(self, image: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        image = image.to(self.vgg.conv1_1.weight.device)
        return {name: f.float() for name, f in self.vgg.features(image, layers).items()}

    def _quantiles(self, features: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Sorted projections of each layer on fixed random directions, and their mean variance."""
        found = []
        for name in STYLE:
            rows = features[name][0].flatten(1)
            directions = torch.randn(DIRECTIONS, rows.shape[0], generator=torch.Generator().manual_seed(0))
            directions = (directions / directions.norm(dim=1, keepdim=True)).to(rows)
            projected = (directions @ rows).sort(1).values
            where = torch.linspace(0, projected.shape[1] - 1, QUANTILES, device=rows.device).round().long()
            found.append((projected[:, where], projected.var(1).mean()))
        return found

    def _standardised(self, features: dict[str, Tensor]) -> Tensor:
        f = features[CONTENT]
        # A channel that hardly ever fires is not blown up to the size of the others.
        return (f - f.mean((2, 3), keepdim=True)) / (f.std((2, 3), keepdim=True) + 1e-3 * f.std())
