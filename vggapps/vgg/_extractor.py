"""A VGG as a feature extractor: one module with a fixed list of layers."""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor, nn

from vggapps._ranges import Watch, check_shape, extent, mistaken
from vggapps.vgg._network import VGG


class FeatureExtractor(nn.Module):
    """A frozen VGG that maps images to a dictionary of features.

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
        """Features of RGB in [0, 1], by layer name.

        Values far outside of [0, 1] give one warning. On a GPU, where the check synchronizes, only the first image of
        each shape is checked, and in compiled code none.

        Raises:
            SettingsError: not a batch of images, or too small for the deepest layer.
        """
        check_shape(image)
        checked = image.is_floating_point() and image.numel() and self._watch.wants(image)
        if checked and (found := mistaken(image, *extent(image), "0..1")):
            kind, words = found
            self._watch.warn(f"{words} ({kind.remedy if kind else 'bring the picture into 0..1'})")
        return self.vgg.features(image, self.layers)
