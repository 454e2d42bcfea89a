"""The output files of ``vggapps evaluate``: planned before the evaluation, written after it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vggapps.cli.outcome import note
from vggapps.cli.outputs import plan_distinct, plan_file, plan_picture
from vggapps.cli.saving import Target, deliver, deliver_picture
from vggapps.settings import setting

if TYPE_CHECKING:
    from vggapps.classification._evaluation import Evaluation
    from vggapps.classification._outcomes import Outcome
    from vggapps.weights._labels import Label


_setting = partial(setting, panel="The files")


@dataclass(frozen=True)
class OutputFiles:
    """The requested files."""

    report: str | None = _setting(None, metavar="FILE.csv", help="Write recall, precision and F1 per class.")
    per_picture: str | None = _setting(None, metavar="FILE.csv", help="Write the predictions for each picture.")
    mistakes: str | None = _setting(None, metavar="FILE.png", help="Draw the most confident mistakes.")
    reliability: str | None = _setting(None, metavar="FILE.png", help="Draw a reliability diagram.")
    confusion: str | None = _setting(None, metavar="FILE.png", help="Draw the confusion matrix.")

    @property
    def has_pictures(self) -> bool:
        """Whether any file is a picture."""
        return bool(self.mistakes or self.reliability or self.confusion)

    @property
    def need_outcomes(self) -> bool:
        """Whether the predictions for each picture must be kept."""
        return bool(self.per_picture or self.mistakes)


def plan(files: OutputFiles, *, read: Sequence[str], force: bool) -> dict[str, Target]:
    """The targets by field name, without files that are not requested.

    Args:
        files: the requested files.
        read: input files, which must not be overwritten.
        force: replace existing files.

    Raises:
        SettingsError: Matplotlib is not installed, and a plot is requested.
        As :func:`~vggapps.cli.outputs.plan_file` and :func:`~vggapps.cli.outputs.plan_distinct`.
    """
    from vggapps.figures._plots import check_matplotlib

    if files.reliability or files.confusion:
        check_matplotlib()
    targets = {}
    for name, path in asdict(files).items():
        if path and name == "report":
            targets[name] = plan_file(path, read, force=force)
        elif path and name == "per_picture":
            targets[name] = plan_file(path, read, force=force, suffixes=[".csv"])
        elif path:
            targets[name] = plan_picture(path, 1, read, force=force)
    plan_distinct(*targets.values())
    return targets


def write(
    targets: Mapping[str, Target],
    found: Evaluation,
    outcomes: Sequence[Outcome],
    labels: Sequence[Label],
    recipe: Mapping[str, Any],
) -> None:
    """Write all planned files; pictures contain the recipe."""
    from vggapps.classification._outcomes import mistakes_sheet, table
    from vggapps.figures import _plots as plots
    from vggapps.image import open_picture

    if target := targets.get("report"):
        deliver(target, _classes(found).encode("utf-8", "replace"))
    if target := targets.get("per_picture"):
        deliver(target, table(outcomes, labels).encode("utf-8", "replace"))
    if target := targets.get("reliability"):
        deliver_picture(target, open_picture(plots.reliability_plot(found.bins, found.ece)), recipe)
    if target := targets.get("confusion"):
        drawn = plots.confusion_picture(found.confusion, [label.name for label in labels])
        deliver_picture(target, open_picture(drawn), recipe)
    if target := targets.get("mistakes"):
        sheet = mistakes_sheet(outcomes, labels)
        if sheet:
            deliver_picture(target, sheet, recipe)
        else:
            note(f"{target.path} is not written: there are no mistakes", quiet=False)


def _classes(found: Evaluation) -> str:
    """CSV with a row for each class."""
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
