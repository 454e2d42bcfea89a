"""What a layer makes of one picture: the maps of its strongest channels, and what each place means to it.

C. Olah et al., The Building Blocks of Interpretability, Distill 2018, has the grid of places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.figures._colors import colors_of
from vggapps.figures._mosaic import mosaic
from vggapps.figures._sheet import Bounds, contact_sheet, manifest, short_number
from vggapps.image import Picture, resize, rgb_of
from vggapps.objectives._objective import direction
from vggapps.optimize._step import last
from vggapps.vgg._any import as_network
from vggapps.visualization._render import visualize_steps
from vggapps.visualization._settings import VisualizeSettings

ICONS = 16  # that are made together
SHORTER_SIDE = 224  # pixels: pictures are scaled to it and stay rectangular
FAINTEST = 0.1  # of a cell's area is covered at least, so that one sees that there is something
POWER = 2.0  # of the cosine in an icon's objective: what points elsewhere is held back


@dataclass(frozen=True)
class Activation:
    """One channel in one picture.

    Attributes:
        channel: its index.
        maximum: over positions.
        mean: over positions.
        row: where the maximum is.
        column: the same.
    """

    channel: int
    maximum: float
    mean: float
    row: int
    column: int


@torch.inference_mode()
def maps_of(network: nn.Module, layer: str, image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "c h2 w2"]:
    """A layer's output for one picture, float32, on the CPU; one position where the layer has none."""
    image = image if as_network(network).convention is None else rgb_of(image)
    maps = as_network(network).look(image.to(as_network(network).device), (layer,))[layer][0].float().cpu()
    return maps if maps.ndim == 3 else maps.flatten()[:, None, None]


def strongest(maps: Float[Tensor, "c h w"], count: int = 16) -> list[Activation]:
    """The channels with the largest maxima, the strongest first; of equals that with the lower index.

    Raises:
        SettingsError: less than one is asked for.
    """
    if count < 1:
        raise SettingsError(f"the {count} strongest channels", "ask for at least one")
    peaks, places = maps.flatten(1).max(1)
    order = peaks.sort(descending=True, stable=True).indices[:count].tolist()
    means, width = maps.mean((1, 2)), maps.shape[2]
    return [Activation(c, float(peaks[c]), float(means[c]), *divmod(int(places[c]), width)) for c in order]


def map_picture(
    map_: Float[Tensor, "h w"], size: tuple[int, int], scale: float | None = None
) -> Float[Tensor, "1 3 h2 w2"]:
    """A channel's map in colours, from dark blue (0 and less) over purple and orange to yellow, positions as squares.

    Args:
        map_: of one channel.
        size: (height, width) of the picture.
        scale: what is yellow; None for the map's own maximum.
    """
    top = float(map_.max()) if scale is None else scale
    shown = (map_ / max(top, torch.finfo(map_.dtype).tiny)).clamp(0, 1)
    return colors_of(F.interpolate(shown[None, None], size=size, mode="nearest-exact")[0, 0])


def map_sheet(
    image: Float[Tensor, "1 3 h w"], maps: Float[Tensor, "c h2 w2"], layer: str, count: int = 16, *, common: bool = True
) -> tuple[Picture, list[dict[str, object]]]:
    """A picture and the maps of the strongest channels on a contact sheet, labelled with index and maximum.

    Args:
        image: the picture.
        maps: the layer's output for it.
        layer: its name.
        count: of channels.
        common: one scale for all maps, the strongest's; else each its own.

    Returns:
        The sheet, and of each map ``channel``, ``max``, ``mean``, ``row`` and ``column`` of the maximum, and its
        ``box`` on the sheet.
    """
    found = strongest(maps, count)
    scale, size = found[0].maximum if common else None, (image.shape[2], image.shape[3])
    tiles = [image, *(map_picture(maps[one.channel], size, scale) for one in found)]
    labels = ["the picture\n", *(f"{layer}:{one.channel}\n{short_number(one.maximum)}" for one in found)]
    title = f"{layer}: the strongest of {len(maps)} channels"
    known = [{"channel": o.channel, "max": o.maximum, "mean": o.mean, "row": o.row, "column": o.column} for o in found]
    listed = manifest(tiles, labels, [{}, *known], title=title)["tiles"][1:]
    facts = [{name: value for name, value in one.items() if name != "label"} for one in listed]
    return contact_sheet(tiles, labels, title=title), facts


