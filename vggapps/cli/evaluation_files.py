"""The files that ``vggapps evaluate`` writes: planned before the work, written after it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from vggapps.cli.outputs import plan_distinct, plan_file, plan_picture
from vggapps.cli.saving import Target, deliver, deliver_picture

if TYPE_CHECKING:
    from vggapps.classification._evaluation import Evaluation
    from vggapps.classification._outcomes import Outcome
    from vggapps.weights._labels import Label


@dataclass(frozen=True)
class Files:
    """Where each goes; None where it is not wanted.

    Attributes:
        report: numbers of each class, CSV.
        per_picture: what was said of each picture, CSV.
        reliability: accuracy against confidence.
        confusion: what was taken for what.
        mistakes: the surest wrong guesses.
    """

    report: Target | None
    per_picture: Target | None
    reliability: Target | None
    confusion: Target | None
    mistakes: Target | None

    @property
    def of_pictures(self) -> bool:
        """Whether what was said of single pictures is to be kept."""
        return bool(self.per_picture or self.mistakes)


def plan(
    report: str | None,
    per_picture: str | None,
    reliability: str | None,
    confusion: str | None,
    mistakes: str | None,
    *,
    read: Iterable[str],
    force: bool,
) -> Files:
    """Refuse what can't be written.

    Args:
        report, per_picture, reliability, confusion, mistakes: names of files, see :class:`Files`.
        read: files that are read, and must not be overwritten.
        force: replace files.

    Raises:
        SettingsError: a plot is wanted, and Matplotlib is not installed.
        Also as :func:`~vggapps.cli.outputs.plan_file` and :func:`~vggapps.cli.outputs.plan_distinct`.
    """
    from vggapps.figures._plots import check_matplotlib

    if reliability or confusion:
        check_matplotlib()
    read = list(read)
    tables = [
        plan_file(path, read, force=force, suffixes=suffixes) if path else None
        for path, suffixes in ((report, ()), (per_picture, (".csv",)))
    ]
    drawings = [
        plan_picture(path, 1, read, force=force) if path else None for path in (reliability, confusion, mistakes)
    ]
    plan_distinct(*tables, *drawings)
    return Files(*tables, *drawings)


def write(files: Files, found: Evaluation, outcomes: Sequence[Outcome], labels: Sequence[Label]) -> None:
    """Write all that is wanted."""
    from vggapps.classification._outcomes import mistakes_sheet, table
    from vggapps.figures import _plots as plots
    from vggapps.image import from_pil

    if files.report:
        deliver(files.report, _classes(found).encode("utf-8", "replace"))
    if files.per_picture:
        deliver(files.per_picture, table(outcomes, labels).encode("utf-8", "replace"))
    if files.reliability:
        deliver_picture(files.reliability, from_pil(plots.reliability_plot(found.bins, found.ece)))
    if files.confusion:
        drawn = plots.confusion_picture(found.confusion, [label.name for label in labels])
        deliver_picture(files.confusion, from_pil(drawn))
    if files.mistakes:
        sheet = mistakes_sheet(outcomes, labels)
        if sheet:
            deliver_picture(files.mistakes, sheet)
        else:
            typer.echo(f"{files.mistakes.path} is not written: there is no mistake to show", err=True)


def _classes(found: Evaluation) -> str:
    """A row for each class, as CSV."""
    rows = [
        {
            "index": c.label.index,
            "wordnet": c.label.wordnet,
            "class": c.label.name,
            "pictures": c.count,
            "correct": c.correct,
            "recall": f"{c.recall:.4f}",
            "precision": "" if c.precision is None else f"{c.precision:.4f}",
            "f1": f"{c.f1:.4f}",
            "mistaken_for": c.mistaken_for.name if c.mistaken_for else "",
            "mistakes": c.mistakes,
        }
        for c in found.classes
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
