"""The prediction for each picture of a data set, as a table, and the most confident mistakes as a contact sheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor

from vggapps.classification._evaluation import FEW, Judgement, judge
from vggapps.datasets._dataset import Example
from vggapps.errors import VggappsError
from vggapps.figures._sheet import contact_sheet
from vggapps.image import Picture, on_white, open_picture
from vggapps.weights._labels import Label

if TYPE_CHECKING:
    from vggapps.classification._classifier import Result

SHOWN = 24  # mistakes on a sheet
_SIDE, _COLUMNS = 224, 6  # longer side of a picture in pixels, pictures per row
_COLUMN_NAMES = ("path", "truth", "guess", "guess_probability", "truth_probability", "right", "top5", "error")


@dataclass(frozen=True)
class Outcome:
    """A file, its true class, and the prediction; for a picture that can't be read, the error instead."""

    path: Path
    truth: int
    judgement: Judgement | None
    error: str = ""

    @property
    def is_mistake(self) -> bool:
        """Whether another class was predicted."""
        return self.judgement is not None and self.judgement.guess != self.truth


def record_outcomes(results: Iterable[Result], examples: Sequence[Example], into: list[Outcome]) -> Iterator[Result]:
    """Yield the results of ``Classifier.run`` unchanged, and append the outcome of each to a list."""
    for result in results:
        example = examples[result.index]
        if result.probabilities is None:
            reason = result.error.message if result.error else ""
            into.append(Outcome(example.path, example.index, None, reason))
        else:
            into.append(Outcome(example.path, example.index, judge(result.probabilities, example.index)))
        yield result


def table(outcomes: Sequence[Outcome], labels: Sequence[Label]) -> str:
    """CSV with one row per picture, in the data set's order.

    The columns are the file, the names of the true and of the predicted class, the probabilities of the predicted and
    of the true class in [0, 1], whether the first guess is right, whether one of the top five is (empty for networks
    with at most five classes), and the error of a picture that can't be read.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMN_NAMES)
    for one in outcomes:
        name, found = labels[one.truth].name, one.judgement
        if found is None:
            writer.writerow([one.path, name, "", "", "", "", "", one.error])
            continue
        top5 = str(found.rank < FEW).lower() if len(labels) > FEW else ""
        right = str(not one.is_mistake).lower()
        numbers = [f"{found.confidence:.6g}", f"{found.probability:.6g}"]
        writer.writerow([one.path, name, labels[found.guess].name, *numbers, right, top5, ""])
    return text.getvalue()


def mistakes_sheet(outcomes: Sequence[Outcome], labels: Sequence[Label], count: int = SHOWN) -> Picture | None:
    """A contact sheet of the most confident mistakes: guess, true class, probabilities and file; None without mistakes.

    A picture that can't be read any more leaves an empty cell.
    """
    mistakes = [(one, one.judgement) for one in outcomes if one.judgement and one.is_mistake]
    shown = sorted(mistakes, key=lambda pair: -pair[1].confidence)[:count]
    if not shown:
        return None
    captions = [
        f"guess: {labels[found.guess].name}, {100 * found.confidence:.1f} %\n"
        f"true: {labels[one.truth].name}, {100 * found.probability:.1f} %\n{one.path.name}"
        for one, found in shown
    ]
    title = f"The {len(shown)} most confident of {len(mistakes)} mistakes in {len(outcomes)} pictures"
    pictures = [_thumbnail(one.path) for one, _ in shown]
    return contact_sheet(pictures, captions, min(_COLUMNS, len(shown)), title)


def _thumbnail(path: Path) -> Tensor | None:
    """The whole picture, scaled to its cell."""
    try:
        image = on_white(open_picture(path, at_least=2 * _SIDE))
    except VggappsError:
        return None
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return open_picture(image).rgb
