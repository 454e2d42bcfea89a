"""Loading a VGG with published weights, a file, or random weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

from vggapps.errors import SettingsError, WeightsError, argument, unknown
from vggapps.vgg._layers import Padding
from vggapps.vgg._moving import normal_tensors
from vggapps.vgg._network import VGG, Init, initialize
from vggapps.vgg._normalize import CONVENTIONS
from vggapps.vgg._plan import HEADS, PLANS, Head, InputName, Plan, get_plan
from vggapps.vgg._pooling import Pooling
from vggapps.weights import _store as store
from vggapps.weights._files import Contents, known_convention, read
from vggapps.weights._heads import read_head
from vggapps.weights._labels import read_class_names
from vggapps.weights._layout import mismatch
from vggapps.weights._records import RECORDS, WeightsRecord


@normal_tensors()
def load_vgg(
    name: str | Plan = "vgg19",
    weights: str | Path | None = "auto",
    *,
    head: Head | None = None,
    pooling: Pooling = "max",
    padding: Padding = "zeros",
    init: Init = "he",
    seed: int = 0,
    trainable: bool = False,
    convention: InputName | None = None,
    classes: str | Path | Sequence[str] | None = None,
) -> VGG:
    """Load a VGG with weights. Its input is RGB in [0, 1] for all weights.

    Args:
        name: the network, ``vgg19``, ``vgg16_bn``, plan notation (``64x2-128x2_bn``), or a plan.
        weights: ``auto``, a name from ``vggapps weights list``, a file (.pth, .pt, .safetensors), or None for
            random ones. ``auto`` is torchvision's if the head needs fully connected layers. Otherwise, for vgg19, it
            is the installed weights, so that results are the same on every machine; for vgg16 with a head ``none``
            or ``gap``, and without torchvision's file on this machine, only its convolutions are downloaded, a ninth of
            the file with the same values. The head ``gap`` of vgg19 is installed, trained on ImageNet's classes.
        head: ``fc``, ``conv``, ``gap`` or ``none``; None is the head of the weights (random: ``fc``).
            The linear layer of ``gap`` is random unless the file has one.
        pooling: ``max``, ``average`` or ``l2``.
        padding: ``zeros``, ``replicate``, ``reflect`` or ``replicate-first``.
        init: of random weights: ``he``, ``glorot`` or ``paper``.
        seed: of random weights; torch's global generator is not used.
        trainable: whether to enable gradients and training mode; otherwise the network is frozen.
        convention: of a file that is not published and does not state one: ``imagenet`` as torchvision (the default),
            ``oxford`` as Caffe and Keras (BGR, 0-255), ``plain`` for RGB in [0, 1], ``signed`` for RGB in [-1, 1].
        classes: names of the outputs, if the file has none: a sequence, a file, a folder of class folders, or
            ``numbers``, see ``read_class_names``.

    Returns:
        The network, float32, on the CPU. ``weights_name`` names its weights and ``classes`` its outputs; empty
        ``classes`` mean ImageNet's for 1,000 outputs, otherwise unknown names.

    Raises:
        WeightsError: the weights are not available, are damaged, or do not fit.
        SettingsError: a wrong name, a convention of weights whose convention is known, or a wrong number of names.
    """
    plan = get_plan(name)
    if head is not None and head not in HEADS:
        raise unknown("head", head, HEADS)
    if convention is not None and convention not in get_args(InputName):
        raise unknown("convention", convention, get_args(InputName))
    if weights is None:
        vgg = _empty(
            plan, head=head or "fc", pooling=pooling, padding=padding, convention=CONVENTIONS[convention or "imagenet"],
            weights_name=f"random-{init}-{seed}",
        )  # fmt: skip
        vgg = _randomize(vgg, init, seed)
    else:
        record, path = _choose(plan, weights, head)
        contents = read_head(path, plan) or read(path, plan, record, convention, head)
        if contents.base:
            if convention:
                raise known_convention(path.name, convention)
            lower: Head = "fc" if contents.head == "fc" else "none"
            body = read(find_weights(contents.base, plan.name)[1], plan, RECORDS[contents.base], head=lower)
            contents = replace(contents, state={**body.state, **contents.state})
        head = head or contents.head
        weights_name = record.name if record else path.name
        if head in ("fc", "conv") and contents.head not in ("fc", "conv"):
            raise _no_fully_connected(plan, weights_name, head)
        vgg = _empty(
            plan, head=head, classes=contents.classes, pooling=pooling, padding=padding,
            convention=contents.convention, pooled=contents.pooled, weights_name=weights_name,
            class_names=contents.names if head != "none" else (),
            temperature=contents.temperature if head != "none" else 1.0,
        )  # fmt: skip
        if head == "gap" and contents.head != "gap":
            vgg = _randomize(vgg, init, seed)
        if contents.base and head == contents.head:
            wanted = {key: tensor for key, tensor in vgg.state_dict().items() if key.startswith("fc")}
            if problem := mismatch(
                {key: contents.state[key] for key in contents.state if key.startswith("fc")}, wanted
            ):
                raise WeightsError(f"{weights_name} is not a head of {contents.base}: {problem}", "make it again")
        _fill(vgg, contents)
    if classes is not None:
        name_classes(vgg, classes)
    return vgg.train() if trainable else vgg.freeze()


def name_classes(vgg: VGG, classes: str | Path | Sequence[str]) -> None:
    """Set the names of a network's outputs, see ``read_class_names``.

    Raises:
        SettingsError: it has no head, another number of outputs, or the same names in another order.
    """
    if vgg.head == "none":
        raise SettingsError(f"this {vgg.plan.name} has no head and so no classes", "leave the names out")
    names = read_class_names(classes, vgg.outputs)
    if vgg.classes and names != vgg.classes and sorted(names) == sorted(vgg.classes):
        raise SettingsError(
            f"{vgg.weights_name} has these class names in another order",
            "leave them out: the file has the order of its outputs",
        )
    vgg.classes = names


def _choose(plan: Plan, weights: str | Path, head: Head | None) -> tuple[WeightsRecord | None, Path]:
    """The record, if there is one, and the checked file."""
    if weights == "auto":
        if plan.name not in RECORDS or plan != PLANS.get(plan.name):
            raise WeightsError(
                f"there are no published weights for {plan.name}", "give a file, or weights=None for random ones"
            )
        weights = _auto(plan.name, head)
    return find_weights(weights, plan.name)


def _auto(name: str, head: Head | None) -> str:
    """The default weights of a network."""
    convolutions = f"{name}-convolutions"
    if name == "vgg19" and head == "gap":
        return "vgg19-gap"
    if name == "vgg19" and head not in ("fc", "conv"):
        return "vgg19-installed"
    if head in ("none", "gap") and convolutions in RECORDS and not store.find(RECORDS[name]):
        return convolutions
    return name


def find_weights(weights: str | Path, network: str) -> tuple[WeightsRecord | None, Path]:
    """The record of that name and its checked file, downloaded if needed; or None and a path.

    Raises:
        WeightsError: the weights are for another network, or not available.
        SettingsError: an unknown name of weights.
    """
    if isinstance(weights, str) and weights in RECORDS:
        record = RECORDS[weights]
        if record.network != network:
            is_vgg = record.network in PLANS
            raise WeightsError(
                f"the weights {weights} are {record.network}'s, not {network}'s",
                f"load the network {record.network}" if is_vgg else f"use load_trunk({record.network!r})",
            )
        return record, store.get(record)
    path = Path(os.path.expanduser(weights))  # noqa: PTH111 - pathlib raises for unknown users
    if isinstance(weights, str) and not path.suffix and path.name == weights and not os.path.lexists(path):
        raise unknown("set of weights", weights, ["auto", *RECORDS])  # a word, not a path
    return None, path


def _no_fully_connected(plan: Plan, weights_name: str, head: str) -> WeightsError:
    published = f"use {argument('weights', plan.name)}, which is downloaded once"
    return WeightsError(
        f"{weights_name} has no fully connected layers, which the head '{head}' needs",
        published if plan.name in RECORDS else "use weights with fully connected layers",
    )


def _empty(plan: Plan, **settings: Any) -> VGG:
    """A network on meta: initializing random weights would take 2 s for a full VGG-19."""
    with torch.device("meta"):
        return VGG(plan, **settings).float()  # whatever torch's default dtype is


def _randomize(vgg: VGG, init: Init, seed: int) -> VGG:
    vgg = vgg.to_empty(device="cpu")
    for module in vgg.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    return initialize(vgg, init, seed)


def _fill(vgg: VGG, contents: Contents) -> None:
    """Set the weights of the network, except the new layer of a head ``gap``."""
    state = {}
    for key, tensor in vgg.state_dict().items():
        new = vgg.head == "gap" and contents.head != "gap" and key.startswith("fc8")
        if new:
            state[key] = tensor
        elif key in contents.state:
            # Linear weights and 7×7 and 1×1 convolutions have the same order in memory. Mapped tensors are copied,
            # because the file may be rewritten, and unaligned tensors change the last digits of results.
            source = contents.state[key].reshape(tensor.shape)
            state[key] = source.to(tensor.dtype, copy=contents.mapped)
    vgg.load_state_dict(state, assign=True)
