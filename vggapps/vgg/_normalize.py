"""Input conventions: how images in [0, 1] are normalized for a set of weights.

All other code uses RGB in [0, 1]. The first convolution of weights trained on BGR is converted to RGB when they are
loaded, so that a convention is only a mean, a scale and a size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, argument


@dataclass(frozen=True)
class Convention:
    """The input of a network: ``(image - mean) / std`` by channel, RGB, for an image in [0, 1], and its size.

    Attributes:
        name: of the normalization.
        mean: of each channel.
        std: scale of each channel.
        resize: shorter side in pixels to which a picture is scaled before the center is cropped.
        crop: side in pixels of the crops on which the network was trained.

    Raises:
        SettingsError: the crop is empty, or larger than the picture.
    """

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: int = 256
    crop: int = 224

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize:
            raise SettingsError(
                f"{argument('crop')} is {self.crop}, and {argument('resize')} {self.resize}",
                f"{argument('crop')} must be at least 1, and {argument('resize')} no less than it",
            )

    def __call__(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The normalized image, in its own dtype."""
        if not image.is_floating_point():  # the mean would silently become 0
            raise SettingsError(f"the picture's numbers are {image.dtype}", "give it as floats in [0, 1]")
        mean, std = self._constants(image)
        return (image - mean) / std

    def inverse(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """From normalized values back to [0, 1]."""
        mean, std = self._constants(image)
        return image * std + mean

    def _constants(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and scale on the image's device, without synchronizing a GPU."""
        both = torch.tensor((self.mean, self.std), dtype=image.dtype).to(image.device, non_blocking=True)
        return both[0].view(3, 1, 1), both[1].view(3, 1, 1)


# torchvision/transforms/_presets.py, ImageClassification: statistics of ImageNet's training images.
IMAGENET = Convention("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

# Oxford's networks (Caffe, Keras): 0-255 minus the training mean, BGR 103.939 116.779 123.68, not scaled. Here as RGB
# in [0, 1].
OXFORD = Convention("oxford", (123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3)

PLAIN = Convention("plain", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Networks trained on RGB in [0, 1], without normalization."""

# RGB in [-1, 1], as pix2pixHD uses with torchvision's network, and LPIPS 0.0 with its own.
SIGNED = Convention("signed", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

CONVENTIONS = {c.name: c for c in (IMAGENET, OXFORD, PLAIN, SIGNED)}
