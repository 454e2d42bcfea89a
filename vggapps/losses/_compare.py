"""How alike two pictures are, by every measure that is here: from files to numbers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps._tables import html_table
from vggapps.errors import SettingsError
from vggapps.figures._overlay import difference_map
from vggapps.image import Picture, Source, comparable, open_pair
from vggapps.losses._comparison import Loss, Metric, available, get_metrics, measure, restricted
from vggapps.vgg._fast import pick_device

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Numbers for how alike two pictures are.

    It prints as a line for each metric, and is a table in a notebook.

    >>> comparison = vggapps.compare("mine.png", "truth.png")                           # doctest: +SKIP
    >>> comparison.values["ssim"]                                                       # doctest: +SKIP
    0.9312

    Attributes:
        pictures: the two, N × 3 × H × W in [0, 1], as they were compared.
        losses: what measured them.
        values: the numbers, by metric; None where the pictures are too small for one.
    """

    pictures: tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 3 h w"]]
    losses: Mapping[Metric, Loss]
    values: Mapping[str, float | None]

    def heat_map(self, metric: str | None = None) -> Picture:
        """Where the two differ: over the first picture in grey, from dark blue to yellow, which is the most.

        Args:
            metric: by which; by default the first of those compared that has a map.

        Returns:
            The drawing; its ``settings`` are the metric and the value of its yellow.

        Raises:
            SettingsError: that metric has no map, was not compared, or none of them has one.
        """
        drawn = {one.name: loss for one, loss in self.losses.items() if one.has_map}
        name = metric or next(iter(drawn), "")
        if name not in drawn:
            known = ", ".join(drawn)
            raise SettingsError(
                f"{name} has no map here" if name else "none of these metrics has a map",
                f"choose one of {known}" if known else "compare by perceptual or lpips, too",
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
    """One pair's numbers: a line a metric, and which way is better.

    Args:
        metrics: what was measured.
        values: the numbers, by name; None where there is none.
        side: pixels of the shorter side of what was compared, to say which metrics need more.
    """
    width = max(len(metric.title) for metric in metrics)
    return [
        f"{metric.title:<{width}}  {metric.text(values[metric.name]):>8}  {meaning(metric, values, side)}"
        for metric in metrics
    ]


def meaning(metric: Metric, values: Mapping[str, float | None], side: int | None = None) -> str:
    """Which way is better, or why there is no number."""
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
    """Measure how alike two pictures are, as ``vggapps compare`` does.

    >>> vggapps.compare("mine.png", "truth.png", ["lpips", "psnr"])                     # doctest: +SKIP
    LPIPS (alex, 0.1)    0.0721  lower is better
    PSNR (dB)             31.48  higher is better

    Args:
        a: a file, a :class:`~vggapps.image.Picture`, Pillow's, an array or a tensor; over white where transparent.
        b: what it is compared with, of the same size.
        metric: names of metrics; by default all that need no download.
        size: scale both down first, to this longer side in pixels.
        scale_to_a: scale B to the size of A, if it has another: bicubic, antialiased.
        y_channel: PSNR and SSIM of luma alone (BT.601, 16 to 235), as papers on super-resolution report them.
        crop_border: PSNR and SSIM without so many pixels at each border.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        PictureError: a picture can't be read.
        SettingsError: their sizes differ, there is no such metric, or the pictures are too small for one that is named.
        WeightsError: a metric's weights can't be had.
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
