"""VGG as one module, its children named ``conv1_1``, ``relu1_1`` and so on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from copy import copy
from typing import Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps._ranges import check_shape, check_side
from vggapps.errors import SettingsError, unknown
from vggapps.vgg._exact import Radial
from vggapps.vgg._inference import check_inference
from vggapps.vgg._input_gradients import LayerStep, input_gradient_steps
from vggapps.vgg._layers import PADDINGS, Padding, as_convolution, make_layer, padding_of, with_padding
from vggapps.vgg._moving import check_differentiable
from vggapps.vgg._names import OUTPUT, as_names, unknown_layer
from vggapps.vgg._normalize import IMAGENET, Convention
from vggapps.vgg._plan import AVERAGED, Head, Plan, Pooled, get_plan, layer_names, layers, torchvision_names
from vggapps.vgg._pooling import Flatten, Pool, Pooling, Sliding, Summarize
from vggapps.vgg._receptive_field import BoxAt, ReceptiveField, receptive_boxes, receptive_field

Init = Literal["he", "glorot", "paper"]
INITS: tuple[Init, ...] = ("he", "glorot", "paper")


class VGG(nn.Module):
    """A VGG whose layers are its children: ``vgg.conv4_2``, ``vgg.relu4_2``.

    Takes RGB in [0, 1] and applies the input convention of its weights. Runs in the dtype of its weights whatever the
    dtype of the image, so ``vgg.bfloat16()`` needs no change elsewhere.

    Args:
        plan: a :class:`~vggapps.vgg.Plan` or its name.
        head: ``fc``, ``conv`` (fully convolutional), ``gap`` or ``none``.
        classes: outputs of the head.
        pooling: ``max``, ``average``, ``l2``, ``mean`` or ``hann``, see :class:`Pool`.
        padding: of the 3×3 convolutions: ``zeros``, ``replicate`` or ``reflect``; ``replicate-first`` replicates at
            the first convolution only, which avoids the dark frame of zero padding (crowsonkb/style-transfer-pytorch)
            at no cost.
        convention: input normalization, applied before the first convolution.
        pooled: input of the head ``gap``.
        class_names: names of the outputs; empty means ImageNet's for 1,000 outputs, otherwise unknown.
        temperature: divisor of the class scores that calibrates the softmax probabilities.
        weights_name: name of its weights.
    """

    conv1_1: nn.Conv2d  # declared because its weight gives the network's device and dtype

    def __init__(
        self,
        plan: str | Plan = "vgg19",
        *,
        head: Head = "fc",
        classes: int = 1000,
        pooling: Pooling = "max",
        padding: Padding = "zeros",
        convention: Convention = IMAGENET,
        pooled: Pooled = AVERAGED,
        class_names: tuple[str, ...] = (),
        temperature: float = 1.0,
        weights_name: str = "",
    ) -> None:
        super().__init__()
        if padding not in PADDINGS:
            raise unknown("padding", padding, PADDINGS)
        self.plan = get_plan(plan)
        self.head: Head = head
        self.pooling: Pooling = pooling
        self.convention = convention
        self.frozen = False
        self.pooled = pooled
        self.classes, self.temperature, self.weights_name = class_names, temperature, weights_name
        for layer in layers(self.plan, head, classes, pooled):
            self.add_module(layer.name, make_layer(layer, pooling, padding, pooled))
        self.layer_names = layer_names(self.plan, head, pooled)

    def features(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> dict[str, Float[Tensor, "n ..."]]:
        """The outputs of the named layers in one forward pass, which ends at the deepest of them.

        Args:
            image: RGB in [0, 1].
            layers: names such as ``relu4_2`` or ``conv3_1``; ``OUTPUT`` is the network's own output.

        Raises:
            SettingsError: there is no such layer, or the input is not a batch of images large enough for it.
        """
        check_shape(image)
        found: dict[str, Tensor] = {}
        names, last = as_names(layers), self.layer_names[-1]
        if not (wanted := set(self.check([last if layer == OUTPUT else layer for layer in names]))):
            return found
        check_side(image, self.smallest_side(wanted), "enlarge it, or use an earlier layer")
        x = self.convention(image).to(self.conv1_1.weight.dtype)
        steps: Iterable[tuple[str, LayerStep]] = self.named_children()
        if not torch.compiler.is_compiling():  # a compiler plans memory itself
            steps = input_gradient_steps(self.named_children(), wanted)
        for name, step in steps:
            x = step(x)
            if name in wanted:
                found[name] = x
            if len(found) == len(wanted):
                break
        if OUTPUT in names:
            found[OUTPUT] = found[last] if last in names else found.pop(last)
        return found

    def eval_features(
        self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]
    ) -> dict[str, Float[Tensor, "n ..."]]:
        """As :meth:`features`, but rejects a network in training mode, or one that cannot pass on gradients."""
        check_inference(self)
        if image.requires_grad:
            check_differentiable(self)
        return self.features(image, layers)

    def is_grey(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> bool:
        """False: a VGG takes RGB."""
        return False

    def channels(self, layer: str) -> int:
        """Number of channels of a layer."""
        (layer,) = self.check((layer,))
        plan = layers(self.plan, self.head, self.outputs, self.pooled)
        return next(one.channels for one in plan if one.name == layer)

    def receptive_field(self, layer: str, size: int | None = None) -> ReceptiveField:
        """The receptive field of a layer's positions, for any ``size``."""
        return receptive_field(self.plan, self.head, self.pooled, layer, self.convention.crop)

    def receptive_boxes(self, layer: str) -> BoxAt:
        """The receptive field of each position of a layer."""
        return receptive_boxes(self.plan, self.head, self.pooled, self.pooling, layer)

    def preprocess(self, image: Float[Tensor, "n 3 h w"]) -> Tensor:
        """The input of the first convolution."""
        return self.convention(image)

    def blank(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """An image of the mean color, which the convolutions receive as zeros."""
        return self.convention.inverse(torch.zeros_like(image))

    def smallest_side(self, layers: Iterable[str]) -> int:
        """The smallest side of an image, in pixels, for which all of the layers have an output."""
        wanted, stride, least = set(layers), 1, 1
        for name, module in self.named_children():
            if not wanted:
                break
            wanted.discard(name)
            stride *= 2 if isinstance(module, Pool) else 1
            window = module.kernel_size[0] if isinstance(module, Sliding) else getattr(module, "window", None)
            least = max(least, stride * (window or 1))
        return least

    def check(self, layers: Iterable[str]) -> tuple[str, ...]:
        """The names as a tuple; a SettingsError suggests the nearest name if one is not a layer."""
        names = as_names(layers)
        for name in names:
            if name not in self.layer_names:
                if name in layer_names(self.plan, "fc"):
                    raise SettingsError(
                        f"this {self.plan.name} ends at {self.layer_names[-1]}: it has no {name}",
                        "load it with weights that carry the fully connected layers, head='fc'",
                    )
                raise unknown_layer(name, self.layer_names, torchvision_names(self.plan))
        return names

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n classes ..."]:
        """The last layer's output: logits with a head, pool5 without.

        The head ``conv`` gives a map of logits, N × classes × h × w, one position for each 7×7 positions of the last
        pooling: with five poolings, for each window of 224×224 pixels.
        """
        last = self.layer_names[-1]
        return self.features(image, (last,))[last]

    def freeze(self) -> Self:
        """Disable gradients of the weights and set evaluation mode, which ``train()`` does not change any more."""
        self.requires_grad_(False)
        self.eval()
        self.frozen = True
        return self

    def train(self, mode: bool = True) -> Self:
        """As ``nn.Module.train``, but a frozen network stays in evaluation mode."""
        return super().train(mode and not self.frozen)

    def variant(
        self, *, pooling: Pooling | None = None, padding: Padding | None = None, convention: Convention | None = None
    ) -> VGG:
        """A network that shares these weights, with another pooling, padding or input convention."""
        other = copy(self)
        other._modules = dict(self._modules)
        for name, module in self.named_children():
            if pooling and isinstance(module, Pool):
                other._modules[name] = Pool(pooling)
            if padding and isinstance(module, nn.Conv2d) and module.padding_mode != padding_of(name, padding):
                other._modules[name] = with_padding(module, padding_of(name, padding))
        other.pooling, other.convention = pooling or self.pooling, convention or self.convention
        return other

    def dense(self) -> VGG:
        """A network that shares these weights and applies the head at every position of an image (section 3.2).

        The heads ``fc`` and ``gap`` take sliding windows of the size that a crop of the convention has at that layer,
        7×7 at pool5 for 224 pixels, where ``fc`` becomes ``conv``. A crop gives a map of one position, a larger image
        a larger map.

        Raises:
            SettingsError: the network has no head.
        """
        if self.head == "none":
            raise SettingsError(f"this {self.plan.name} has no head", "load it with a head")
        window = max(1, self.convention.crop // self.stride)
        is_conv = self.head == "fc" and window == 7
        other = copy(self)
        other._modules = {}
        for name, module in self.named_children():
            if isinstance(module, Summarize):
                other._modules[name] = Summarize(self.pooled, window)
            elif isinstance(module, nn.Linear):
                other._modules[name] = as_convolution(module, 7 if is_conv and name == "fc6" else 1)
            elif not isinstance(module, Flatten):
                other._modules[name] = module
            elif not is_conv:
                other._modules[name] = Flatten(window)
        other.head = "conv" if is_conv else self.head
        return other

    @property
    def stride(self) -> int:
        """Pixels between neighbouring windows of :meth:`dense`."""
        return 1 << sum(isinstance(module, Pool) for module in self.children())

    @property
    def name(self) -> str:
        """The name of the plan."""
        return self.plan.name

    @property
    def title(self) -> str:
        """Network, weights, input convention and pooling, as a line of text."""
        weights = self.weights_name or "own weights"
        return f"{self.name} ({weights}, {self.convention.name} input, {self.pooling} pooling)"

    @property
    def device(self) -> torch.device:
        """The device of its weights."""
        return self.conv1_1.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of its convolutions."""
        return self.conv1_1.weight.dtype

    @property
    def outputs(self) -> int:
        """Number of classes; 0 without a head."""
        return 0 if self.head == "none" else self.get_parameter("fc8.bias").numel()

    def extra_repr(self) -> str:
        return f"{self.plan.name}, head={self.head}, input={self.convention.name}, frozen={self.frozen}"


def initialize(vgg: VGG, init: Init = "he", seed: int = 0) -> VGG:
    """Set random weights from a seed, and zero biases. The heads ``fc`` and ``conv`` get the same numbers.

    ``he``: normal with variance 2 / fan out, fc6 to fc8 with standard deviation 0.01, as torchvision. ``glorot``:
    uniform; with it the paper needs no pre-training (section 3.1). ``paper``: normal with mean 0 and variance 0.01
    (section 3.1).
    """
    if init not in INITS:
        raise unknown("initialisation", init, INITS)
    generator = torch.Generator().manual_seed(seed)
    for name, module in vgg.named_children():
        if isinstance(module, Radial):
            with torch.no_grad():
                module.weight.normal_(0, 1, generator=generator)
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        weight, bias = module.weight, module.bias
        dense = name.startswith("fc")  # linear layers and their equivalent convolutions
        fan_in = math.prod(weight.shape[1:])
        fan_out = weight.shape[0] * (1 if dense else math.prod(weight.shape[2:]))
        with torch.no_grad():
            if init == "glorot":
                bound = math.sqrt(6 / (fan_in + fan_out))
                weight.uniform_(-bound, bound, generator=generator)
            elif init == "paper":
                weight.normal_(0, 0.1, generator=generator)
            else:
                std = 0.01 if dense else math.sqrt(2 / fan_out)
                weight.normal_(0, std, generator=generator)
            if bias is not None:
                bias.zero_()
    return vgg
