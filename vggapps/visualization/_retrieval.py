"""The natural pictures that excite a channel most, and what of them it saw.

As in M. Zeiler, R. Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, figure 2: for each channel
the nine strongest activations over many pictures, and the patch of the picture that each of them saw.
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
from vggapps.objectives._text import check_layer
from vggapps.visualization._activations import SHORTER_SIDE, maps_of
from vggapps.visualization._fields import sees_of


@dataclass(frozen=True)
class Exemplar:
    """A picture that excites a channel, and where.

    Attributes:
        path: the picture.
        activation: the channel's largest in this picture.
        row: where in the layer's map it is.
        column: the same.
        box: what that position sees, in pixels of the picture as it was shown.
        size: (height, width) of the picture as it was shown, its shorter side scaled to 224.
    """

    path: str
    activation: float
    row: int
    column: int
    box: Bounds
    size: tuple[int, int]


@dataclass(frozen=True)
class Exemplars:
    """What was found in a folder.

    Attributes:
        by_channel: the strongest first; a channel that no picture moves has none.
        pictures: how many were looked at.
        failed: paths of those that can't be read.
    """

    by_channel: Mapping[int, Sequence[Exemplar]]
    pictures: int
    failed: Sequence[str] = field(default=())


@dataclass(frozen=True, eq=False)
class _Best:
    """The strongest activations so far of each channel, the first column the strongest."""

    values: Float[Tensor, "c k"]
    pictures: Int[Tensor, "c k"]
    positions: Int[Tensor, "c k"]

    def with_picture(self, number: int, maps: Float[Tensor, "c h w"], top: int) -> _Best:
        value, position = maps.flatten(1).max(1, keepdim=True)
        values = torch.cat([self.values, value], 1)
        # Stable, so that of equals the earlier picture stays in front.
        order = values.sort(dim=1, descending=True, stable=True).indices[:, :top]
        pictures = torch.cat([self.pictures, torch.full_like(position, number)], 1)
        positions = torch.cat([self.positions, position], 1)
        return _Best(*(all_.gather(1, order) for all_ in (values, pictures, positions)))


def exemplars(
    network: nn.Module,
    layer: str,
    paths: Iterable[str],
    channels: Iterable[int] | None = None,
    top: int = 9,
) -> Exemplars:
    """The pictures with the largest activations of channels: of each picture its one strongest position.

    All channels are looked at at once, in one pass over the pictures; what is kept are ``top`` numbers for each.

    Args:
        network: takes pictures in [0, 1]; ours or any module in inference mode.
        layer: ``conv4_3``; in a module a path of ``named_modules()``.
        paths: pictures. Those that can't be read are told and left out.
        channels: which, in this order; None for all.
        top: how many pictures for each.

    Raises:
        SettingsError: no such layer or channel.
        PictureError: no picture can be read.
    """
    known = check_layer(network, layer)
    wanted = None if channels is None else list(dict.fromkeys(channels))
    if known is not None:
        _check_channels(layer, wanted, known)
    if top < 1:
        raise SettingsError(f"the {top} strongest pictures", "ask for at least one")
    best: _Best | None = None
    seen: list[tuple[str, torch.Size, int]] = []  # path, size, columns of the map
    failed: list[str] = []
    for path, image in scaled_pictures(paths, SHORTER_SIDE):
        if image is None:
            failed.append(path)
            continue
        maps = maps_of(network, layer, image)
        if best is None:
            _check_channels(layer, wanted, len(maps))
            wanted = list(range(len(maps))) if wanted is None else wanted
            none = torch.empty(len(wanted), 0)
            best = _Best(none, none.long(), none.long())
        best = best.with_picture(len(seen), maps[wanted], top)
        seen.append((path, image.shape[2:], maps.shape[2]))
    if best is None or wanted is None:
        raise PictureError("there is no picture that can be read", "give photographs")
    sees = sees_of(network, layer)

    def exemplar(value: float, number: int, position: int) -> Exemplar:
        path, (height, width), columns = seen[number]
        row, column = divmod(position, columns)
        return Exemplar(path, value, row, column, sees(row, column, (height, width)), (height, width))

    rows = zip(best.values.tolist(), best.pictures.tolist(), best.positions.tolist(), strict=True)
    found = {
        channel: [exemplar(*one) for one in zip(*row, strict=True) if one[0]]
        for channel, row in zip(wanted, rows, strict=True)
    }
    return Exemplars(found, len(seen), tuple(failed))


def patches_of(found: Iterable[Exemplar]) -> dict[Exemplar, Float[Tensor, "1 3 h w"]]:
    """What the positions of exemplars see: patches of the pictures, at the size at which they were shown."""
    by_path: dict[str, list[Exemplar]] = {}
    for one in found:
        by_path.setdefault(one.path, []).append(one)
    patches = {}
    for path, image in scaled_pictures(by_path, SHORTER_SIDE):
        if image is None:  # it could be read before
            raise PictureError(f"{path} has gone while it was looked at", "begin again")
        for one in by_path[path]:
            left, top, right, bottom = one.box
            patches[one] = image[:, :, top:bottom, left:right].clone()
    return patches


def captions(found: Exemplars) -> dict[Exemplar, tuple[str, ...]]:
    """What is written below each: its activation, its picture's name and, if it shows less than others, why."""
    every = [one for best in found.by_channel.values() for one in best]
    largest = max((side for one in every for side in _size(one)), default=0)

    def lines(one: Exemplar) -> tuple[str, ...]:
        cut = min(_size(one)) < largest and _size(one) != one.size
        return short_number(one.activation), Path(one.path).name, *["at the border"] * cut

    return {one: lines(one) for one in every}


def _size(one: Exemplar) -> tuple[int, int]:
    """Height and width of what it saw."""
    left, top, right, bottom = one.box
    return bottom - top, right - left


def exemplar_sheet(found: Exemplars, layer: str, top: int = 9) -> Picture:
    """What was seen, on a contact sheet: a row for each channel, with activations and the names of the pictures.

    Args:
        found: as :func:`exemplars` gives it.
        layer: its name, for the labels.
        top: places in a row; those that no picture fills stay empty.
    """
    patches = patches_of(one for best in found.by_channel.values() for one in best)
    told = captions(found)
    tiles: list[Tensor | None] = []
    labels: list[str] = []
    for channel, best in found.by_channel.items():
        tiles += [patches[one] for one in best] + [None] * (top - len(best))
        lines = [told[one] for one in best] + [()] * (top - len(best))
        names = [f"{layer}:{channel}"] + [""] * (top - 1)
        labels += ["\n".join([name, *below]) for name, below in zip(names, lines, strict=True)]
    return contact_sheet(tiles, labels, top, f"{layer}: the strongest in {found.pictures} pictures")


def _check_channels(layer: str, channels: Sequence[int] | None, known: int) -> None:
    for channel in channels or ():
        if not 0 <= channel < known:
            raise SettingsError(f"{layer} has no channel {channel}", f"the last one is {known - 1}")
