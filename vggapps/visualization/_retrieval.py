"""Exemplars: the pictures with the strongest activations of a channel, and the patches in the receptive field.

As in M. Zeiler, R. Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, figure 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vggapps.datasets._reading import scaled_pictures
from vggapps.errors import PictureError, SettingsError
from vggapps.figures._sheet import Bounds, contact_sheet, short_number
from vggapps.image import Picture
from vggapps.vgg._wrapped import as_network
from vggapps.visualization._activations import maps_of, shorter_side


@dataclass(frozen=True)
class Exemplar:
    """A picture with a strong activation of a channel, and its position.

    Attributes:
        path: the picture.
        activation: the channel's maximum in this picture.
        row: of the maximum in the feature map.
        column: of the maximum in the feature map.
        box: receptive field of that position, in pixels of the scaled picture.
        size: (height, width) of the scaled picture, whose shorter side is the same for all.
    """

    path: str
    activation: float
    row: int
    column: int
    box: Bounds
    size: tuple[int, int]


@dataclass(frozen=True)
class Exemplars:
    """The exemplars of some channels.

    Attributes:
        by_channel: in descending order of activation; empty for a channel that no picture activates.
        pictures: number of pictures searched.
        failed: paths of pictures that can't be read.
    """

    by_channel: Mapping[int, Sequence[Exemplar]]
    pictures: int
    failed: Sequence[str] = field(default=())


@dataclass(frozen=True, eq=False)
class _Best:
    """The strongest activations of each channel so far, in descending order."""

    values: Float[Tensor, "c k"]
    pictures: Int[Tensor, "c k"]
    positions: Int[Tensor, "c k"]

    def with_picture(self, number: int, maps: Float[Tensor, "c h w"], top: int) -> _Best:
        value, position = maps.flatten(1).max(1, keepdim=True)
        values = torch.cat([self.values, value], 1)
        # Stable: ties keep the order of the pictures.
        order = values.sort(dim=1, descending=True, stable=True).indices[:, :top]
        pictures = torch.cat([self.pictures, torch.full_like(position, number)], 1)
        positions = torch.cat([self.positions, position], 1)
        return _Best(*(all_.gather(1, order) for all_ in (values, pictures, positions)))


def exemplars(
    network: nn.Module, layer: str, paths: Iterable[str], channels: Iterable[int] | None = None, top: int = 9
) -> Exemplars:
    """The pictures with the largest activations of each channel, at one position per picture.

    One pass over the pictures serves all channels; memory is ``top`` entries per channel.

    Args:
        network: takes pictures in [0, 1]; a VGG or any module in inference mode.
        layer: ``conv4_3``; for a module a path of ``named_modules()``.
        paths: pictures. Unreadable ones are reported and skipped.
        channels: which channels, in this order; by default all.
        top: number of pictures for each channel.

    Raises:
        SettingsError: no such layer or channel.
        PictureError: no picture can be read.
    """
    known = as_network(network).channels(layer)
    chosen = None if channels is None else list(dict.fromkeys(channels))
    if known is not None:
        _check_channels(layer, chosen, known)
    if top < 1:
        raise SettingsError(f"the {top} strongest pictures", "ask for at least one")
    best: _Best | None = None
    seen: list[tuple[str, torch.Size, int]] = []  # path, size, columns of the map
    failed: list[str] = []
    for path, image in scaled_pictures(paths, shorter_side(network)):
        if image is None:
            failed.append(path)
            continue
        maps = maps_of(network, layer, image)
        if best is None:
            _check_channels(layer, chosen, len(maps))
            chosen = list(range(len(maps))) if chosen is None else chosen
            none = torch.empty(len(chosen), 0)
            best = _Best(none, none.long(), none.long())
        best = best.with_picture(len(seen), maps[chosen], top)
        seen.append((path, image.shape[2:], maps.shape[2]))
    if best is None or chosen is None:
        raise PictureError("none of the pictures can be read", "give photographs")
    box_at = as_network(network).receptive_boxes(layer)

    def exemplar(value: float, number: int, position: int) -> Exemplar:
        path, (height, width), columns = seen[number]
        row, column = divmod(position, columns)
        return Exemplar(path, value, row, column, box_at(row, column, (height, width)), (height, width))

    rows = zip(best.values.tolist(), best.pictures.tolist(), best.positions.tolist(), strict=True)
    found = {
        channel: [exemplar(*one) for one in zip(*row, strict=True) if one[0]]
        for channel, row in zip(chosen, rows, strict=True)
    }
    return Exemplars(found, len(seen), tuple(failed))


def patches_of(found: Iterable[Exemplar]) -> dict[Exemplar, Float[Tensor, "1 3 h w"]]:
    """The patches in the boxes of exemplars, cropped from the scaled pictures."""
    found = list(found)
    by_path: dict[str, list[Exemplar]] = {}
    for one in found:
        by_path.setdefault(one.path, []).append(one)
    patches = {}
    for path, image in scaled_pictures(by_path, min((min(one.size) for one in found), default=1)):
        if image is None:  # it was readable before
            raise PictureError(f"{path} can no longer be read", "start again")
        for one in by_path[path]:
            left, top, right, bottom = one.box
            patches[one] = image[:, :, top:bottom, left:right].clone()
    return patches


def captions(found: Exemplars) -> dict[Exemplar, tuple[str, ...]]:
    """The lines below each exemplar: activation, file name and, if the border cuts its box, a remark."""
    every = [one for best in found.by_channel.values() for one in best]
    largest = max((side for one in every for side in _size(one)), default=0)

    def lines(one: Exemplar) -> tuple[str, ...]:
        cut = min(_size(one)) < largest and _size(one) != one.size
        return short_number(one.activation), Path(one.path).name, *["at the border"] * cut

    return {one: lines(one) for one in every}


def _size(one: Exemplar) -> tuple[int, int]:
    """Height and width of the box."""
    left, top, right, bottom = one.box
    return bottom - top, right - left


def exemplar_sheet(found: Exemplars, layer: str, top: int = 9) -> Picture:
    """A contact sheet of exemplars: a row of ``top`` for each channel, labelled with activations and file names."""
    patches = patches_of(one for best in found.by_channel.values() for one in best)
    lines_of = captions(found)
    tiles: list[Tensor | None] = []
    labels: list[str] = []
    for channel, best in found.by_channel.items():
        tiles += [patches[one] for one in best] + [None] * (top - len(best))
        lines = [lines_of[one] for one in best] + [()] * (top - len(best))
        names = [f"{layer}:{channel}"] + [""] * (top - 1)
        labels += ["\n".join([name, *below]) for name, below in zip(names, lines, strict=True)]
    return contact_sheet(tiles, labels, top, f"{layer}: the strongest in {found.pictures} pictures")


def _check_channels(layer: str, channels: Sequence[int] | None, known: int) -> None:
    for channel in channels or ():
        if not 0 <= channel < known:
            raise SettingsError(f"{layer} has no channel {channel}", f"the last one is {known - 1}")
