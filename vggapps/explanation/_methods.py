"""The table of explanation methods, and one function that runs any of them."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, argument, unknown
from vggapps.explanation import _cam as cam
from vggapps.explanation import _gradients as gradients
from vggapps.explanation import _perturb as perturb
from vggapps.explanation._lrp import lrp
from vggapps.explanation._question import Question, Target, ask, predicted_classes
from vggapps.explanation._settings import MethodName
from vggapps.image._arrays import checked_values, from_levels
from vggapps.vgg._hooks import input_of, preprocessed
from vggapps.vgg._inference import check_inference
from vggapps.vgg._moving import as_normal_tensor, check_differentiable
from vggapps.vgg._network import VGG
from vggapps.vgg._receptive_field import TRAINING_SIDE
from vggapps.vgg._wrapped import as_network

_LONGEST = 8  # largest aspect ratio; longer pictures are squeezed to bound memory
_OUTLIERS = 0.99  # quantile of a pixel map that gets the hottest color, so that outliers don't darken the rest


@dataclass(frozen=True)
class Method:
    """An explanation method.

    Attributes:
        name: its name.
        run: function of question and pictures that returns maps: N × 3 × H × W, or N × 1 at any size.
        signed: whether negative values are evidence against the target; otherwise only magnitudes matter.
        pixels: whether each pixel has its own value; otherwise a coarse map is upsampled.
        help: one line.
    """

    name: MethodName
    run: Callable[..., Tensor]
    signed: bool
    pixels: bool
    help: str

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of its options."""
        return tuple(inspect.signature(self.run).parameters)[2:]


def _grad_cam(question: Question, image: Tensor, layer: str | None = None) -> Tensor:
    return cam.grad_cam(question, image, layer=layer)  # without `index`, which is for networks


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("gradient", gradients.gradient, False, True, "Sensitivity of the score to each pixel."),
        Method("gradient-x-input", gradients.gradient_x_input, True, True, "The gradient times the pixel."),
        Method("guided-backprop", gradients.guided_backprop, False, True, "Sharp, but hardly class-specific."),
        Method("deconvnet", gradients.deconvnet, False, True, "The predecessor of guided-backprop."),
        Method("integrated-gradients", gradients.integrated_gradients, True, True, "Shares that sum to the score."),
        Method("smoothgrad", gradients.smooth_grad, False, True, "The gradient with less noise."),
        Method("grad-cam", _grad_cam, False, False, "Regions that support the class; fast and robust."),
        Method("grad-cam++", cam.grad_cam_plus_plus, False, False, "Grad-CAM for several objects of a class."),
        Method("layer-cam", cam.layer_cam, False, False, "Finer, also on earlier layers."),
        Method("hires-cam", cam.hires_cam, False, False, "Faithful if one linear layer follows."),
        Method("score-cam", cam.score_cam, False, False, "Without gradients: each channel as a mask. Slow."),
        Method("ablation-cam", cam.ablation_cam, False, False, "Without gradients: each channel removed."),
        Method("occlusion", perturb.occlusion, True, False, "Score lost behind a gray patch. Slow."),
        Method("rise", perturb.rise, True, False, "Confidence under random masks. Slowest."),
        Method("lrp", lrp, True, True, "The score, propagated back layer by layer."),
    )
}
"""The methods that ``explain(method=...)`` takes, by name."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Heat maps of pictures.

    Attributes:
        question: what is explained.
        image: the pictures, RGB in [0, 1].
        method: the method.
        map: float32, at the pictures' size, not scaled; signed if the method is.
        layer: the layer of the maps; None for pixel maps.
        score: the explained number for each picture; for a class, its logit.
        confidence: probability of the class, see :meth:`~vggapps.explanation.Question.confidence`; for a layer, its
            response.
        seconds: run time.
    """

    question: Question
    image: Float[Tensor, "n 3 h w"]
    method: Method
    map: Float[Tensor, "n 1 h w"]
    layer: str | None
    score: Float[Tensor, " n"]
    confidence: Float[Tensor, " n"]
    seconds: float

    @property
    def target(self) -> str:
        """What is explained, as text: ``class:tabby``, ``relu5_4:200``."""
        return self.question.objective.text

    @property
    def scale(self) -> Float[Tensor, " n"]:
        """The value that gets the hottest color, for each picture.

        The largest absolute value; for pixel maps, which have outliers, the 99 % quantile.
        """
        sizes = self.map.abs().flatten(1)
        most = sizes.amax(1)
        if not self.method.pixels:
            return most
        usual = sizes.kthvalue(max(1, round(_OUTLIERS * sizes.shape[1])), dim=1).values
        return torch.where(usual > 0, usual, most)

    def heat(self, scale: float | None = None) -> Float[Tensor, "n 1 h w"]:
        """The maps scaled for display, to [0, 1], or [-1, 1] if signed.

        Args:
            scale: the value that becomes 1; by default each map's own :attr:`scale`. A common scale makes the maps of
                several pictures comparable.
        """
        most = self.scale if scale is None else torch.full_like(self.scale, scale)
        return (self.map / most.clamp(min=torch.finfo(most.dtype).tiny).view(-1, 1, 1, 1)).clamp(-1, 1)


