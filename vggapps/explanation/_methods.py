"""All ways to explain, in one table, and one function for all of them."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, unknown
from vggapps.explanation import _cam as cam
from vggapps.explanation import _gradients as gradients
from vggapps.explanation import _perturb as perturb
from vggapps.explanation._lrp import lrp
from vggapps.explanation._question import Question, Target, ask, likeliest
from vggapps.explanation._settings import MethodName
from vggapps.image._arrays import checked_values, from_levels
from vggapps.vgg._any import as_network
from vggapps.vgg._hooks import input_of, preprocessed
from vggapps.vgg._inference import check_inference
from vggapps.vgg._moving import check_differentiable, in_graph

_STEP = 32  # of five poolings
_LONGEST = 8  # shorter sides: what is still longer is squeezed, or a strip would fill the memory
_OUTLIERS = 0.99  # of a map of single pixels so many are shown as they are; the rest would leave these in the dark


@dataclass(frozen=True)
class Method:
    """A way to explain.

    Attributes:
        name: as people type it.
        run: question and pictures to maps: N × 3 × H × W of the pixels' colours, or N × 1 at any size.
        signed: whether what is negative speaks against the answer; else only the size counts.
        pixels: whether each pixel has its own value; else a map of regions is enlarged.
        help: one line.
    """

    name: MethodName
    run: Callable[..., Tensor]
    signed: bool
    pixels: bool
    help: str

    @property
    def takes(self) -> tuple[str, ...]:
        """The names of what can be set."""
        return tuple(inspect.signature(self.run).parameters)[2:]


def _grad_cam(
    question: Question, image: Float[Tensor, "n 3 h w"], layer: str | None = None
) -> Float[Tensor, "n 1 h2 w2"]:
    return cam.grad_cam(question, image, layer=layer)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("gradient", gradients.gradient, False, True, "How strongly the score answers to each pixel."),
        Method("gradient-x-input", gradients.gradient_x_input, True, True, "That times the pixel."),
        Method("guided-backprop", gradients.guided_backprop, False, True, "Sharp, but hardly of the class."),
        Method("deconvnet", gradients.deconvnet, False, True, "The older form of it."),
        Method("integrated-gradients", gradients.integrated_gradients, True, True, "Shares that sum to the score."),
        Method("smoothgrad", gradients.smooth_grad, False, True, "The gradient without its noise."),
        Method("grad-cam", _grad_cam, False, False, "Which regions speak for the class; quick and robust."),
        Method("grad-cam++", cam.grad_cam_plus_plus, False, False, "The same for several objects of a class."),
        Method("layer-cam", cam.layer_cam, False, False, "Finer, on earlier layers too."),
        Method("hires-cam", cam.hires_cam, False, False, "Faithful where one linear layer follows."),
        Method("score-cam", cam.score_cam, False, False, "Without slopes: each channel as a mask. Slow."),
        Method("ablation-cam", cam.ablation_cam, False, False, "Without slopes: each channel taken away."),
        Method("occlusion", perturb.occlusion, True, False, "What is lost behind a grey patch. Slow."),
        Method("rise", perturb.rise, True, False, "What random masks tell. Slowest."),
        Method("lrp", lrp, True, True, "The score handed back from layer to layer."),
    )
}
"""The methods that ``explain(method=...)`` takes, by name."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where in pictures the evidence lies.

    Attributes:
        question: what was asked.
        image: the pictures, RGB in [0, 1].
        method: how it was answered.
        map: float32, at the pictures' size, not scaled: signed where the method is.
        layer: whose positions they are; None where they are the pixels'.
        score: what is explained, for each picture: a class's is before the softmax.
        confidence: a class's probability, see :meth:`~vggapps.explanation.Question.confidence`; a layer's
            response as it is.
        seconds: that it took.
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
        """What is explained, as people write it."""
        return self.question.objective.text

    @property
    def scale(self) -> Float[Tensor, " n"]:
        """For each picture the value that is shown as the hottest.

        The largest absolute one; of single pixels, of which a few shoot out far, that which 1 % exceed.
        """
        sizes = self.map.abs().flatten(1)
        most = sizes.amax(1)
        if not self.method.pixels:
            return most
        usual = sizes.kthvalue(max(1, round(_OUTLIERS * sizes.shape[1])), dim=1).values
        return torch.where(usual > 0, usual, most)

    def heat(self, scale: float | None = None) -> Float[Tensor, "n 1 h w"]:
        """The maps for the eye: in [0, 1], and in [-1, 1] where they are signed. A map of zeros stays so.

        Args:
            scale: the value that becomes 1; None for each map's own :attr:`scale`. One scale for several pictures
                makes their maps comparable.
        """
        most = self.scale if scale is None else torch.full_like(self.scale, scale)
        return (self.map / most.clamp(min=torch.finfo(most.dtype).tiny).view(-1, 1, 1, 1)).clamp(-1, 1)


