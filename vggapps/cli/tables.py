"""The values of ``vggapps compare`` as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from vggapps.cli.pairs import Pair
from vggapps.cli.rows import Row, Values
from vggapps.errors import in_a_line

if TYPE_CHECKING:
    from vggapps.losses._compare import Summary
    from vggapps.losses._comparison import Metric
    from vggapps.losses._settings import CompareSettings


@dataclass
class Report:
    """Prints pairs as they are measured: a list for one pair, a table for many, or JSON.

    Attributes:
        metrics: what is measured.
        pairs: all pairs to compare.
        settings: of the comparison.
        many: print a table and its summary.
        as_json: print JSON instead.
        rows: the measured pairs.
    """

    metrics: Sequence[Metric]
    pairs: Sequence[Pair]
    settings: CompareSettings
    many: bool
    as_json: bool
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.many and not self.as_json:
            self._print_head()

    def add(self, row: Row) -> None:
        """Print a pair."""
        self.rows.append(row)
        if self.as_json:
            self._print_json(row)
        elif self.many and row.is_measured:
            self._print_cells([row.pair.name, *(m.text(row.values[m.name]) for m in self.metrics)])
        elif row.is_measured:
            from vggapps.losses._compare import lines

            for line in lines(self.metrics, row.values, min(row.size) if row.size else None):
                typer.echo(line)

    def end(self, alone: Sequence[Pair], beyond: int) -> None:
        """Print the summary of many pairs.

        Args:
            alone: pictures without a partner.
            beyond: number of pairs beyond a limit.
        """
        from vggapps.losses._compare import summarize

        summary = summarize([row.values for row in self.rows])
        if self.many and self.as_json:
            self._print_json_summary(summary, alone, beyond)
        elif self.many and summary:
            self._print_summary(summary)

    def as_csv(self, alone: Iterable[Pair]) -> bytes:
        """A row for each pair and for each picture without a partner; the last column is the error."""
        lines = io.StringIO()
        table = csv.writer(lines)
        table.writerow(["a", "b", *(metric.name for metric in self.metrics), "error"])
        table.writerows([row.pair.a, row.pair.b, *row.values.values(), row.error] for row in self.rows)
        table.writerows([one.a, one.b, *[None] * len(self.metrics), "no partner"] for one in alone)
        return lines.getvalue().encode("utf-8", "surrogateescape")

    def _print_cells(self, cells: Iterable[str]) -> None:
        names = -max(6, *(len(in_a_line(pair.name)) for pair in self.pairs))  # negative: left-justified
        widths = [names, *(max(8, len(metric.name)) for metric in self.metrics)]
        typer.echo("  ".join(f"%{width}s" % in_a_line(cell) for width, cell in zip(widths, cells, strict=True)))

    def _print_head(self) -> None:
        from vggapps.losses._comparison import METRICS

        for metric in self.metrics:
            if metric.title != METRICS[metric.name].title:
                typer.echo(f"{metric.name}: {metric.title}")
        self._print_cells(["", *(metric.name for metric in self.metrics)])
        self._print_cells(["better", *("lower" if m.lower_is_better else "higher" for m in self.metrics)])

    def _print_summary(self, summary: Mapping[str, Summary]) -> None:
        """Mean, median and worst value, which pair is the worst, and what the mean leaves out."""
        for word in ("mean", "median", "worst"):
            self._print_cells([word, *(m.text(getattr(summary.get(m.name), word, None)) for m in self.metrics)])
        worst = defaultdict(list)
        for name, found in summary.items():
            worst[self.rows[found.at].pair.name].append(name)
        for pair, names in worst.items():
            typer.echo(in_a_line(f"worst {', '.join(names)}: {pair}"))
        by_count = defaultdict(list)
        for metric in self.metrics:
            by_count[summary[metric.name].count if metric.name in summary else 0].append(metric.name)
        for count, names in by_count.items():
            if count < len(self.rows):
                typer.echo(f"{', '.join(names)}: measured for {count} of {len(self.rows)} pairs")
        for name, found in summary.items():
            if 0 < found.infinite < found.count:
                pairs = "1 equal pair" if found.infinite == 1 else f"{found.infinite} equal pairs"
                typer.echo(f"{name}: the mean leaves out {pairs}, of infinite {name}")

    def _print_json(self, row: Row) -> None:
        from vggapps.image._pair import RESAMPLING

        scaled = row.scaled_from and {"from": row.scaled_from, "by": RESAMPLING}
        facts = {"a": row.pair.a, "b": row.pair.b, "size": row.size, "scaled": scaled, "map": row.map}
        self._dump(facts | {"values": _plain(row.values), "error": row.error})

    def _print_json_summary(self, summary: Mapping[str, Summary], alone: Sequence[Pair], beyond: int) -> None:
        failed = sum(bool(row.errors) for row in self.rows)
        names = [one.a or one.b for one in alone]
        counts = {"pairs": len(self.rows) - failed, "failed": failed, "beyond": beyond, "alone": names}
        numbers = {name: {**_plain(asdict(s)), "at": self.rows[s.at].pair[1:]} for name, s in summary.items()}
        self._dump(counts | {"metrics": numbers})

    def _dump(self, facts: Mapping[str, Any]) -> None:
        shared = {"schema": 1, "y_channel": self.settings.y_channel, "crop_border": self.settings.crop_border}
        typer.echo(json.dumps({**shared, **facts}, allow_nan=False))


def _plain(values: Values) -> dict[str, float | str | None]:
    """For JSON, which has neither infinite numbers nor NaN."""
    return {name: value if value is None or math.isfinite(value) else str(value) for name, value in values.items()}
