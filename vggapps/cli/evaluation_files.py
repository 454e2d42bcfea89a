"""The files that ``vggapps evaluate`` writes: planned before the work, written after it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from vggapps.cli.outputs import plan_distinct, plan_file, plan_picture
from vggapps.cli.saving import Target, deliver, deliver_picture
from vggapps.settings import setting

if TYPE_CHECKING:
    from vggapps.classification._evaluation import Evaluation
    from vggapps.classification._outcomes import Outcome
    from vggapps.weights._labels import Label


_setting = partial(setting, panel="The files")


@dataclass(frozen=True)
class Wanted:
    """The files that are asked for."""

    report: str | None = _setting(None, metavar="FILE.csv", help="Write the numbers of each class.")
    per_picture: str | None = _setting(
        None, metavar="FILE.csv", help="Write class, guess and probabilities of each picture."
    )
    mistakes: str | None = _setting(None, metavar="FILE.png", help="Show the wrong guesses it was surest of.")
    reliability: str | None = _setting(None, metavar="FILE.png", help="Draw accuracy against confidence.")
    confusion: str | None = _setting(None, metavar="FILE.png", help="Draw what was taken for what.")

    @property
    def has_pictures(self) -> bool:
        """Whether any of them is a picture."""
        return bool(self.mistakes or self.reliability or self.confusion)

    @property
    def of_pictures(self) -> bool:
        """Whether what was said of single pictures is to be kept."""
        return bool(self.per_picture or self.mistakes)


@dataclass(frozen=True)
class Files:
    """Where each goes; None where it is not wanted."""

    report: Target | None
    per_picture: Target | None
    mistakes: Target | None
    reliability: Target | None
    confusion: Target | None


def plan(wanted: Wanted, *, read: Iterable[str], force: bool) -> Files:
    """Refuse what can't be written.

    Args:
        wanted: names of files.
        read: files that are read, and must not be overwritten.
        force: replace files.

    Raises:
        SettingsError: a plot is wanted, and Matplotlib is not installed.
        Also as :func:`~vggapps.cli.outputs.plan_file` and :func:`~vggapps.cli.outputs.plan_distinct`.
    """
    from vggapps.figures._plots import check_matplotlib

    if wanted.reliability or wanted.confusion:
        check_matplotlib()
    read = list(read)
    tables = [
        plan_file(path, read, force=force, suffixes=suffixes) if path else None
        for path, suffixes in ((wanted.report, ()), (wanted.per_picture, (".csv",)))
    ]
    drawings = [
        plan_picture(path, 1, read, force=force) if path else None
        for path in (wanted.mistakes, wanted.reliability, wanted.confusion)
    ]
    plan_distinct(*tables, *drawings)
    return Files(*tables, *drawings)


def write(
    files: Files,
    found: Evaluation,
    outcomes: Sequence[Outcome],
    labels: Sequence[Label],
    recipe: Mapping[str, Any],
) -> None:
    """Write all that is wanted, the recipe into each picture."""
    from vggapps.classification._outcomes import mistakes_sheet, table
    from vggapps.figures import _plots as plots
    from vggapps.image import from_pil

    if files.report:
        deliver(files.report, _classes(found).encode("utf-8", "replace"))
    if files.per_picture:
        deliver(files.per_picture, table(outcomes, labels).encode("utf-8", "replace"))
    if files.reliability:
        deliver_picture(files.reliability, from_pil(plots.reliability_plot(found.bins, found.ece)), recipe)
    if files.confusion:
        drawn = plots.confusion_picture(found.confusion, [label.name for label in labels])
        deliver_picture(files.confusion, from_pil(drawn), recipe)
    if files.mistakes:
        sheet = mistakes_sheet(outcomes, labels)
        if sheet:
            deliver_picture(files.mistakes, sheet, recipe)
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
