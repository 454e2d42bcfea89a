"""What is done to a network before it is trained: its shape, its first weights, and which of them are trained."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, argument
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import AVERAGED, Head, Plan, Pooled, layer_names, layers, plan_of_blocks

_LEAST = 2  # positions on each side of the last map
_FIRST = 4  # convolutions of the paper's staged initialization
_BLOCK = re.compile(r"(?:conv|bn)(\d+)_")


def plan_for(plan: Plan, size: int) -> tuple[Plan, str]:
    """A plan with all convolutions of another one, for square pictures that may be too small for its poolings.

    The last two blocks are merged, which removes the pooling between them, until the last map has 2×2 positions.

    >>> from vggapps.vgg import PLANS
    >>> plan_for(PLANS["vgg16_bn"], 32)[0].name
    '64x2-128x2-256x3-512x6_bn'

    Args:
        plan: the network.
        size: side of the pictures in pixels.

    Returns:
        The plan, and a note for the user; the note is empty if nothing was changed.

    Raises:
        SettingsError: the pictures are too small for a single pooling; or blocks would be merged of a plan with 1×1
            convolutions or response normalization, which plan notation can't express.
    """
    blocks = list(plan.blocks)
    while len(blocks) > 1 and size >> len(blocks) < _LEAST:
        blocks[-2:] = [blocks[-2] + blocks[-1]]
    if size >> len(blocks) < _LEAST:
        raise SettingsError(f"pictures of {size} px are too small", f"use {argument('size', 8)} or more")
    if len(blocks) == len(plan.blocks):
        return plan, ""
    if plan.pointwise or plan.response_norm:
        raise SettingsError(
            f"pictures of {size} px are too small for {plan.name}",
            f"use at least {_LEAST << len(plan.blocks)} px, or another network",
        )
    merged = plan_of_blocks(blocks, plan.batch_norm)
    return merged, (
        f"pictures of {size} px have room for {len(blocks)} of the {len(plan.blocks)} poolings of {plan.name}: "
        f"its last blocks are merged, {merged.name}"
    )


def copy_first_layers(network: VGG, trained: VGG) -> tuple[str, ...]:
    """The paper's staged initialization (section 3.1): copy the first layers and the head of a shallower network.

    Copied are the first four convolutions of ``trained`` and its fully connected layers, to the layers of the same
    names, with batch normalization if both have it. The last layer is left as it is if it is for other classes. The
    network takes the normalization of the input to which the first convolution belongs.

    Args:
        network: changed in place.
        trained: configuration A in the paper; without a head, only convolutions are copied.

    Returns:
        The names of the copied layers, in the order of the network.

    Raises:
        SettingsError: a layer is missing in the network or has another shape there, or only one of the networks has
            normalization layers. Nothing has been changed.
    """
    mine, other = network.plan, trained.plan
    if (mine.batch_norm, mine.response_norm) != (other.batch_norm, other.response_norm):
        raise SettingsError(
            f"the layers of {other.name} do not fit {mine.name}: only one of them has normalization layers",
            "start from a network of the same kind",
        )
    first = [layer.name for layer in layers(other, "none") if layer.kind == "conv"][:_FIRST]
    wanted = {*first, *(name.replace("conv", "bn") for name in first)}
    theirs = {name: child for name, child in trained.named_children() if name in wanted or name.startswith("fc")}
    if trained.outputs and not _same_classes(network, trained):
        del theirs["fc8"]
    ours = dict(network.named_children())
    for name, child in theirs.items():
        if name not in ours:
            raise SettingsError(f"{mine.name} has no {name} like {other.name}", "give both networks the same head")
        target = ours[name].state_dict()
        for key, tensor in child.state_dict().items():
            if key not in target or tensor.shape != target[key].shape:
                has = "×".join(map(str, target[key].shape)) if key in target else "missing"
                raise SettingsError(
                    f"{name}.{key} of {other.name} is {'×'.join(map(str, tensor.shape))}, that of {mine.name} is {has}",
                    "start from a network with the same first layers and the same head",
                )
    for name, child in theirs.items():
        ours[name].load_state_dict(child.state_dict())
    given = trained.convention
    network.convention = replace(network.convention, name=given.name, mean=given.mean, std=given.std)
    return tuple(name for name in ours if name in theirs)


def _same_classes(network: VGG, trained: VGG) -> bool:
    """Whether the outputs are the same classes, as far as they are named."""
    both_named = bool(network.classes and trained.classes)
    return network.outputs == trained.outputs and (not both_named or network.classes == trained.classes)


def with_new_head(
    network: VGG, classes: Sequence[str], head: Head = "gap", *, pooled: Pooled = AVERAGED, seed: int = 0
) -> VGG:
    """A trainable copy of a network with a new random head, initialized as by :func:`~vggapps.vgg.initialize`.

    Args:
        network: its convolutions are copied, in its dtype and on its device; it is not changed.
        classes: names of the outputs.
        head: ``gap`` or ``fc``.
        pooled: input and shape of the head ``gap``.
        seed: of the random weights; torch's global generator is not used.

    Raises:
        SettingsError: another head, or the network ends before the layer that the head needs.
    """
    if head not in ("gap", "fc"):
        raise SettingsError(f"{argument('head', head)} is not a head to train", "use gap or fc")
    with torch.device("meta"):
        new = VGG(
            network.plan, head=head, classes=len(classes), pooling=network.pooling, convention=network.convention,
            pooled=pooled, class_names=tuple(classes),
        )  # fmt: skip
    body = [name for name in new.layer_names if name in layer_names(network.plan)]
    if missing := [name for name in body if name not in network.layer_names]:
        raise SettingsError(
            f"this {network.name} has no {missing[0]}: its convolutions end at {network.pooled.layer}",
            f"use a network with all convolutions, or {argument('pooled')} at an earlier layer",
        )
    new = initialize(new.to_empty(device="cpu"), seed=seed).to(network.device, network.dtype)
    for name in body:
        setattr(new, name, deepcopy(network.get_submodule(name)))
    return new.requires_grad_(True).train()


def freeze_to(network: VGG, layer: str) -> None:
    """Exclude the parameters of all layers up to and including ``layer`` from training.

    Batch normalization after the layer stays trainable: with ``conv4_4``, bn4_4 is trained; with ``relu4_4`` it is not.

    Raises:
        SettingsError: there is no such layer.
    """
    network.check((layer,))
    for name, module in network.named_children():
        module.requires_grad_(False)
        if name == layer:
            return


def before_last_convolution(network: VGG) -> str:
    """The layer before the last convolution: ``relu5_3`` of VGG-19, ``relu5_2`` of VGG-16.

    Raises:
        SettingsError: it is the only convolution.
    """
    names = list(layer_names(network.plan))
    last = max(index for index, name in enumerate(names) if name.startswith("conv"))
    if not last:
        raise SettingsError(
            "the network has one convolution: nothing can be frozen before it", f"set {argument('freeze_to', 'none')}"
        )
    return names[last - 1]


def rates_by_block(network: VGG, decay: float = 0.1) -> Callable[[str], float]:
    """Learning rates that fall from the head to the first block.

    J. Howard, S. Ruder, Universal Language Model Fine-tuning for Text Classification, ACL 2018 (arXiv 1801.06146),
    section 3.2, "discriminative fine-tuning": there by layer, with a decay of 1 / 2.6.

    Args:
        network: defines the blocks.
        decay: rate of each block relative to the one after it; that of the head is 1.

    Returns:
        A function from a name of ``network.named_parameters()`` to the factor of its learning rate.
    """
    found = {name: _BLOCK.match(name) for name, _ in network.named_parameters()}
    last = max(int(match[1]) for match in found.values() if match)
    rates = {name: decay ** (last + 1 - int(match[1])) if match else 1.0 for name, match in found.items()}
    return rates.__getitem__


@torch.no_grad()
def normalize_channels(network: VGG, images: Iterable[Float[Tensor, "n 3 h w"]]) -> None:
    """Rescale each channel, in place, so that its mean after the ReLU is 1 over these images and all positions.

    ReLU and pooling commute with positive factors, and the next layer takes the inverse factors: what the network
    computes changes by one factor per channel, with a head not at all. L. Gatys, A. Ecker, M. Bethge, A Neural
    Algorithm of Artistic Style, 2015 (arXiv 1508.06576), Methods; Image Style Transfer Using Convolutional Neural
    Networks, CVPR 2016, section 2. Channels that are 0 everywhere are not changed.

    Args:
        network: without normalization layers.
        images: batches of RGB in [0, 1], of any number and size; empty ones are skipped.

    Raises:
        SettingsError: the network has normalization layers, its head is not homogeneous, or there is no image.
    """
    if network.plan.batch_norm or network.plan.response_norm:
        raise SettingsError(
            f"{network.name} has normalization layers, which undo factors of channels",
            f"leave out {argument('normalize')}, or use a network without them",
        )
    if network.head == "gap" and (network.pooled.root or network.pooled.radial):
        raise SettingsError("this head takes the root of its input, which no factor undoes", "use another head")
    before = None
    means = _means(network, images)
    repeats = 1 + network.pooled.summary.count("+") if network.head == "gap" else 1
    for name, layer in network.named_children():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if before is not None:
            inputs = torch.unflatten(layer.weight, 1, (repeats if layer.weight.ndim == 2 else 1, len(before), -1))
            inputs.movedim(2, -1).mul_(before.to(inputs))
        if name.startswith("fc"):
            return
        before = means.get(name.replace("conv", "relu"))  # none if the head reads the convolution itself
        if before is not None:
            for parameter in layer.parameters():
                parameter.movedim(0, -1).div_(before.to(parameter))


def _means(network: VGG, images: Iterable[Tensor]) -> dict[str, Float[Tensor, " c"]]:
    """The mean of each channel of the ReLUs after convolutions, float64, on the CPU; 1 for channels that are 0."""
    names = [name for name in network.layer_names if re.match(r"relu\d+_", name)]
    sums = {name: torch.zeros(network.channels(name), dtype=torch.float64) for name in names}
    counts = dict.fromkeys(names, 0)
    for batch in images:
        if not len(batch):
            continue
        x = network.convention(batch.to(network.device)).to(network.dtype)
        for name, module in network.named_children():
            x = module(x)
            if name in sums:
                count = x.numel() // x.shape[1]
                wide = torch.promote_types(x.dtype, torch.float32)
                sums[name] += count * x.mean((0, 2, 3), dtype=wide).cpu().double()
                counts[name] += count
            if name == names[-1]:
                break
    if not all(counts.values()):
        raise SettingsError("there is no image whose means the channels could have", "give at least one")
    means = {name: total / counts[name] for name, total in sums.items()}
    return {name: mean.where(mean > 0, 1.0) for name, mean in means.items()}


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Run a block in evaluation mode and without gradients; then each module has its own mode again."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