@torch.inference_mode(False)  # which has no gradients
def explain_batch(
    network: nn.Module,
    image: Float[Tensor, "n 3 h w"],
    target: Target | None = None,
    method: str = "grad-cam",
    *,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    **options: Any,
) -> Explanation:
    """Why a network sees what it sees in pictures.

    >>> from vggapps.vgg._network import VGG
    >>> vgg = VGG("vgg11", head="gap", classes=3).freeze()
    >>> explain_batch(vgg, torch.rand(2, 3, 64, 96), 1, "layer-cam", layer="relu4_2").map.shape
    torch.Size([2, 1, 64, 96])

    Args:
        network: in inference mode: ours, or any module that takes pictures and gives a row of class scores for each.
        image: RGB in [0, 1], for a module of others what it takes, where there is no ``preprocess``; or uint8 or
            uint16, which are divided by 255 and 65535.
        target: see :func:`~vggapps.explanation.ask`; None for the likeliest class of each picture.
        method: a name of ``METHODS``.
        preprocess: for a module of others: pictures in [0, 1] to what it takes, the normalization of its training,
            see :func:`~vggapps.vgg.preprocessed`. It may resize pictures, but not crop them, since maps are
            laid over the whole picture.
        options: of the method, ``layer``, ``samples`` or ``seed`` for example: the arguments of its function.

    Raises:
        SettingsError: no such method, option, target or layer; a network of which a part is in training mode, or that
            was made in inference mode; pictures that it can't take, of one of ours also those beyond [0, 1]; or a
            ``preprocess`` that crops.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    how = METHODS[method]
    for option in options:
        if option not in how.takes:
            raise SettingsError(f"{method} takes no {option}", f"it takes: {', '.join(how.takes) or 'nothing'}")
    check_inference(network)
    check_differentiable(network)
    image = in_graph(_batch(image))
    net = as_network(network)
    image = from_levels(image) if preprocess is None and net.convention is None else checked_values(image)
    weight = next(network.parameters(), image)
    image = image.detach().to(weight.device, weight.dtype if net.convention is None else image.dtype)
    if preprocess is not None:
        network = preprocessed(network, preprocess)
        _check_uncropped(network, image)
    question = ask(network, likeliest(network, image) if target is None else target)
    layer = options.get("layer") or (cam.default_layer(question) if "layer" in how.takes else None)
    with torch.no_grad():  # first, since it tells what is wrong with the network's output
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
            "vggapps.image.open_picture(...).rgb makes one of a file, an array or Pillow's picture",
        )
    if image.ndim != 4 or 0 in image.shape:
        shape = " x ".join(map(str, image.shape)) or "one number"
        remedy = "image[None] makes a batch of one" if image.ndim == 3 else "one picture is 1 x 3 x height x width"
        raise SettingsError(f"the pictures' shape is {shape}, not number x 3 x height x width", remedy)
    return image


def _check_uncropped(network: nn.Module, image: Float[Tensor, "n c h w"]) -> None:
    """Refuse a preprocess that cuts off a border, as ImageNet's usual transforms do: maps would lie in wrong places.

    Raises:
        SettingsError: a white strip along one of the sides makes no difference to what the network is given.
    """
    black = torch.zeros_like(image[:1])
    with torch.no_grad():
        nothing = input_of(network, black)
        for dim in (2, 3):
            side = black.shape[dim]
            strip = max(1, side // 32)
            for start in (0, side - strip):
                lit = black.clone()
                lit.narrow(dim, start, strip).fill_(1)
                if torch.equal(input_of(network, lit), nothing):
                    raise SettingsError(
                        "preprocess cuts off a part of the picture, so that maps could not be laid over it",
                        "crop pictures before, and give a preprocess that normalizes, or resizes all of them",
                    )


def seen_at(height: int, width: int, size: int) -> tuple[int, int]:
    """The (height, width) at which a picture is explained, its shorter side being about ``size``.

    Whole steps of the last pooling, which would else leave out the right and lower border.

    >>> seen_at(3000, 4000, 224)
    (224, 288)
    """
    short = min(height, width)
    rows, columns = (
        max(1, round(min(size * side / short, size * _LONGEST) / _STEP)) * _STEP for side in (height, width)
    )
    return rows, columns