@torch.inference_mode(False)  # gradients are needed
def explain_batch(
    network: nn.Module,
    image: Float[Tensor, "n 3 h w"],
    target: Target | None = None,
    method: str = "grad-cam",
    *,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    **options: Any,
) -> Explanation:
    """Explain a network's predictions for a batch of pictures.

    >>> from vggapps.vgg._network import VGG
    >>> vgg = VGG("vgg11", head="gap", classes=3).freeze()
    >>> explain_batch(vgg, torch.rand(2, 3, 64, 96), 1, "layer-cam", layer="relu4_2").map.shape
    torch.Size([2, 1, 64, 96])

    Args:
        network: in inference mode: a VGG, or any module that maps pictures to rows of class scores.
        image: RGB in [0, 1], or uint8 or uint16, which are divided by 255 and 65535; for a module without
            ``preprocess``, its input.
        target: see :func:`~vggapps.explanation.ask`; by default the most probable class of each picture.
        method: a name of ``METHODS``.
        preprocess: for other modules than a VGG: maps pictures in [0, 1] to the module's input, see
            :func:`~vggapps.vgg.preprocessed`. It may resize pictures, but not crop them, since maps cover the whole
            picture.
        options: of the method, for example ``layer``, ``samples`` or ``seed``: the arguments of its function.

    Raises:
        SettingsError: no such method, option, target or layer; a network that is partly in training mode or was created
            in inference mode; pictures that the network doesn't accept; or a ``preprocess`` that crops.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    how = METHODS[method]
    for option in options:
        if option not in how.takes:
            raise SettingsError(f"{method} takes no {option}", f"its options: {', '.join(how.takes) or 'none'}")
    check_inference(network)
    check_differentiable(network)
    image = as_normal_tensor(_batch(image))
    net = as_network(network)
    image = from_levels(image) if preprocess is None and net.convention is None else checked_values(image)
    weight = next(network.parameters(), image)
    image = image.detach().to(weight.device, weight.dtype if net.convention is None else image.dtype)
    if preprocess is not None:
        network = preprocessed(network, preprocess)
        _check_uncropped(network, image)
    question = ask(network, predicted_classes(network, image) if target is None else target)
    layer = options.get("layer") or (cam.default_layer(question) if "layer" in how.takes else None)
    with torch.no_grad():  # first, because it validates the network's output
        score, confidence = question.score(image), question.confidence(image)
    began = time.perf_counter()
    found = how.run(question, image, **(options | ({"layer": layer} if layer else {})))
    seconds = time.perf_counter() - began
    if how.pixels:
        found = found.sum(1, keepdim=True) if how.signed else found.abs().amax(1, keepdim=True)
    if found.shape[2:] != image.shape[2:]:
        found = F.interpolate(found, image.shape[2:], mode="bilinear", align_corners=False)
    return Explanation(question, image, how, found.float(), layer, score, confidence, seconds)


def _batch(image: object) -> Float[Tensor, "n c h w"]:
    if not isinstance(image, Tensor):
        raise SettingsError(
            f"the picture is a {type(image).__name__}, not a tensor",
            "vggapps.image.open_picture(...).rgb converts a file, an array or a Pillow image",
        )
    if image.ndim != 4 or 0 in image.shape:
        shape = " x ".join(map(str, image.shape)) or "one number"
        remedy = "image[None] makes a batch of one" if image.ndim == 3 else "one picture is 1 x 3 x height x width"
        raise SettingsError(f"the pictures' shape is {shape}, not number x 3 x height x width", remedy)
    return image


def _check_uncropped(network: nn.Module, image: Float[Tensor, "n c h w"]) -> None:
    """Reject a preprocess that crops, as ImageNet's usual transforms do: maps would be misaligned.

    It crops if a white strip along a side does not change the network's input.
    """
    black = torch.zeros_like(image[:1])
    with torch.no_grad():
        unlit = input_of(network, black)
        for dim in (2, 3):
            side = black.shape[dim]
            strip = max(1, side // 32)
            for start in (0, side - strip):
                lit = black.clone()
                lit.narrow(dim, start, strip).fill_(1)
                if torch.equal(input_of(network, lit), unlit):
                    raise SettingsError(
                        "preprocess crops the picture, so that maps would not match it",
                        "crop pictures first, and give a preprocess that only normalizes or resizes",
                    )


def network_input(network: nn.Module, height: int, width: int, size: int | None = None) -> tuple[int, int]:
    """The (height, width) at which a network explains a picture: :func:`input_size` with the step of its poolings.

    Args:
        network: a VGG, or any other module.
        height, width: of the picture.
        size: of the shorter side in pixels; by default that of the crops on which the network was trained.

    Raises:
        SettingsError: the size is smaller than the crops.
    """
    crop, step = TRAINING_SIDE, 32
    if isinstance(network, VGG):
        crop, step = network.convention.crop, 1 << len(network.plan.blocks)
    size = crop if size is None else size
    if size < crop:
        raise SettingsError(f"{argument('size')} is {size}", f"it must be at least {crop}, the size of the crops")
    # The poolings drop a part of the border only if they do so for the crops on which the network was trained.
    return input_size(height, width, size, math.gcd(step, crop))


def input_size(height: int, width: int, size: int, step: int = 32) -> tuple[int, int]:
    """The (height, width) at which a picture is explained, with a shorter side of about ``size``.

    Multiples of the ``step``, by default 32, so that five poolings do not drop the right and bottom border.

    >>> input_size(3000, 4000, 224)
    (224, 288)
    """
    short = min(height, width)
    rows, columns = (max(1, round(min(size * side / short, size * _LONGEST) / step)) * step for side in (height, width))
    return rows, columns
