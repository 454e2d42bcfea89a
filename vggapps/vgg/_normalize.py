"""Input conventions: what a set of weights wants to be done to a picture in [0, 1] RGB.

Everybody outside this module speaks RGB in [0, 1]. Weights that were trained on BGR get their first
convolution turned to RGB once, when they are loaded, so that a convention is nothing but a mean and a scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError


@dataclass(frozen=True)
class Convention:
    """``(image - mean) / std`` by channel, RGB, for an image in [0, 1]."""

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The picture as the network wants it, in the picture's own dtype."""
        if not image.is_floating_point():  # in whole numbers the mean would be 0, and nobody would notice
            raise SettingsError(f"the picture's numbers are {image.dtype}", "give it as floats in [0, 1]")
        mean, std = self._constants(image)
        return (image - mean) / std

    def inverse(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """From the network's input back to [0, 1]."""
        mean, std = self._constants(image)
        return image * std + mean

    def _constants(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and scale beside the picture; sent off without waiting for a GPU to have done all before."""
        both = torch.tensor((self.mean, self.std), dtype=image.dtype).to(image.device, non_blocking=True)
        return both[0].view(3, 1, 1), both[1].view(3, 1, 1)


# torchvision/transforms/_presets.py, ImageClassification: statistics of ImageNet's training pictures.
IMAGENET = Convention("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

# Oxford's networks (Caffe, and through Keras): 0-255 minus the training mean, BGR 103.939 116.779 123.68, no
# scaling. Written here as RGB in [0, 1].
OXFORD = Convention("oxford", (123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3)

PLAIN = Convention("plain", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Networks trained on RGB in [0, 1], without normalization."""

# Pictures in [-1, 1] and no statistics: what pix2pixHD gives torchvision's network, and LPIPS 0.0 its own.
SIGNED = Convention("signed", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

CONVENTIONS = {c.name: c for c in (IMAGENET, OXFORD, PLAIN, SIGNED)}