def cells_of(maps: Float[Tensor, "c h w"], most: int = 8) -> Float[Tensor, "c h2 w2"]:
    """Positions averaged until there are at most so many a side.

    Raises:
        SettingsError: less than one is asked for.
    """
    if most < 1:
        raise SettingsError(f"a grid of {most} cells a side", "ask for at least one")
    height, width = maps.shape[1:]
    shrunk = min(1.0, most / max(height, width))
    return F.adaptive_avg_pool2d(maps, (max(1, round(height * shrunk)), max(1, round(width * shrunk))))


def visualize_vectors(
    vectors: Sequence[Float[Tensor, " c"]], layer: str, network: nn.Module, settings: VisualizeSettings
) -> Iterator[Float[Tensor, "1 3 s s"]]:
    """For each vector of activations a small picture of what it means: what has the layer point that way.

    Args:
        vectors: of the layer's channels.
        layer: whose.
        network: in inference mode.
        settings: of the pictures. Each batch of sixteen starts from a seed of its own.
    """
    for start in range(0, len(vectors), ICONS):
        wanted = [direction(layer, F.normalize(v, dim=0), power=POWER) for v in vectors[start : start + ICONS]]
        now = replace(settings, seed=settings.seed + start)
        yield from torch.split(last(visualize_steps(wanted, now, network=network)).image(), 1)


def places_sheet(
    image: Float[Tensor, "1 3 h w"],
    made: Sequence[Float[Tensor, "1 3 s s"]],
    cells: Float[Tensor, "c h2 w2"],
    layer: str,
) -> tuple[Picture, list[dict[str, object]]]:
    """A picture, and beside it what each of its places means to a layer.

    Args:
        image: the picture.
        made: an icon for each cell, row by row.
        cells: the activations that the icons were made for.
        layer: its name.

    Returns:
        The sheet, and of each cell ``row``, ``column``, the ``norm`` of its activations and its ``box`` on the sheet.
    """
    drawn, facts, boxes = cell_mosaic(made, cells)
    height = drawn.shape[2]
    beside = resize(image, (height, max(1, round(height * image.shape[3] / image.shape[2]))))
    tiles, labels = [beside, drawn], ["the picture", "what each place means to the layer; larger is stronger"]
    title, largest = f"{layer}: what places mean", max(*beside.shape[2:], *drawn.shape[2:])
    left, top, right, _ = manifest(tiles, labels, columns=2, title=title, largest=largest)["tiles"][1]["box"]
    factor = (right - left) // drawn.shape[3]  # that a tiny one is enlarged by
    placed = [
        {**fact, "box": [x + factor * y for x, y in zip((left, top, left, top), box, strict=True)]}
        for fact, box in zip(facts, boxes, strict=True)
    ]
    return contact_sheet(tiles, labels, 2, title, largest), placed


def cell_mosaic(
    made: Sequence[Float[Tensor, "1 3 s s"]], cells: Float[Tensor, "c h w"]
) -> tuple[Float[Tensor, "1 3 h2 w2"], list[dict[str, object]], list[Bounds]]:
    """Icons at their cells' places, the larger the stronger the activations there.

    Returns:
        The picture, of each cell ``row``, ``column`` and the ``norm`` of its activations, and its box.
    """
    norms = cells.norm(dim=0).flatten()
    strengths = (norms / norms.max().clamp_min(torch.finfo(norms.dtype).tiny)).clamp(FAINTEST, 1).tolist()
    side, columns = made[0].shape[3], cells.shape[2]
    facts: list[dict[str, object]] = []
    boxes: list[Bounds] = []
    for number, norm in enumerate(norms.tolist()):
        row, column = divmod(number, columns)
        boxes.append((column * side, row * side, (column + 1) * side, (row + 1) * side))
        facts.append({"row": row, "column": column, "norm": norm})
    return mosaic(made, columns, strengths), facts, boxes
