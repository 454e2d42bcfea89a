"""Contestants of style transfer, run alike: the same photo, painting and size, timed and judged by the same code."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from neutral import NETWORKS, Judge
from torch import Tensor

from vggapps import VGG
from vggapps.image import open_picture
from vggapps.painters import Painter, paint
from vggapps.style import StylizeSettings, stylize_steps

View = Callable[[], Tensor]  # shows the picture so far; called before the next one is asked for
Contestant = Callable[[Path, Path, int], Iterator[View]]  # of a photo, a painting and the longer side
LOOKS = 32  # at one run of ours, more closely at its beginning


@dataclass(frozen=True)
class Point:
    """Where a run is after some seconds: style and content distance by judge."""

    seconds: float
    distances: Mapping[str, tuple[float, float]]

    @property
    def numbers(self) -> list[float]:
        """Seconds, and the distances in the order of the judges."""
        return [self.seconds, *(number for pair in self.distances.values() for number in pair)]

    def better(self, other: Point, judge: str) -> bool:
        """Whether a judge finds both distances smaller."""
        return all(own < its for own, its in zip(self.distances[judge], other.distances[judge], strict=True))


class Jury:
    """Both judges for one photo and painting."""

    def __init__(self, content: Path, style: Path, size: int) -> None:
        self.photo, painting = open_picture(content, longer_side=size).rgb, open_picture(style).rgb
        self.judges = {name: Judge(self.photo, painting, network()) for name, network in NETWORKS.items()}

    def __call__(self, seconds: float, image: Tensor) -> Point:
        return Point(seconds, {name: judge(image) for name, judge in self.judges.items()})


def ours(settings: StylizeSettings, vgg: VGG) -> Contestant:
    """Style transfer by optimization, seen as if it were stopped after some steps."""

    def run(content: Path, style: Path, size: int) -> Iterator[View]:
        for step in stylize_steps(content, style, settings, vgg=vgg, size=size):
            if step.index in {math.ceil(step.total * (i / LOOKS) ** 1.5) for i in range(1, LOOKS + 1)}:
                yield step.full_image

    return run


def ours_before(settings: StylizeSettings, vgg: VGG) -> Contestant:
    """Style transfer as it was before there were qualities: 120 steps, on all layers, without a preconditioner."""

    def at(longer_side: int) -> list[int]:
        doublings = max(0, math.ceil(math.log2(longer_side / 512)))
        shares = [6.0, 4.0, 2.0, *(2 / 2**n for n in range(1, doublings + 1))]
        counts = [round(120 * share / sum(shares)) for share in shares]
        return [120 - sum(counts[1:]), *counts[1:]]

    def run(content: Path, style: Path, size: int) -> Iterator[View]:
        schedule = {settings.quality: SimpleNamespace(at=at, style=1.0)}
        with (
            mock.patch.dict("vggapps.style._schedule.SCHEDULES", schedule),
            mock.patch("vggapps.style._transfer.COARSE", math.inf),
            mock.patch("vggapps.style._transfer.CORNER", math.inf),
        ):
            yield from ours(settings, vgg)(content, style, size)

    return run


def painted(painter: Painter) -> Contestant:
    """A painter, on the styles that it was trained for, which are named like the files of the paintings."""

    def run(content: Path, style: Path, size: int) -> Iterator[View]:
        if style.stem in painter.styles:
            image = paint(painter, content, style.stem, size=size).rgb
            yield lambda: image

    return run


def timed(views: Iterator[View]) -> Iterator[tuple[float, View]]:
    """Each view with the seconds that the contestant has taken so far; those of the caller do not count."""
    seconds = 0.0
    while True:
        start = time.perf_counter()
        view = next(views, None)
        seconds += time.perf_counter() - start
        if view is None:
            return
        yield seconds, view


def judged(run: Iterator[View], jury: Jury, *, every: bool = False) -> tuple[list[Point], Tensor | None]:
    """The result as a point, or every view; and its picture. Nothing of a contestant that does not take part."""
    points, last = [], None
    for last in timed(run):
        if every:
            points.append(jury(last[0], last[1]()))
    if last is None:
        return [], None
    image = last[1]()
    return points or [jury(last[0], image)], image


def ratios(points: Sequence[tuple[Point, Point]]) -> list[list[float]]:
    """For seconds and each distance the first point of each pair relative to the second."""
    rows = [[own / its for own, its in zip(one.numbers, other.numbers, strict=True)] for one, other in points]
    return [list(column) for column in zip(*rows, strict=True)]
