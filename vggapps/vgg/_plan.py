"""The VGG configurations as data, and the layers that follow from them.

Source: K. Simonyan, A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR
2015 (arXiv 1409.1556), table 1 and section 2.1. Batch norm came later; each configuration exists with it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from vggapps.errors import unknown
from vggapps.vgg._names import unknown_layer
from vggapps.vgg._notation import is_notation, read_notation, write_notation

Head = Literal["fc", "conv", "gap", "none"]
HEADS: tuple[Head, ...] = ("fc", "conv", "gap", "none")
# Types of other modules that import torch are here, because settings use them and import nothing heavy.
Pooling = Literal["max", "average", "l2", "mean", "hann"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["auto", "float32", "bfloat16"]
InputName = Literal["imagenet", "oxford", "plain", "signed"]  # conventions of files that do not state theirs


@dataclass(frozen=True)
class Plan:
    """One network of the paper's table 1, or an own one.

    Attributes:
        name: ``vgg16``; of an own plan its notation, see :func:`get_plan`.
        configuration: the paper's letter, ``D``; empty for an own plan.
        blocks: output channels of the convolutions of each block; a max pooling ends each block.
        pointwise: the convolutions that are 1×1 instead of 3×3 (configuration C).
        response_norm: whether local response normalisation follows conv1_1 (A-LRN).
        batch_norm: whether batch normalisation follows every convolution.
    """

    name: str
    configuration: str
    blocks: tuple[tuple[int, ...], ...]
    pointwise: tuple[str, ...] = ()
    response_norm: bool = False
    batch_norm: bool = False


_A = ((64,), (128,), (256, 256), (512, 512), (512, 512))
_B = ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512))
_D = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
_E = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)

_PLAIN = (
    Plan("vgg11", "A", _A),
    Plan("vgg11_lrn", "A-LRN", _A, response_norm=True),
    Plan("vgg13", "B", _B),
    Plan("vgg16_c", "C", _D, pointwise=("conv3_3", "conv4_3", "conv5_3")),
    Plan("vgg16", "D", _D),
    Plan("vgg19", "E", _E),
)
PLANS: dict[str, Plan] = {p.name: p for p in _PLAIN}
"""The configurations of the paper, by name."""
PLANS |= {f"{p.name}_bn": replace(p, name=f"{p.name}_bn", batch_norm=True) for p in _PLAIN}


def get_plan(name: str | Plan) -> Plan:
    """The plan with a name (``vgg19``), a letter (``E``) or plan notation; a plan is returned as it is.

    >>> get_plan("64x2-128-200+256x2_bn").blocks
    ((64, 64), (128,), (200, 256, 256))

    Plan notation has the blocks of an own network, separated by ``-``: ``64x2`` is two convolutions of 64 channels,
    ``200+256x2`` one of 200 and two of 256. With ``_bn``, batch normalization follows every convolution.

    Raises:
        SettingsError: there is no such network, or the notation is wrong.
    """
    if isinstance(name, Plan):
        return name
    for plan in PLANS.values():
        if name.lower() == plan.name or (name.upper() == plan.configuration and not plan.batch_norm):
            return plan
    if is_notation(name):
        return plan_of_blocks(*read_notation(name))
    raise unknown("network", name, PLANS)


def plan_of_blocks(blocks: Iterable[Iterable[int]], batch_norm: bool = False) -> Plan:
    """The paper's plan with these blocks, else an own one, named by its notation, which :func:`get_plan` reads.

    >>> plan_of_blocks([[32, 32], [64]], batch_norm=True).name
    '32x2-64_bn'

    Args:
        blocks: output channels of the convolutions of each block.
        batch_norm: whether batch normalization follows every convolution.

    Raises:
        SettingsError: no block, a block without convolutions, or a number of channels that is out of range.
    """
    own = Plan("", "", tuple(map(tuple, blocks)), batch_norm=batch_norm)
    for plan in PLANS.values():
        if replace(plan, name="", configuration="") == own:
            return plan
    return replace(own, name=write_notation(own.blocks, batch_norm))


Summary = Literal["avg", "max", "avg+max"]
SUMMARIES: tuple[Summary, ...] = ("avg", "max", "avg+max")


@dataclass(frozen=True)
class Pooled:
    """Input and shape of the head ``gap``: a feature map pooled over all of its positions.

    Attributes:
        layer: the feature map, where the network ends; empty for the last pooling.
        summary: ``avg``, ``max``, or both concatenated.
        root: whether to take its signed square root, which reduces the influence of a few strong channels.
        hidden: width of a layer between the pooled map and the class scores; 0 for none.
        radial: whether that layer has radial basis functions instead of a linear layer with a ReLU.
    """

    layer: str = ""
    summary: Summary = "avg"
    root: bool = False
    hidden: int = 0
    radial: bool = False

    def __post_init__(self) -> None:
        if self.summary not in SUMMARIES:
            raise unknown("summary", self.summary, SUMMARIES)


AVERAGED = Pooled()


@dataclass(frozen=True)
class Layer:
    """One layer of a plan.

    ``kind`` is one of conv, bn, relu, lrn, pool, flatten, gap, linear, radial, drop. ``channels`` are output channels,
    ``inputs`` input channels (0 where both are equal). ``kernel``, ``stride`` and ``padding`` are in pixels of the
    layer's input.
    """

    name: str
    kind: str
    channels: int
    inputs: int = 0
    kernel: int = 1
    stride: int = 1
    padding: int = 0


def layers(plan: Plan, head: Head = "fc", classes: int = 1000, pooled: Pooled = AVERAGED) -> Iterator[Layer]:
    """The layers of a network in order: ``conv1_1 relu1_1 ... pool5 fc6 ... fc8``.

    Heads: ``fc`` as in the paper's training, ``conv`` the same weights as convolutions (the paper's dense evaluation,
    section 3.2), ``gap`` one or two layers on a pooled feature map (``pooled``), ``none``.

    Raises:
        SettingsError: the head is unknown, or the network has no layer ``pooled.layer``.
    """
    body = tuple(_convolutional(plan))
    if head == "gap" and pooled.layer:
        names = [layer.name for layer in body]
        if pooled.layer not in names:
            raise unknown_layer(pooled.layer, names, torchvision_names(plan))
        body = body[: names.index(pooled.layer) + 1]
    yield from body
    channels = body[-1].channels
    if head == "gap":
        channels *= 1 + pooled.summary.count("+")
        yield Layer("gap", "gap", channels)
        if pooled.hidden:
            yield Layer("fc7", "radial" if pooled.radial else "linear", pooled.hidden, channels)
            if not pooled.radial:
                yield Layer("relu7", "relu", pooled.hidden)
        yield Layer("fc8", "linear", classes, pooled.hidden or channels)
    elif head in ("fc", "conv"):
        kind, side = ("linear", 1) if head == "fc" else ("conv", 7)
        if head == "fc":
            yield Layer("flatten", "flatten", channels * 49)
        for n, width, inputs in ((6, 4096, channels * 49 if head == "fc" else channels), (7, 4096, 4096)):
            yield Layer(f"fc{n}", kind, width, inputs, side if n == 6 else 1)
            yield Layer(f"relu{n}", "relu", width)
            yield Layer(f"drop{n}", "drop", width)
        yield Layer("fc8", kind, classes, 4096)
    elif head != "none":
        raise unknown("head", head, HEADS)


def _convolutional(plan: Plan) -> Iterator[Layer]:
    channels = 3
    for b, block in enumerate(plan.blocks, 1):
        for i, out in enumerate(block, 1):
            at = f"{b}_{i}"
            kernel = 1 if f"conv{at}" in plan.pointwise else 3
            yield Layer(f"conv{at}", "conv", out, channels, kernel, padding=kernel // 2)
            if plan.batch_norm:
                yield Layer(f"bn{at}", "bn", out)
            yield Layer(f"relu{at}", "relu", out)
            if plan.response_norm and at == "1_1":
                yield Layer(f"lrn{at}", "lrn", out)
            channels = out
        yield Layer(f"pool{b}", "pool", channels, kernel=2, stride=2)


def layer_names(plan: Plan, head: Head = "none", pooled: Pooled = AVERAGED) -> tuple[str, ...]:
    """Names of all layers in order, without ``flatten``."""
    return tuple(layer.name for layer in layers(plan, head, pooled=pooled) if layer.kind != "flatten")


def torchvision_names(plan: Plan) -> dict[str, str]:
    """Layer names by torchvision's: ``features.35`` is ``relu5_4`` of vgg19."""
    body = list(layers(plan, "none"))
    head = [layer for layer in list(layers(plan, "fc"))[len(body) :] if layer.kind != "flatten"]
    parts = {"features": body, "classifier": head}
    return {f"{part}.{index}": layer.name for part, row in parts.items() for index, layer in enumerate(row)}
