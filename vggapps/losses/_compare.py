"""Compare two pictures by several metrics: from files to numbers."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps._tables import html_table
from vggapps.errors import SettingsError
from vggapps.figures._overlay import difference_map
from vggapps.image import Picture, Source, comparable, open_pair
from vggapps.losses._comparison import Loss, Metric, available, get_metrics, measure, restricted, rounded
from vggapps.vgg._device import pick_device

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """The similarity of two pictures: printed as one line per metric, shown as a table in a notebook.

    >>> comparison = vggapps.compare("mine.png", "truth.png")                           # doctest: +SKIP
    >>> comparison.values["ssim"]                                                       # doctest: +SKIP
    0.9312

    Attributes:
        pictures: both pictures as compared, 1 × 3 × H × W in [0, 1].
        losses: the function of each metric.
        values: by metric; None if the pictures are too small for it.
    """

    pictures: tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 3 h w"]]
    losses: Mapping[Metric, Loss]
    values: Mapping[str, float | None]

    def heat_map(self, metric: str | None = None) -> Picture:
        """A heat map of the differences, from dark blue to yellow (largest), over the first picture in grey.

        Args:
            metric: the metric of the map; by default the first one compared that has a map.

        Returns:
            The heat map; its ``settings`` hold the metric and the value shown as yellow.

        Raises:
            SettingsError: the metric has no map or was not compared, or none of the metrics has a map.
        """
        drawn = {one.name: loss for one, loss in self.losses.items() if one.has_map}
        name = metric or next(iter(drawn), "")
        if name not in drawn:
            known = ", ".join(drawn)
            raise SettingsError(
                f"{name} has no map here" if name else "none of these metrics has a map",
                f"choose one of {known}" if known else "also compare by perceptual or lpips",
            )
        x, y = self.pictures
        with torch.no_grad():
            picture, peak = difference_map(x, drawn[name](x, y, map=True))
        return Picture(picture.cpu(), name=f"{name} map", settings={"map_of": name, "yellow": peak})

    def __repr__(self) -> str:
        return "\n".join(lines(list(self.losses), self.values, self._side))

    def _repr_html_(self) -> str:
        """A table in a notebook."""
        values, side = self.values, self._side
        rows = [(one.title, one.text(values[one.name]), meaning(one, values, side)) for one in self.losses]
        return html_table(("metric", "value", ""), rows)

    @property
    def _side(self) -> int:
        return min(self.pictures[0].shape[2:])


def lines(metrics: Sequence[Metric], values: Mapping[str, float | None], side: int | None = None) -> list[str]:
    """The values of one pair, one line per metric; ``side`` is the pictures' shorter side in pixels."""
    width = max(len(metric.title) for metric in metrics)
    return [
        f"{metric.title:<{width}}  {metric.text(values[metric.name]):>8}  {meaning(metric, values, side)}"
        for metric in metrics
    ]


def meaning(metric: Metric, values: Mapping[str, float | None], side: int | None = None) -> str:
    """Which way is better, or why there is no value."""
    if values[metric.name] is None:
        return f"needs {metric.side} pixels a side" if side is not None and side < metric.side else "not measured"
    return "lower is better" if metric.lower_is_better else "higher is better"


def compare(
    a: Source,
    b: Source,
    metric: str | Sequence[str] = (),
    *,
    size: int | None = None,
    scale_to_a: bool = False,
    y_channel: bool = False,
    crop_border: int = 0,
    device: str = "auto",
) -> Comparison:
    """Measure the similarity of two pictures, as ``vggapps compare`` does.

    >>> vggapps.compare("mine.png", "truth.png", ["lpips", "psnr"])                     # doctest: +SKIP
    LPIPS (alex, 0.1)    0.0721  lower is better
    PSNR (dB)             31.48  higher is better

    Args:
        a: a file, a :class:`~vggapps.image.Picture`, a Pillow image, an array or a tensor; transparency becomes white.
        b: the second picture, of the same size.
        metric: names of metrics; by default all that need no download.
        size: scale both down first, to this longer side in pixels.
        scale_to_a: scale B to the size of A if the sizes differ: bicubic, antialiased.
        y_channel: PSNR and SSIM of luma only (BT.601, 16 to 235), as papers on super-resolution report them.
        crop_border: pixels to leave out at each border, for PSNR and SSIM.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        PictureError: a picture can't be read.
        SettingsError: the sizes differ, there is no such metric, or the pictures are too small for a requested metric.
        WeightsError: a metric's weights are not available.
        OutOfMemoryError: the pictures are too large for a metric.
    """
    named = [metric] if isinstance(metric, str) else list(metric)
    metrics = get_metrics(named or available())
    if y_channel or crop_border:
        metrics = restricted(metrics, y_channel=y_channel, crop_border=crop_border)
    where = pick_device(device)
    pair = open_pair(a, b, longer_side=size, scale_to_a=scale_to_a)
    for picture in pair:
        for note in picture.notes:
            log.warning("%s: %s", picture.name, note)
    x, y = (one.to(where) for one in comparable(*pair, scale_to_a=scale_to_a))
    losses = {one: one.make(where) for one in metrics}
    found = measure(losses, x, y, needed=named)
    for error in found.errors.values():
        raise error
    return Comparison((x, y), losses, found.values)


@dataclass(frozen=True)
class Summary:
    """One metric over many pairs.

    Attributes:
        mean: of the finite values, as one equal pair has an infinite PSNR; infinite if all are.
        median: of all values.
        worst: of all values.
        at: the index of the worst.
        count: pairs that have a value.
        infinite: pairs with an infinite value.
    """

    mean: float
    median: float
    worst: float
    at: int
    count: int
    infinite: int


def summarize(rows: Sequence[Mapping[str, float | None]]) -> dict[str, Summary]:
    """Statistics by metric of the values that ``measure`` gave for each pair; pairs without a value are left out."""
    found = {}
    for metric in get_metrics(rows[0]) if rows else ():
        values = {index: value for index, row in enumerate(rows) if (value := row[metric.name]) is not None}
        if not values:
            continue
        finite = [value for value in values.values() if math.isfinite(value)]
        at = (max if metric.lower_is_better else min)(values, key=values.__getitem__)
        found[metric.name] = Summary(
            mean=rounded(fmean(finite or values.values())),
            median=rounded(median(values.values())),
            worst=values[at],
            at=at,
            count=len(values),
            infinite=len(values) - len(finite),
        )
    return found
