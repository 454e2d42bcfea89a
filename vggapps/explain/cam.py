"""Grad-CAM: which places of a picture speak for a class.

R. Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, ICCV 2017
(arXiv 1610.02391), section 3. It generalises class activation maps (B. Zhou et al., Learning Deep Features for
Discriminative Localization, CVPR 2016), which need a linear layer on averaged features.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.vgg.frozen import lean
from vggapps.vgg.network import VGG


def last_convolution(network: VGG) -> str:
    """The last ReLU behind a convolution that the network has: ``relu5_4`` of a VGG-19."""
    return next(name for name in reversed(network.layer_names) if re.fullmatch(r"relu\d+_\d+", name))


def grad_cam(
    network: VGG, image: Float[Tensor, "n 3 h w"], index: int | Sequence[int], layer: str | None = None
) -> Float[Tensor, "n 1 h2 w2"]:
    """How much each position of a layer speaks for a class: ReLU(Σₖ αₖ Aᵏ), equations 1 and 2.

    Aᵏ are the layer's channels, αₖ the mean over positions of the class score's slope in Aᵏ; the score is what comes
    before the softmax, and for a map of scores (a dense network) their mean over positions. A slope that is not
    finite, as that of a head's root at zero, counts nothing: there the channel is silent anyway.

    Args:
        network: in inference mode, as ``load_vgg`` gives it; its weights may be frozen or not.
        image: RGB in [0, 1].
        index: the class, one for all pictures or one for each, or several for one picture, which runs once for all
            of them; without a head, a channel of the last map.
        layer: whose positions; None for the last ReLU behind a convolution, 14 × 14 at 224 pixels. The paper takes
            the last convolution as the best compromise between meaning and place; the pooling that follows would
            halve the map to 7 × 7 and add no meaning.

    Returns:
        One map for each picture or class. Non-negative, at the layer's own size, float32 at least; all zero where
        nothing speaks for the class. It is not scaled, so that maps of several pictures can be compared; see
        :func:`heat`.

    Raises:
        SettingsError: no such layer or class, a layer without positions, or a network in training mode, where
            dropout would make maps a matter of chance.
    """
    if network.training:
        raise SettingsError("the network is in training mode", "call its eval() first, or freeze()")
    (layer,) = network.check((layer or last_convolution(network),))
    with torch.no_grad():
        activations = network.features(image, (layer,))[layer]
    if activations.ndim != 4:
        raise SettingsError(f"{layer} has no positions", f"take a layer that has, {last_convolution(network)}")
    indices = [index] * len(image) if isinstance(index, int) else list(index)
    if len(image) not in (1, len(indices)):
        raise SettingsError(f"{len(indices)} classes for {len(image)} pictures", "give one, or one for each picture")
    activations = activations.expand(len(indices), -1, -1, -1)
    with torch.enable_grad():
        scores = _scores(network, layer, activations.requires_grad_())
        if not 0 <= min(indices) <= max(indices) < scores.shape[1]:
            raise SettingsError(f"there is no such class among {indices}", f"the last one is {scores.shape[1] - 1}")
        total = scores[torch.arange(len(indices)), indices].sum()  # no row depends on another's map
        (slopes,) = torch.autograd.grad(total, activations)
    exact = torch.promote_types(slopes.dtype, torch.float32)
    weights = torch.where(slopes.isfinite(), slopes, 0).to(exact).mean((2, 3), keepdim=True)
    return (weights * activations.detach()).sum(1, keepdim=True).relu()


def heat(cam: Float[Tensor, "n 1 h w"], size: tuple[int, int]) -> Float[Tensor, "n 1 h2 w2"]:
    """A map at another size, (height, width), bilinear; each picture's scaled to [0, 1] by its own maximum.

    A map of zeros stays so.
    """
    large = F.interpolate(cam, size=size, mode="bilinear", align_corners=False)
    return large / large.amax((2, 3), keepdim=True).clamp(min=torch.finfo(large.dtype).tiny)


def _scores(network: VGG, layer: str, activations: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
    """What the network says after the layer: one row a picture."""
    children = list(network.named_children())
    rest = children[[name for name, _ in children].index(layer) + 1 :]
    x = activations
    for _, step in lean(rest, ()):
        x = step(x)
    return x.flatten(2).mean(2) if x.ndim == 4 else x
