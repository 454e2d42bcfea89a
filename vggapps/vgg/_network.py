"""The network: one module whose children are named as people name them."""

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
from vggapps.vgg._frozen import Stage, lean
from vggapps.vgg._inference import check_inference
from vggapps.vgg._layers import PADDINGS, Padding, make, padded, padding_of, sliding
from vggapps.vgg._moving import check_differentiable
from vggapps.vgg._names import OUTPUT, listed, unknown_layer
from vggapps.vgg._normalize import IMAGENET, Convention
from vggapps.vgg._plan import AVERAGED, Head, Plan, Pooled, get_plan, layer_names, layers, torchvision_names
from vggapps.vgg._pooling import Flatten, Pool, Pooling, Sliding, Summarize
from vggapps.vgg._radial import Radial
from vggapps.vgg._seen import Reach, Sees, boxes, reach

Init = Literal["he", "glorot", "paper"]
INITS: tuple[Init, ...] = ("he", "glorot", "paper")


class VGG(nn.Module):
    """A VGG whose layers are its children: ``vgg.conv4_2``, ``vgg.relu4_2``.

    Takes RGB pictures in [0, 1]; the input convention of its weights is applied inside. Runs in the dtype of
    its weights whatever the picture's dtype, so ``vgg.bfloat16()`` needs no change elsewhere.

    Args:
        plan: a :class:`~vggapps.vgg.Plan` or its name.
        head: ``fc``, ``conv`` (fully convolutional), ``gap`` or ``none``.
        classes: outputs of the head.
        pooling: ``max``, ``average``, ``l2``, ``mean`` or ``hann``, see :class:`Pool`.
        padding: what the 3×3 convolutions see beyond the border: ``zeros``, ``replicate`` or ``reflect``;
            ``replicate-first`` repeats the border of the picture only, which is enough against the dark frame that
            zeros look like (crowsonkb/style-transfer-pytorch) and costs nothing.
        convention: what is done to a picture before the first convolution.
        pooled: what the head ``gap`` looks at.
        class_names: of its outputs; none means ImageNet's for 1,000 outputs, else that they are not known.
        temperature: what scores are divided by before a softmax for its probabilities to be calibrated.
        weights_name: where its weights come from.
    """

    conv1_1: nn.Conv2d  # the others, too, are attributes; this one tells the dtype

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
            self.add_module(layer.name, make(layer, pooling, padding, pooled))
        self.layer_names = layer_names(self.plan, head, pooled)

    def features(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> dict[str, Float[Tensor, "n ..."]]:
        """One forward pass: the outputs of the named layers, running no deeper than the deepest of them.

        Args:
            image: RGB in [0, 1].
            layers: names such as ``relu4_2`` or ``conv3_1``.

        Raises:
            SettingsError: there is no such layer, or the input is no batch of pictures large enough for it.
        """
        check_shape(image)
        found: dict[str, Tensor] = {}
        asked, last = listed(layers), self.layer_names[-1]
        if not (wanted := set(self.check([last if layer == OUTPUT else layer for layer in asked]))):
            return found
        check_side(image, self.smallest_side(wanted), "enlarge it, or take a layer before")
        x = self.convention(image).to(self.conv1_1.weight.dtype)
        steps: Iterable[tuple[str, Stage]] = self.named_children()
        if not torch.compiler.is_compiling():  # a compiler plans memory itself
            steps = lean(self.named_children(), wanted)
        for name, step in steps:
            x = step(x)
            if name in wanted:
                found[name] = x
            if len(found) == len(wanted):
                break
        if OUTPUT in asked:
            found[OUTPUT] = found[last] if last in asked else found.pop(last)
        return found

    def look(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> dict[str, Float[Tensor, "n ..."]]:
        """The same, but a network that is in training mode, or can't give gradients that are wanted, is refused."""
        check_inference(self)
        if image.requires_grad:
            check_differentiable(self)
        return self.features(image, layers)

    def is_grey(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> bool:
        """It takes colours."""
        return False

    def channels(self, layer: str) -> int:
        """How many channels a layer has."""
        (layer,) = self.check((layer,))
        plan = layers(self.plan, self.head, self.outputs, self.pooled)
        return next(one.channels for one in plan if one.name == layer)

    def reach(self, layer: str, size: int | None = None) -> Reach:
        """How far the positions of a layer see."""
        return reach(self.plan, self.head, self.pooled, layer)

    def sees(self, layer: str) -> Sees:
        """What each position of a layer sees."""
        return boxes(self.plan, self.head, self.pooled, self.pooling, layer)

    def prepared(self, image: Float[Tensor, "n 3 h w"]) -> Tensor:
        """What the first convolution is given."""
        return self.convention(image)

    def blank(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The mean colour, which is zero to the convolutions."""
        return self.convention.inverse(torch.zeros_like(image))

    def smallest_side(self, layers: Iterable[str]) -> int:
        """The side in pixels below which a picture leaves nothing at the deepest of the layers."""
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
        """The given names as a tuple, or an error that names the nearest right word."""
        names = listed(layers)
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
        """The last layer's output: class scores (before softmax) with a head, pool5 without.

        The head ``conv`` gives a map of scores, N × classes × h × w, one position for each 224×224 window.
        """
        last = self.layer_names[-1]
        return self.features(image, (last,))[last]

    def freeze(self) -> Self:
        """No gradients for the weights; inference mode, which neither ``train()`` nor a parent's undoes."""
        self.requires_grad_(False)
        self.eval()
        self.frozen = True
        return self

    def train(self, mode: bool = True) -> Self:
        """As usual, but a frozen network stays in inference mode."""
        return super().train(mode and not self.frozen)

    def variant(
        self, *, pooling: Pooling | None = None, padding: Padding | None = None, convention: Convention | None = None
    ) -> VGG:
        """The same layers and weights, which are shared, with another pooling, padding or input convention."""
        other = copy(self)
        other._modules = dict(self._modules)
        for name, module in self.named_children():
            if pooling and isinstance(module, Pool):
                other._modules[name] = Pool(pooling)
            if padding and isinstance(module, nn.Conv2d) and module.padding_mode != padding_of(name, padding):
                other._modules[name] = padded(module, padding_of(name, padding))
        other.pooling, other.convention = pooling or self.pooling, convention or self.convention
        return other

    def dense(self) -> VGG:
        """The same weights, which are shared, applied at every position of a picture (section 3.2): for inference.

        The head ``fc`` becomes ``conv``; ``gap`` slides its summary in windows of 7×7 positions, or as many as a
        picture of 224 pixels has. Pictures of 224×224 give a map of one position, larger ones one of more.

        Raises:
            SettingsError: there is no head to apply.
        """
        if self.head == "none":
            raise SettingsError(f"this {self.plan.name} has no head", "load it with one")
        other = copy(self)
        other._modules = {}
        for name, module in self.named_children():
            if isinstance(module, Summarize):
                stride = 2 ** sum(isinstance(m, Pool) for m in other._modules.values())
                other._modules[name] = Summarize(self.pooled, 224 // stride)
            elif isinstance(module, nn.Linear):
                side = 7 if name == "fc6" else 1
                other._modules[name] = sliding(module, side)
            elif not isinstance(module, Flatten):
                other._modules[name] = module
        other.head = "conv" if self.head == "fc" else self.head
        return other

    @property
    def name(self) -> str:
        """The plan's."""
        return self.plan.name

    @property
    def title(self) -> str:
        """In a few words: network, weights, input convention, pooling."""
        weights = self.weights_name or "own weights"
        return f"{self.name} ({weights}, {self.convention.name} input, {self.pooling} pooling)"

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.conv1_1.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of its convolutions."""
        return self.conv1_1.weight.dtype

    @property
    def outputs(self) -> int:
        """How many classes it tells apart; 0 without a head."""
        return 0 if self.head == "none" else self.get_parameter("fc8.bias").numel()

    def extra_repr(self) -> str:
        return f"{self.plan.name}, head={self.head}, input={self.convention.name}, frozen={self.frozen}"


def initialize(vgg: VGG, init: Init = "he", seed: int = 0) -> VGG:
    """Random weights from an explicit seed; biases zero. The heads ``fc`` and ``conv`` get the same numbers.

    ``he``: normal with variance 2 / fan out, fc6 to fc8 with deviation 0.01, as torchvision. ``glorot``:
    uniform, the initialisation that the paper found after submission to make pre-training needless (section
    3.1). ``paper``: normal with mean 0 and variance 0.01 (section 3.1).
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
        dense = name.startswith("fc")  # a linear layer, also where it is written as a convolution
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
