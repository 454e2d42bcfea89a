"""Numbers of comparisons, as people and programs read them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from vggapps.cli.pairs import Pair

if TYPE_CHECKING:
    from vggapps.losses.comparison import Metric, Summary

Values = Mapping[str, float | None]  # by metric; None where the pictures are too small for it


def text(metric: Metric, value: float | None) -> str:
    """A number with as many digits as its metric is read with."""
    return "-" if value is None else f"{value:.{metric.digits}f}"


def print_list(metrics: Sequence[Metric], values: Values) -> None:
    """One pair: a line a metric, and which way is better."""
    width = max(len(metric.title) for metric in metrics)
    for metric in metrics:
        meaning = "lower is better" if metric.lower_is_better else "higher is better"
        if values[metric.name] is None:
            meaning = f"needs {metric.side} pixels a side"
        typer.echo(f"{metric.title:<{width}}  {text(metric, values[metric.name]):>8}  {meaning}")


def print_row(widths: Sequence[int], cells: Sequence[str]) -> None:
    """Negative widths are left-justified."""
    typer.echo("  ".join(f"%{width}s" % cell for width, cell in zip(widths, cells, strict=True)))


def print_summary(
    widths: Sequence[int], summary: Mapping[str, Summary], pairs: Sequence[Pair], metrics: Sequence[Metric]
) -> None:
    """Below the rows of many pairs: their mean, median and worst, and which pair that is."""
    for word in ("mean", "median", "worst"):
        print_row(widths, [word, *(text(m, getattr(summary.get(m.name), word, None)) for m in metrics)])
    worst = defaultdict(list)
    for name, found in summary.items():
        worst[pairs[found.at].name].append(name)
    for pair, names in worst.items():
        typer.echo(f"worst {', '.join(names)}: {pair}")


def plain(values: Values) -> dict[str, float | str | None]:
    """For JSON, which has no infinite number."""
    return {name: "inf" if value == math.inf else value for name, value in values.items()}
