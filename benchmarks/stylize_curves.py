"""Distances over seconds, drawn by Matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean

from contest import Point
from neutral import NETWORKS


def draw(runs: Mapping[str, Mapping[str, Sequence[Point]]], file: Path) -> None:
    """A panel for each judge and distance; a line for a run, a dot for a contestant without steps.

    Args:
        runs: the points by contestant and pair. Means over pairs are geometric, point by point; a contestant that
            takes part in some pairs only is left out.
        file: of any format of Matplotlib's.
    """
    from matplotlib.figure import Figure

    count = max(map(len, runs.values()))
    figure = Figure(figsize=(13, 9), layout="constrained")
    panels = figure.subplots(2, len(NETWORKS), sharex=True, squeeze=False)
    for name, by_pair in runs.items():
        if len(by_pair) < count:
            continue
        means = [average(points) for points in zip(*by_pair.values(), strict=True)]
        seconds, *distances = zip(*means, strict=True)
        for number, values in enumerate(distances):
            form = "-" if len(values) > 1 else "o"
            axes = panels[number % 2][number // 2]
            (line,) = axes.plot(seconds, values, form, label=name)
            axes.plot(seconds[-1], values[-1], "o", color=line.get_color())
    for column, judge in enumerate(NETWORKS):
        for row, what in enumerate(("style", "content")):
            panels[row][column].set(title=f"{judge}: {what} distance", xscale="log")
            panels[row][column].grid(alpha=0.3, which="both")
        panels[0][column].set_yscale("log")
        panels[1][column].set(xlabel="seconds", ylim=(0, None))
    panels[0][0].legend()
    figure.suptitle(f"geometric mean of {count} pairs" if count > 1 else next(iter(next(iter(runs.values())))))
    figure.savefig(file, dpi=100)


def average(points: Sequence[Point]) -> list[float]:
    """Geometric means of the seconds and of each distance: half and double cancel."""
    return [geometric_mean(numbers) for numbers in zip(*(point.numbers for point in points), strict=True)]
