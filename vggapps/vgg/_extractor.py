"""A network and the layers that are wanted of it, as one module."""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor, nn

from vggapps._ranges import Watch, check_shape, extent, mistaken
from vggapps.vgg._network import VGG


class FeatureExtractor(nn.Module):
    """A frozen VGG and a list of layers: pictures in, dictionary of features out.

    >>> import torch
    >>> extract = FeatureExtractor(VGG("vgg16", head="none"), ["relu1_2", "pool2"])
    >>> {name: tuple(f.shape) for name, f in extract(torch.rand(1, 3, 64, 48)).items()}
    {'relu1_2': (1, 64, 64, 48), 'pool2': (1, 128, 16, 12)}
    """

    def __init__(self, vgg: VGG, layers: Iterable[str]) -> None:
        super().__init__()
        self.layers = vgg.check(layers)
        self.vgg = vgg.freeze()
        self._watch = Watch()

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> dict[str, Float[Tensor, "n ..."]]:
        """Features of RGB pictures in [0, 1], by layer name.

        Pictures far outside are warned of once: on a GPU, which would have to wait, only the first of each shape is
        looked at, and in compiled code none.

        Raises:
            SettingsError: it is no batch of pictures, or too small for the deepest layer.
        """
        check_shape(image)
        looks = image.is_floating_point() and image.numel() and self._watch.wants(image)
        if looks and (found := mistaken(image, *extent(image), "0..1")):
            kind, words = found
            self._watch.warn(f"{words} ({kind.remedy if kind else 'bring the picture into 0..1'})")
        return self.vgg.features(image, self.layers)
