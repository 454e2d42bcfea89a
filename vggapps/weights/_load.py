"""From a name or a file of weights to a network that is ready."""

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
from vggapps.vgg._moving import ordinary
from vggapps.vgg._network import VGG, Init, initialize
from vggapps.vgg._normalize import CONVENTIONS
from vggapps.vgg._plan import HEADS, PLANS, Head, InputName, Plan, get_plan
from vggapps.vgg._pooling import Pooling
from vggapps.weights import _store as store
from vggapps.weights._files import Contents, known_convention, read
from vggapps.weights._heads import read_head
from vggapps.weights._labels import names_of
from vggapps.weights._layout import misfit
from vggapps.weights._records import RECORDS, WeightsRecord


@ordinary()
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
    """A VGG with weights. It takes RGB in [0, 1], whatever its weights were trained on.

    Args:
        name: the network, ``vgg19``, ``vgg16_bn``, or a plan.
        weights: ``auto``, a name from ``vggapps weights list``, a file (.pth, .pt, .safetensors), or None for
            random ones. ``auto`` takes torchvision's where the head needs fully connected layers; else, for
            vgg19, the installed ones, whatever else is there, so that pictures come from one network on every machine.
            For a head ``none`` or ``gap`` of vgg16, where torchvision's file is not here, its convolutions alone
            are downloaded, a ninth of it; the numbers are the same. A head ``gap`` of vgg19 is the one that comes with
            this package, trained to name ImageNet's classes.
        head: ``fc``, ``conv``, ``gap`` or ``none``; None takes what the weights carry (random: ``fc``).
            The linear layer of ``gap`` is new and random unless the file carries one.
        pooling: ``max``, ``average`` or ``l2``.
        padding: ``zeros``, ``replicate``, ``reflect`` or ``replicate-first``.
        init: of whatever is random: ``he``, ``glorot`` or ``paper``.
        seed: of whatever is random; torch's own generator is neither used nor moved.
        trainable: with gradients and in training mode; else frozen.
        convention: what a file's network wants, where the file does not say it and is none of the published:
            ``imagenet`` as torchvision's (the default), ``oxford`` as those of Caffe and Keras (BGR, 0-255), ``plain``
            for RGB in [0, 1], ``signed`` for RGB in [-1, 1].
        classes: names of the outputs, where the file has none: themselves, a file, a folder of class folders, or
            ``numbers``, see ``names_of``.

    Returns:
        The network, float32, on the CPU. Its ``weights_name`` says what it was filled with, its ``classes`` the names
        of its outputs; none means ImageNet's for 1,000 outputs, else that they are not known.

    Raises:
        WeightsError: the weights can't be had, are damaged, or do not fit.
        SettingsError: a wrong name, a convention where the weights' own is known, or names that are not as many as the
            outputs.
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
            contents = replace(contents, state={**body.state, **contents.state}, convention=body.convention)
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
            if problem := misfit({key: contents.state[key] for key in contents.state if key.startswith("fc")}, wanted):
                raise WeightsError(f"{weights_name} is no head of {contents.base}: {problem}", "make it again")
        _fill(vgg, contents)
    if classes is not None:
        name_classes(vgg, classes)
    return vgg.train() if trainable else vgg.freeze()


def name_classes(vgg: VGG, classes: str | Path | Sequence[str]) -> None:
    """Name a network's outputs, see ``names_of``.

    Raises:
        SettingsError: it has no head, or not as many outputs; or it has these names already, in another order.
    """
    if vgg.head == "none":
        raise SettingsError(f"this {vgg.plan.name} has no head: it has no classes to name", "leave the names out")
    names = names_of(classes, vgg.outputs)
    if vgg.classes and names != vgg.classes and sorted(names) == sorted(vgg.classes):
        raise SettingsError(
            f"{vgg.weights_name} has these names of classes in another order",
            "leave them out: the file knows the order of its outputs",
        )
    vgg.classes = names


def _choose(plan: Plan, weights: str | Path, head: Head | None) -> tuple[WeightsRecord | None, Path]:
    """The record, if it is one, and the file, which is there and checked."""
    if weights == "auto":
        if plan.name not in RECORDS or plan != PLANS.get(plan.name):
            raise WeightsError(
                f"nobody published weights for {plan.name}", "give a file, or weights=None for random ones"
            )
        weights = _auto(plan.name, head)
    return find_weights(weights, plan.name)


def _auto(name: str, head: Head | None) -> str:
    """The weights that a network gets by itself."""
    convolutions = f"{name}-convolutions"
    if name == "vgg19" and head == "gap":
        return "vgg19-gap"
    if name == "vgg19" and head not in ("fc", "conv"):
        return "vgg19-installed"
    if head in ("none", "gap") and convolutions in RECORDS and not store.find(RECORDS[name]):
        return convolutions
    return name


def find_weights(weights: str | Path, network: str) -> tuple[WeightsRecord | None, Path]:
    """The record of that name and its checked file, downloaded where it is not here; or None and a path.

    Raises:
        WeightsError: they are another network's, or can't be had.
        SettingsError: a word that is no name of weights.
    """
    if isinstance(weights, str) and weights in RECORDS:
        record = RECORDS[weights]
        if record.network != network:
            loader = "the network" if record.network in PLANS else "vggapps.weights._trunk.load_trunk to load"
            raise WeightsError(
                f"the weights {weights} are {record.network}'s, not {network}'s", f"ask for {loader} {record.network}"
            )
        return record, store.get(record)
    path = Path(os.path.expanduser(weights))  # noqa: PTH111 - pathlib's raises where there is no such user
    if isinstance(weights, str) and not path.suffix and path.name == weights and not os.path.lexists(path):
        raise unknown("set of weights", weights, ["auto", *RECORDS])  # a word, not a path
    return None, path


def _no_fully_connected(plan: Plan, weights_name: str, head: str) -> WeightsError:
    published = f"use {argument('weights', plan.name)}, which is downloaded once"
    return WeightsError(
        f"{weights_name} has no fully connected layers, which the head '{head}' needs",
        published if plan.name in RECORDS else "use weights that have them",
    )


def _empty(plan: Plan, **settings: Any) -> VGG:
    """A network without numbers: torch would fill it with random ones first, 2 s for a full VGG-19."""
    with torch.device("meta"):
        return VGG(plan, **settings).float()  # whatever torch's default is


def _randomize(vgg: VGG, init: Init, seed: int) -> VGG:
    vgg = vgg.to_empty(device="cpu")
    for module in vgg.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    return initialize(vgg, init, seed)


def _fill(vgg: VGG, contents: Contents) -> None:
    """Put in what the network has; every tensor must be there, but the new layer of a head ``gap``."""
    state = {}
    for key, tensor in vgg.state_dict().items():
        new = vgg.head == "gap" and contents.head != "gap" and key.startswith("fc8")
        if new:
            state[key] = tensor
        elif key in contents.state:
            # Linear weights become 7×7 and 1×1 convolutions, and back, by their shape alone: both are stored
            # channel by channel. From a mapped file is copied: it may be rewritten while the network lives, and
            # its tensors may lie unaligned, which changes the last digits of what comes out.
            source = contents.state[key].reshape(tensor.shape)
            state[key] = source.to(tensor.dtype, copy=contents.mapped)
    vgg.load_state_dict(state, assign=True)
