"""Numbers of comparisons, as people and programs read them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from vggapps.cli.pairs import Pair
from vggapps.cli.rows import Row, Values
from vggapps.errors import in_a_line

if TYPE_CHECKING:
    from vggapps.losses._comparison import Metric
    from vggapps.losses._settings import CompareSettings
    from vggapps.losses._summary import Summary


def print_list(metrics: Sequence[Metric], row: Row) -> None:
    """One pair: a line a metric, and which way is better."""
    from vggapps.losses._compare import lines

    for line in lines(metrics, row.values, min(row.size) if row.size else None):
        typer.echo(line)


def print_head(widths: Sequence[int], metrics: Sequence[Metric]) -> None:
    """Above the rows of many pairs: the metrics, and which way is better."""
    from vggapps.losses._comparison import METRICS

    for metric in metrics:
        if metric.title != METRICS[metric.name].title:
            typer.echo(f"{metric.name}: {metric.title}")
    print_row(widths, ["", *(metric.name for metric in metrics)])
    print_row(widths, ["better", *("lower" if metric.lower_is_better else "higher" for metric in metrics)])


def print_row(widths: Sequence[int], cells: Sequence[str]) -> None:
    """Negative widths are left-justified."""
    typer.echo("  ".join(f"%{width}s" % in_a_line(cell) for width, cell in zip(widths, cells, strict=True)))


def print_summary(
    widths: Sequence[int], summary: Mapping[str, Summary], rows: Sequence[Row], metrics: Sequence[Metric]
) -> None:
    """Below the rows of many pairs: their mean, median and worst, which pair that is, and what the mean leaves out."""
    for word in ("mean", "median", "worst"):
        print_row(widths, [word, *(m.text(getattr(summary.get(m.name), word, None)) for m in metrics)])
    worst = defaultdict(list)
    for name, found in summary.items():
        worst[rows[found.at].pair.name].append(name)
    for pair, names in worst.items():
        typer.echo(in_a_line(f"worst {', '.join(names)}: {pair}"))
    fewer = defaultdict(list)
    for metric in metrics:
        fewer[summary[metric.name].count if metric.name in summary else 0].append(metric.name)
    for count, names in fewer.items():
        if count < len(rows):
            typer.echo(f"{', '.join(names)}: measured for {count} of {len(rows)} pairs")
    for name, found in summary.items():
        if 0 < found.infinite < found.count:
            pairs = "1 equal pair" if found.infinite == 1 else f"{found.infinite} equal pairs"
            typer.echo(f"{name}: the mean leaves out {pairs}, of infinite {name}")


def print_json(row: Row, about: Mapping[str, Any]) -> None:
    """One pair as an object in a line, with what holds for all pairs."""
    from vggapps.image._pair import RESAMPLING

    scaled = row.scaled_from and {"from": row.scaled_from, "by": RESAMPLING}
    facts = {"a": row.pair.a, "b": row.pair.b, "size": row.size, "scaled": scaled, "map": row.map}
    typer.echo(json.dumps({**about, **facts, "values": _plain(row.values), "error": row.error}, allow_nan=False))


def print_json_summary(
    summary: Mapping[str, Summary], rows: Sequence[Row], alone: Sequence[Pair], beyond: int, about: Mapping[str, Any]
) -> None:
    """All pairs as an object in a line."""
    failed = sum(bool(row.errors) for row in rows)
    counts = {
        "pairs": len(rows) - failed,
        "failed": failed,
        "beyond": beyond,
        "alone": [one.a or one.b for one in alone],
    }
    numbers = {name: {**_plain(asdict(s)), "at": rows[s.at].pair[1:]} for name, s in summary.items()}
    typer.echo(json.dumps({**about, **counts, "metrics": numbers}, allow_nan=False))


@dataclass(frozen=True)
class Report:
    """What is printed of a comparison: a list for one pair, a table for many, or JSON.

    Attributes:
        metrics: what is measured.
        pairs: all that are compared.
        settings: of the comparison.
        many: whether a table is printed, and its summary.
        as_json: print JSON instead.
    """

    metrics: Sequence[Metric]
    pairs: Sequence[Pair]
    settings: CompareSettings
    many: bool
    as_json: bool

    def __post_init__(self) -> None:
        if self.many and not self.as_json:
            print_head(self.widths, self.metrics)

    @property
    def about(self) -> dict[str, Any]:
        """What holds for all pairs."""
        return {"schema": 1, "y_channel": self.settings.y_channel, "crop_border": self.settings.crop_border}

    @property
    def widths(self) -> list[int]:
        """Of the columns; negative widths are left-justified."""
        names = -max(6, *(len(in_a_line(pair.name)) for pair in self.pairs))
        return [names, *(max(8, len(metric.name)) for metric in self.metrics)]

    def row(self, row: Row) -> None:
        """Print one pair."""
        if self.as_json:
            print_json(row, self.about)
        elif self.many and row.is_measured:
            print_row(self.widths, [row.pair.name, *(m.text(row.values[m.name]) for m in self.metrics)])
        elif row.is_measured:
            print_list(self.metrics, row)

    def summary(self, found: Mapping[str, Summary], rows: Sequence[Row], alone: Sequence[Pair], beyond: int) -> None:
        """Print what all pairs come to."""
        if self.many and self.as_json:
            print_json_summary(found, rows, alone, beyond, self.about)
        elif self.many and found:
            print_summary(self.widths, found, rows, self.metrics)


def as_csv(names: Sequence[str], rows: Sequence[Row], alone: Sequence[Pair]) -> bytes:
    """A row for each pair, and for each picture without a partner; the last column tells what went wrong."""
    lines = io.StringIO()
    table = csv.writer(lines)
    table.writerow(["a", "b", *names, "error"])
    table.writerows([row.pair.a, row.pair.b, *row.values.values(), row.error] for row in rows)
    table.writerows([one.a, one.b, *[None] * len(names), "no partner"] for one in alone)
    return lines.getvalue().encode("utf-8", "surrogateescape")


def _plain(values: Values) -> dict[str, float | str | None]:
    """For JSON, which has neither infinite numbers nor NaN."""
    return {name: value if value is None or math.isfinite(value) else str(value) for name, value in values.items()}
