"""Activations of a layer for one picture: maps of its strongest channels, and icons of what each position represents.

The grid of icons is from C. Olah et al., The Building Blocks of Interpretability, Distill 2018. Also the filters of the
first convolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.figures._overlay import colors_of
from vggapps.figures._sheet import Bounds, contact_sheet, manifest, mosaic, short_number
from vggapps.image import Picture, resize, rgb_of
from vggapps.objectives._objective import direction
from vggapps.optimize._step import last
from vggapps.vgg._receptive_field import TRAINING_SIDE
from vggapps.vgg._wrapped import as_network
from vggapps.visualization._render import visualize_steps
from vggapps.visualization._settings import VisualizeSettings

ICONS = 16  # optimized as one batch
FAINTEST = 0.1  # smallest share of a cell's area that an icon covers, so that it stays visible
POWER = 2.0  # of the cosine in an icon's objective: suppresses features of other directions


@dataclass(frozen=True)
class ChannelActivation:
    """The activation of one channel for one picture.

    Attributes:
        channel: its index.
        maximum: over positions.
        mean: over positions.
        row: of the maximum.
        column: of the maximum.
    """

    channel: int
    maximum: float
    mean: float
    row: int
    column: int


def shorter_side(network: nn.Module) -> int:
    """The shorter side in pixels to which pictures are scaled: that of the crops on which a VGG was trained, or 224."""
    convention = as_network(network).convention
    return TRAINING_SIDE if convention is None else convention.crop


@torch.inference_mode()
def maps_of(network: nn.Module, layer: str, image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "c h2 w2"]:
    """A layer's output for one picture, float32 on the CPU; 1 × 1 positions for a layer without positions."""
    image = image if as_network(network).convention is None else rgb_of(image)
    maps = as_network(network).eval_features(image.to(as_network(network).device), (layer,))[layer][0].float().cpu()
    return maps if maps.ndim == 3 else maps.flatten()[:, None, None]


def strongest(maps: Float[Tensor, "c h w"], count: int = 16) -> list[ChannelActivation]:
    """The channels with the largest maxima, in descending order; ties by index.

    Raises:
        SettingsError: ``count`` is below 1.
    """
    if count < 1:
        raise SettingsError(f"the {count} strongest channels", "ask for at least one")
    peaks, places = maps.flatten(1).max(1)
    order = peaks.sort(descending=True, stable=True).indices[:count].tolist()
    means, width = maps.mean((1, 2)), maps.shape[2]
    return [ChannelActivation(c, float(peaks[c]), float(means[c]), *divmod(int(places[c]), width)) for c in order]


def map_picture(
    map_: Float[Tensor, "h w"], size: tuple[int, int], scale: float | None = None
) -> Float[Tensor, "1 3 h2 w2"]:
    """A channel's map in plasma colours from 0 to ``scale``, by default its maximum; positions are squares."""
    top = float(map_.max()) if scale is None else scale
    shown = (map_ / max(top, torch.finfo(map_.dtype).tiny)).clamp(0, 1)
    return colors_of(F.interpolate(shown[None, None], size=size, mode="nearest-exact")[0, 0])


