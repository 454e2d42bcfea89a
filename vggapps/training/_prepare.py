"""From settings and data to the network that is trained and the batches that it sees."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TypeAlias

import torch
from torch import nn

from vggapps._memory import available_memory
from vggapps.errors import SettingsError, WeightsError, argument, unknown
from vggapps.training._augmentation import augment, evaluate_transform, principal_colors, resize_for
from vggapps.training._batches import PictureBatches
from vggapps.training._cached import CachedBatches, bytes_for, tail_of
from vggapps.training._checkpointed import Checkpointed
from vggapps.training._network import (
    before_last_convolution,
    copy_first_layers,
    freeze_to,
    normalize_channels,
    plan_for,
    with_new_head,
)
from vggapps.training._pictures import Pictures, TrainingData
from vggapps.training._settings import RECIPES, RunSettings
from vggapps.vgg._network import INITS, VGG, initialize
from vggapps.vgg._normalize import IMAGENET, Convention
from vggapps.vgg._plan import get_plan, layer_names
from vggapps.weights._backbone import is_file, load_network

_USUAL, _LARGE = 224, 128  # the usual crop, and the shorter side of pictures from which on it is used
_NORMALIZED = 256  # pictures whose means normalize the channels
STAGED = "staged="

Batches: TypeAlias = PictureBatches | CachedBatches


@dataclass(frozen=True)
class Prepared:
    """What a run trains.

    Attributes:
        network: the whole network, on its device.
        trained: the module for :func:`~vggapps.training.fit`: the network, or its layers after the frozen ones. Its
            parameters are the network's and have the same names.
        training: batches for ``trained``.
        validation: batches for ``trained``, each picture once.
        plain: the training pictures as ``validation`` has its own: not augmented, not mixed, each once.
        has_new_head: whether the head is still random.
        notes: decisions and remarks, one line each.
    """

    network: VGG
    trained: nn.Module
    training: Batches
    validation: Batches
    plain: Callable[[], Batches]
    has_new_head: bool
    notes: tuple[str, ...]


def sizes(settings: RunSettings, data: TrainingData, base: VGG | None = None) -> tuple[int, int]:
    """Side of the crops, and shorter side to which pictures are scaled for validation and for use, in pixels.

    By default those of the network ``base``; without one, 224 and 256, or the side of smaller pictures.
    """
    usual = base.convention.crop if base else _USUAL
    if base is None and settings.recipe != "paper" and data.side < _LARGE:
        usual = max(8, data.side)
    crop = settings.size or usual
    if settings.augment == "paper":
        shorter = sum(settings.scale_range()) // 2
        if shorter < crop:
            raise SettingsError(
                f"{argument('scales', settings.scales)} is less than the crops of {crop} px",
                f"set {argument('size', shorter * 7 // 8)}, or larger scales",
            )
        return crop, shorter
    if base and crop == base.convention.crop:
        return crop, base.convention.resize
    return crop, resize_for(crop)


def _starting(settings: RunSettings, classes: tuple[str, ...]) -> VGG | None:
    """The network to start from, with its head if that is for these classes; None to start from random weights."""
    if settings.weights == "none":
        return None
    name = settings.arch if settings.weights == "auto" else settings.weights
    found = load_network(name)
    if settings.weights != "auto" and settings.arch not in (RECIPES[settings.recipe]["arch"], found.plan.name):
        raise SettingsError(
            f"{argument('arch', settings.arch)} and the weights of {found.plan.name} do not fit",
            "leave one of them out",
        )
    if is_file(name):
        with suppress(WeightsError):  # it has no head
            whole = load_network(name, needs="classes")
            return whole if whole.classes == classes else found
    return found


def _from_weights(settings: RunSettings, base: VGG, classes: tuple[str, ...]) -> tuple[VGG, list[str]]:
    if base.head == "none":
        network, head = with_new_head(base, classes, settings.head, seed=settings.seed), "a new head"
    else:
        network, head = deepcopy(base), "its head, as its classes are those of the pictures"
        network.frozen = False
        network.requires_grad_(True).train()
    return network, [f"starts from {base.weights_name or settings.weights} ({base.plan.name}), with {head}"]


def _from_scratch(settings: RunSettings, classes: tuple[str, ...], convention: Convention) -> tuple[VGG, list[str]]:
    plan, note = plan_for(get_plan(settings.arch), convention.crop)
    network = VGG(plan, head=settings.head, classes=len(classes), convention=convention, class_names=classes)
    notes = [note] if note else []
    staged = settings.init.removeprefix(STAGED) if settings.init.startswith(STAGED) else ""
    if not staged and settings.init not in INITS:
        raise unknown("initialization", settings.init, [*INITS, f"{STAGED}FILE"])
    initialize(network, "paper" if staged else settings.init, settings.seed)  # type: ignore[arg-type]
    if staged:
        copied = copy_first_layers(network, load_network(staged, needs="classes"))
        notes.append(f"{', '.join(copied)} are those of {staged}")
    return network, notes


def prepare(
    settings: RunSettings, data: TrainingData, device: torch.device, *, rank: int = 0, world: int = 1
) -> Prepared:
    """Make the network and the batches of a run.

    Raises:
        SettingsError: settings that do not fit together or to the data.
        WeightsError: weights that are not available.
    """
    base = _starting(settings, data.classes)
    crop, resize = sizes(settings, data, base)
    convention = replace(base.convention if base else IMAGENET, resize=resize, crop=crop)
    network, notes = (
        _from_weights(settings, base, data.classes) if base else _from_scratch(settings, data.classes, convention)
    )
    network.convention = convention
    has_new_head = base is None or base.head == "none"
    plain = evaluate_transform(resize, crop)
    workers = _workers(settings, device)

    def batches(pictures: Pictures, **more: object) -> PictureBatches:
        common = {"classes": len(data.classes), "seed": settings.seed, "rank": rank, "world": world}
        return PictureBatches(pictures, size=settings.batch, workers=workers, **common, **more)  # type: ignore[arg-type]

    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if settings.normalize:
        some = batches(data.training, transform=plain)
        normalize_channels(network, (b.images for b in islice(some, max(1, _NORMALIZED // settings.batch))))
        notes.append("channels are rescaled to a mean of 1")
    if settings.freeze_to == "auto":
        settings = replace(settings, freeze_to=before_last_convolution(network))
    frozen = settings.freeze_to != "none"
    if frozen:
        freeze_to(network, settings.freeze_to)
        notes.append(f"the layers up to {settings.freeze_to} are frozen")
    mix = (settings.mixup, settings.cutmix)
    balanced = data.is_uneven if settings.balance is None else settings.balance
    if balanced:
        notes.append("classes are drawn equally often")
    validation = batches(data.validation, transform=plain, shuffle=False)
    if frozen and _caches(settings, network, data, crop, world, notes):
        tail = tail_of(network, settings.freeze_to)
        cached = {"network": network, "layer": settings.freeze_to, "dtype": settings.dtype}
        shown = batches(data.training, transform=plain, balanced=balanced, mix=mix)
        training = CachedBatches(shown, mirror=settings.flip, **cached)  # type: ignore[arg-type]
        held = CachedBatches(validation, mirror=False, **cached)  # type: ignore[arg-type]
        mirrored = " and its mirror image" if settings.flip else ""
        notes.append(f"the maps of {settings.freeze_to} are computed once for each picture{mirrored}")
        return Prepared(network, tail, training, held, training.in_order, has_new_head, tuple(notes))
    colors = principal_colors(data.training, seed=settings.seed) if settings.augment == "paper" else None
    views = augment(
        settings.augment, crop, scales=settings.scale_range(), colors=colors, is_grey=data.is_grey, flip=settings.flip
    )
    augmented = batches(data.training, transform=views, balanced=balanced, mix=mix)
    trained = Checkpointed(network) if settings.checkpointing else network
    each = partial(batches, data.training, transform=plain, shuffle=False)
    return Prepared(network, trained, augmented, validation, each, has_new_head, tuple(notes))


def _caches(settings: RunSettings, network: VGG, data: TrainingData, crop: int, world: int, notes: list[str]) -> bool:
    """Whether the maps of the last frozen layer are computed once."""
    if settings.cache is False or (settings.cache is None and settings.freeze_to not in layer_names(network.plan)):
        return False
    if settings.augment not in ("auto", "none"):
        if settings.cache:
            raise SettingsError(
                f"{argument('augment', settings.augment)} changes pictures before the layers that are cached",
                f"leave out {argument('cache')} or {argument('augment')}",
            )
        return False
    if settings.checkpointing:
        raise SettingsError(
            f"{argument('checkpointing', True)} has no effect on the few layers after {settings.freeze_to}",
            f"leave it out, or set {argument('cache', False)}",
        )
    count = (1 + settings.flip) * len(data.training) + len(data.validation)
    needed = bytes_for(network, settings.freeze_to, crop, count)
    free = available_memory()[0] // world
    if settings.cache is None and needed > free / 2:
        notes.append(
            f"the maps of {settings.freeze_to} would need {needed / 1e9:.0f} GB of memory, and {free / 1e9:.0f} GB "
            "are free: they are computed anew in each epoch"
        )
        return False
    return True


def _workers(settings: RunSettings, device: torch.device) -> int:
    """Worker processes. On a CPU they would take cores from the network, which then takes a fifth longer."""
    if settings.workers is not None:
        return settings.workers
    return min(16, os.cpu_count() or 1) if device.type == "cuda" else 0
