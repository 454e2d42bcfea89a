"""What a classifier said of each picture of a data set: as a table, and the surest mistakes as a contact sheet."""

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
from vggapps.image import Picture, from_pil, on_white, open_picture
from vggapps.weights._labels import Label

if TYPE_CHECKING:
    from vggapps.classification._classifier import Result

SHOWN = 24  # mistakes on a sheet
_SIDE, _COLUMNS = 224, 6  # pixels of a picture's longer side, pictures in a row
_COLUMN_NAMES = ("path", "truth", "guess", "guess_probability", "truth_probability", "right", "top5", "error")


@dataclass(frozen=True)
class Outcome:
    """One picture.

    Attributes:
        path: the file.
        truth: its class, an index of the outputs.
        judgement: what was said of it; None where it can't be read.
        error: why it can't.
    """

    path: Path
    truth: int
    judgement: Judgement | None
    error: str = ""

    @property
    def is_mistake(self) -> bool:
        """Whether it was taken for another class."""
        return self.judgement is not None and self.judgement.guess != self.truth


def noted(results: Iterable[Result], examples: Sequence[Example], into: list[Outcome]) -> Iterator[Result]:
    """Pass results on, and append to a list what each says.

    Args:
        results: of ``Classifier.run``, for the examples' paths.
        examples: with the true classes.
        into: the list.

    Raises:
        DivergedError: probabilities that are no numbers.
    """
    for result in results:
        example = examples[result.index]
        if result.probabilities is None:
            reason = result.error.message if result.error else ""
            into.append(Outcome(example.path, example.index, None, reason))
        else:
            into.append(Outcome(example.path, example.index, judge(result.probabilities, example.index)))
        yield result


def table(outcomes: Sequence[Outcome], labels: Sequence[Label]) -> str:
    """CSV with a row for each picture, in the data set's order.

    The columns are the file, the names of its class and of the first guess, the probabilities of these two classes in
    [0, 1], whether the first guess is right, whether one of the first five is (empty where the network has five classes
    or fewer), and why a picture can't be read.

    Args:
        outcomes: of the pictures.
        labels: of the network's outputs.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMN_NAMES)
    for one in outcomes:
        name, found = labels[one.truth].name, one.judgement
        if found is None:
            writer.writerow([one.path, name, "", "", "", "", "", one.error])
            continue
        top5 = _yes(found.rank < FEW) if len(labels) > FEW else ""
        numbers = [f"{found.confidence:.6g}", f"{found.probability:.6g}"]
        writer.writerow([one.path, name, labels[found.guess].name, *numbers, _yes(not one.is_mistake), top5, ""])
    return text.getvalue()


def mistakes_sheet(outcomes: Sequence[Outcome], labels: Sequence[Label], count: int = SHOWN) -> Picture | None:
    """The mistakes that the network was surest of, on a contact sheet: guess, true class, probabilities and file.

    Args:
        outcomes: of the pictures.
        labels: of the network's outputs.
        count: how many are shown at most.

    Returns:
        None where there is no mistake. A picture that can't be read any more is an empty place.
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
    title = f"The {len(shown)} surest of {len(mistakes)} mistakes in {len(outcomes)} pictures"
    pictures = [_small(one.path) for one, _ in shown]
    return contact_sheet(pictures, captions, min(_COLUMNS, len(shown)), title)


def _yes(is_so: bool) -> str:
    return "true" if is_so else "false"


def _small(path: Path) -> Tensor | None:
    """The whole picture, no larger than its place."""
    try:
        image = on_white(open_picture(path, at_least=2 * _SIDE))
    except VggappsError:
        return None
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return from_pil(image).rgb
