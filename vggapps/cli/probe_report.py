"""What ``vggapps probe`` found, as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from vggapps.cli.evaluation_report import listed

if TYPE_CHECKING:
    from vggapps.features._probe import Report


def print_report(report: Report, names: Sequence[str], source: str, kind: str, *, is_taught: bool) -> None:
    """A line a number.

    Args:
        report: the numbers.
        names: of the classes.
        source: what named them.
        kind: of what was learnt.
        is_taught: whether a teacher's classes were learnt.
    """
    typer.echo(f"classes      {len(names):8}  {source}: {listed(names)}")
    what = "agrees with the teacher" if is_taught else "right"
    shares = [("top-1", report.top1, report.top1_interval, f"{what}, of {report.tested} pictures held out")]
    if len(names) > 5:
        shares.append(("top-5", report.top5, report.top5_interval, f"{what} among five"))
    for word, share, (low, high), about in shares:
        typer.echo(f"{word:<12} {share:8.2%}  {about} (95 % interval {100 * low:.1f} to {100 * high:.1f})")
    if report.chosen is not None:
        word = "neighbours" if kind == "knn" else "L2 strength"
        typer.echo(f"{word:<12} {report.chosen:8g}  did best on a fifth of the {report.learnt} learnt")
    if report.temperature is not None:
        typer.echo(f"temperature  {report.temperature:8.3f}  {_about_temperature(report)}")


def notes_on(report: Report) -> Iterator[str]:
    """What limits the numbers, a line each."""
    if report.copies:
        yield (
            f"{report.copies} pictures are copies of others: copies are all learnt or all held out, "
            "and held-out ones count once"
        )
    if report.disputed:
        yield f"{report.disputed} of the copies have another class than the first of them"
    if report.untested:
        count = "1 class has" if len(report.untested) == 1 else f"{len(report.untested)} classes have"
        yield f"{count} one picture, which is learnt and not tested: {listed(report.untested)}"


def _about_temperature(report: Report) -> str:
    from vggapps.features._calibration import LEAST

    count = report.calibrated_on or 0
    if report.calibration == "held-out":
        return f"divides the logits for calibrated probabilities; fitted on the {count} held out"
    if report.calibration == "cross-validation":
        return f"divides the logits for calibrated probabilities; fitted on all {count} by cross-validation"
    if count < LEAST:
        return f"not fitted: there are fewer than {LEAST} pictures; probabilities are not calibrated"
    return f"not fitted: there are too few mistakes on {count} pictures; probabilities are not calibrated"