def map_sheet(
    image: Float[Tensor, "1 3 h w"], maps: Float[Tensor, "c h2 w2"], layer: str, count: int = 16, *, common: bool = True
) -> tuple[Picture, list[dict[str, object]]]:
    """A contact sheet of a picture and the maps of its strongest channels, labelled with index and maximum.

    Args:
        image: the picture.
        maps: the layer's output for it.
        layer: its name.
        count: number of channels.
        common: use the strongest channel's scale for all maps, instead of one scale per map.

    Returns:
        The sheet, and for each map ``channel``, ``max``, ``mean``, ``row`` and ``column`` of the maximum, and its
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


def average_cells(maps: Float[Tensor, "c h w"], most: int = 8) -> Float[Tensor, "c h2 w2"]:
    """Maps averaged to a grid of at most ``most`` cells per side.

    Raises:
        SettingsError: ``most`` is below 1.
    """
    if most < 1:
        raise SettingsError(f"a grid of {most} cells per side", "use at least one")
    height, width = maps.shape[1:]
    shrunk = min(1.0, most / max(height, width))
    return F.adaptive_avg_pool2d(maps, (max(1, round(height * shrunk)), max(1, round(width * shrunk))))


def visualize_vectors(
    vectors: Sequence[Float[Tensor, " c"]], layer: str, network: nn.Module, settings: VisualizeSettings
) -> Iterator[Float[Tensor, "1 3 s s"]]:
    """For each vector of activations a small picture that is optimized for this direction in the layer.

    Args:
        vectors: one value for each of the layer's channels.
        layer: its name.
        network: in inference mode.
        settings: of the pictures. Each batch of sixteen has its own seed.
    """
    for start in range(0, len(vectors), ICONS):
        objectives = [direction(layer, F.normalize(v, dim=0), power=POWER) for v in vectors[start : start + ICONS]]
        steps = visualize_steps(objectives, settings, network=network, seed=settings.seed + start)
        yield from torch.split(last(steps).image(), 1)


def places_sheet(
    image: Float[Tensor, "1 3 h w"],
    made: Sequence[Float[Tensor, "1 3 s s"]],
    cells: Float[Tensor, "c h2 w2"],
    layer: str,
) -> tuple[Picture, list[dict[str, object]]]:
    """A picture next to the grid of icons ``made`` for its cells, row by row.

    Returns:
        The sheet, and for each cell ``row``, ``column``, the ``norm`` of its activations and its ``box`` on the sheet.
    """
    drawn, facts, boxes = cell_mosaic(made, cells)
    height = drawn.shape[2]
    beside = resize(image, (height, max(1, round(height * image.shape[3] / image.shape[2]))))
    tiles, labels = [beside, drawn], ["the picture", "what each position represents; larger is stronger"]
    title, largest = f"{layer}: what positions represent", max(*beside.shape[2:], *drawn.shape[2:])
    left, top, right, _ = manifest(tiles, labels, columns=2, title=title, largest=largest)["tiles"][1]["box"]
    factor = (right - left) // drawn.shape[3]  # tiny mosaics are enlarged
    placed = [
        {**fact, "box": [x + factor * y for x, y in zip((left, top, left, top), box, strict=True)]}
        for fact, box in zip(facts, boxes, strict=True)
    ]
    return contact_sheet(tiles, labels, 2, title, largest), placed


def cell_mosaic(
    made: Sequence[Float[Tensor, "1 3 s s"]], cells: Float[Tensor, "c h w"]
) -> tuple[Float[Tensor, "1 3 h2 w2"], list[dict[str, object]], list[Bounds]]:
    """Icons in the grid of their cells, their area scaled by the norm of the activations.

    Returns:
        The mosaic; for each cell ``row``, ``column`` and ``norm``; and its box.
    """
    norms = cells.norm(dim=0).flatten()
    strengths = (norms / norms.max().clamp_min(torch.finfo(norms.dtype).tiny)).clamp(FAINTEST, 1).tolist()
    side, columns = made[0].shape[3], cells.shape[2]
    places = [divmod(number, columns) for number in range(len(norms))]
    facts = [{"row": r, "column": c, "norm": norm} for (r, c), norm in zip(places, norms.tolist(), strict=True)]
    boxes = [(c * side, r * side, (c + 1) * side, (r + 1) * side) for r, c in places]
    return mosaic(made, columns, strengths), facts, boxes


def first_filters(network: nn.Module) -> Float[Tensor, "c 3 k k"]:
    """The filters of a network's first convolution as pictures on a common scale: grey is a weight of 0.

    The largest absolute weight is full colour. The filters of a VGG are shown for RGB input, whatever its convention;
    those of a network with grey input are grey.

    Raises:
        SettingsError: the network has no convolution with one or three input channels.
    """
    found = (one for one in network.modules() if isinstance(one, nn.Conv2d) and one.in_channels in (1, 3))
    first = next(found, None)
    if first is None:
        raise SettingsError(
            f"{type(network).__name__} has no convolution of RGB or grey input", "its filters can't be drawn"
        )
    weights = first.weight.detach().float().cpu().expand(-1, 3, -1, -1)
    if convention := as_network(network).convention:  # input is divided by std before the convolution
        weights = weights / torch.tensor(convention.std).view(3, 1, 1)
    return 0.5 + 0.5 * weights / weights.abs().max().clamp_min(torch.finfo(weights.dtype).tiny)


def filter_sheet(network: nn.Module) -> Picture:
    """The filters of :func:`first_filters` on a contact sheet, numbered."""
    filters = first_filters(network)
    return contact_sheet(list(filters), [str(n) for n in range(len(filters))], title="Filters of the first convolution")
