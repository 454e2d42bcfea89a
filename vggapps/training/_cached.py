"""Training the last layers on maps of a frozen layer, which are computed once for each picture."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import BFloat16, Float32
from torch import Tensor, nn

from vggapps._memory import available_memory
from vggapps.errors import PictureError, SettingsError, argument
from vggapps.training._batches import Batch, PictureBatches
from vggapps.training._network import evaluating
from vggapps.vgg._device import pick_dtype
from vggapps.vgg._facts import layer_facts
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import layer_names

_BYTES = 2  # of a number in bfloat16
_SHARE = 3  # maps that need more than this part of the available memory are kept in a file


def tail_of(network: VGG, layer: str) -> nn.Sequential:
    """The layers of a network after ``layer``, which take its map.

    They are the network's own modules: parameters are shared and have the same names, ``conv5_1.weight``.

    Raises:
        SettingsError: there is no such layer.
    """
    network.check((layer,))
    children = list(network.named_children())
    start = next(index for index, (name, _) in enumerate(children, 1) if name == layer)
    return nn.Sequential(OrderedDict(children[start:]))


def bytes_for(network: VGG, layer: str, size: int, count: int) -> int:
    """The memory or disk space of the maps of a layer.

    Args:
        network: to which the layer belongs.
        layer: a layer before the head.
        size: side of the pictures in pixels.
        count: number of maps.

    Raises:
        SettingsError: there is no such layer, or it has no map.
    """
    _check(network, layer)
    facts = next(fact for fact in layer_facts(network.plan, size, "none") if fact.name == layer)
    return _BYTES * count * math.prod(facts.shape)


class CachedBatches:
    """The batches of a :class:`PictureBatches` with the maps of a layer in the place of the pictures.

    Order, classes, names, unreadable pictures, ranks, balance and mixing are those of ``batches``; MixUp and CutMix
    mix maps. Half of the maps, chosen at random for each picture and epoch, are those of the mirror image.

    All maps are computed once, in evaluation mode, by :meth:`fill` or when the first batch is needed, and kept as
    bfloat16: in memory if they need at most a third of what is available, else in a temporary file, which is deleted
    with the object. Each rank keeps all of them.

    Args:
        batches: of pictures that are not augmented.
        network: on its device; the layers up to ``layer`` must not change any more.
        layer: a layer before the head.
        mirror: whether to use mirror images.
        dtype: of the convolutions, ``auto``, ``float32`` or ``bfloat16``.

    Raises:
        SettingsError: there is no such layer, or it has no map.
    """

    def __init__(
        self, batches: PictureBatches, network: VGG, layer: str, *, mirror: bool = True, dtype: str = "auto"
    ) -> None:
        _check(network, layer)
        self.network, self.layer, self.mirror, self.dtype = network, layer, mirror, dtype
        self._pictures, self._is_full = batches, False
        self._batches = copy(batches)

    @property
    def pictures(self) -> int:
        """Number of pictures whose maps are kept."""
        return len(self._pictures.pictures)

    def fill(self) -> Iterator[int]:
        """Compute the maps, if they are not there yet; yields the number of pictures that are done.

        Raises:
            PictureError: the disk is too small, or no picture can be read.
        """
        if self._is_full:
            return
        batches = self._pictures
        # With its index as its class, a picture can be found again in a batch from which others are missing.
        numbered = replace(batches.pictures, targets=tuple(range(len(batches.pictures))))
        each = PictureBatches(
            numbered, batches.transform, batches.size, classes=len(numbered), shuffle=False, workers=batches.workers
        )
        maps: Tensor | None = None
        left, reasons = set(numbered.targets), list[str]()
        convolutions, done = pick_dtype(self.dtype, self.network.device), 0
        for batch in each:
            reasons += batch.unreadable
            done += len(batch.images) + len(batch.unreadable)
            if len(batch.images):
                views = (batch.images, batch.images.flip(3)) if self.mirror else (batch.images,)
                found = torch.stack([_map(self.network, self.layer, view, convolutions) for view in views], 1)
                if maps is None:
                    maps = _room((len(numbered), *found.shape[1:]), self.layer, batches.world)
                maps[batch.targets] = found
                left -= set(batch.targets.tolist())
            yield done
        if maps is None:
            raise PictureError(f"none of the {len(numbered)} pictures can be read", "check the paths of the data set")
        kept: Any = _Kept(maps, dict(zip(sorted(left), reasons, strict=True)))
        self._batches.pictures = replace(batches.pictures, open=kept)
        self._batches.transform, self._batches.workers = _one_view, 0
        self._is_full = True

    def in_order(self) -> CachedBatches:
        """The same maps, each picture once, in order and without mixing."""
        for _ in self.fill():
            pass
        other = copy(self)
        other._batches = self._batches.in_order()
        return other

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return self.epoch(0)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch ``start`` on; their ``images`` are float32 maps, n × c × h × w."""
        for _ in self.fill():
            pass
        return self._batches.epoch(number, start)


@dataclass(frozen=True, eq=False)
class _Kept:
    """The maps of pictures and of their mirror images, by the index of the picture."""

    maps: BFloat16[Tensor, "n views c h w"]
    unreadable: dict[int, str]

    def __call__(self, index: int) -> BFloat16[Tensor, "views c h w"]:
        if reason := self.unreadable.get(index):
            raise PictureError(reason)
        return self.maps[index]


def _one_view(views: Any) -> Float32[Tensor, "c h w"]:
    """One of the maps of a picture, at random, by torch's default generator."""
    return views[torch.randint(len(views), ())].float()  # type: ignore[no-any-return]


def _map(network: VGG, layer: str, images: Tensor, dtype: torch.dtype) -> BFloat16[Tensor, "n c h w"]:
    images = images.to(network.device).contiguous(memory_format=torch.channels_last)
    with evaluating(network), torch.autocast(network.device.type, dtype, enabled=dtype != torch.float32):
        return network.features(images, (layer,))[layer].bfloat16().cpu()


def _room(shape: tuple[int, ...], layer: str, world: int) -> BFloat16[Tensor, "n views c h w"]:
    """Memory for the maps of a layer, or a temporary file; as much is needed for each of ``world`` processes."""
    needed = world * _BYTES * math.prod(shape)
    if needed <= available_memory()[0] / _SHARE:
        return torch.empty(shape, dtype=torch.bfloat16)
    folder = tempfile.gettempdir()
    if needed > (free := shutil.disk_usage(folder).free):
        raise PictureError(
            f"the maps of {layer} need {needed / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB free",
            f"free some space, or compute them in each epoch: {argument('cache', False)}",
        )
    with tempfile.TemporaryFile() as file:  # deleted with the map
        return torch.from_numpy(np.memmap(file, np.int16, "w+", shape=shape)).view(torch.bfloat16)


def _check(network: VGG, layer: str) -> None:
    network.check((layer,))
    if layer not in layer_names(network.plan):
        raise SettingsError(
            f"{layer} is a layer of the head: it has no map to keep",
            f"use a layer before the head, or set {argument('cache', False)}",
        )
