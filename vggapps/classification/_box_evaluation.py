"""ILSVRC's localization error, as in the VGG paper's appendix A.

A picture counts as correct if one of the top five classes is the true one and its box overlaps a true box with an IoU
above 0.5. Boxes of other classes do not matter, so only the true class is localized.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from vggapps._rates import Rate, rate
from vggapps.classification._box_regression import BoxRegressor
from vggapps.classification._boxes import Box, overlaps
from vggapps.classification._classifier import Classifier, Result
from vggapps.classification._evaluation import FEW, Evaluation, evaluate
from vggapps.classification._localize import locate, top_classes
from vggapps.datasets._dataset import Example
from vggapps.errors import PictureError, SettingsError
from vggapps.weights._labels import Label, find_data_label

Table = Mapping[str, Sequence[tuple[str, Box]]]


@dataclass(frozen=True)
class BoxEvaluation:
    """Localization errors on the pictures that have a true box.

    Attributes:
        pictures: how many these are.
        without_box: readable pictures without a box of their class; excluded from all errors.
        top1_error: the first guess was another class, or its box was wrong.
        top5_error: the same for all top five guesses; None for networks with at most five classes.
        given_class_error: the box of the true class was wrong, whatever class was predicted (table 8).
    """

    pictures: int
    without_box: int
    top1_error: Rate
    top5_error: Rate | None
    given_class_error: Rate


def true_boxes(table: Table, examples: Sequence[Example], labels: Sequence[Label]) -> list[tuple[Box, ...]]:
    """The boxes of each picture's own class; empty if the table has none.

    A row matches a picture whose path ends with its ``file``, a name or a path; the longest match wins. Pictures of the
    same name are also distinguished by class.

    Raises:
        SettingsError: an unknown class, a row that matches several pictures, or no box for any picture.
    """
    known: dict[PurePath, dict[int, list[Box]]] = {}
    indices: dict[str, int] = {}
    for file, rows in table.items():
        boxes = known.setdefault(PurePath(file), defaultdict(list))
        for word, box in rows:
            if word not in indices:
                try:
                    indices[word] = find_data_label(word, labels).index
                except SettingsError as error:
                    raise error.about(f"the box of {file}") from None
            boxes[indices[word]].append(box)
    found = []
    matched: dict[tuple[PurePath, int], Example] = {}
    for example in examples:
        parts = example.path.absolute().parts
        ends = (PurePath(*parts[i:]) for i in range(len(parts)))
        end = next((end for end in ends if end in known), None)
        of_class = known[end].get(example.index, []) if end else []
        if end and of_class and (other := matched.setdefault((end, example.index), example)) != example:
            raise SettingsError(
                f"the box of {end} may be in {other.path} or {example.path}, both of one class",
                "write longer paths in the column file",
            )
        found.append(tuple(of_class))
    if not any(found):
        raise SettingsError(
            f"none of the {len(examples)} pictures has a box of its class in the table",
            "its column file must contain the pictures' names, and class their classes",
        )
    return found


def evaluate_boxes(
    results: Iterable[Result],
    examples: Sequence[Example],
    boxes: Sequence[Sequence[Box]],
    classifier: Classifier,
    regressor: BoxRegressor | None = None,
) -> tuple[Evaluation, BoxEvaluation]:
    """Evaluate a classifier and its boxes in one pass over the pictures.

    ``boxes`` are the true boxes of each example's class, in pixels of the upright picture, see :func:`true_boxes`.

    Raises:
        PictureError: no picture, or none that has a box, can be read.
    """
    pictures = without = first = few = given = 0

    def judged() -> Iterator[Result]:
        nonlocal pictures, without, first, few, given
        for result in results:
            yield result  # `evaluate` rejects probabilities that are not finite
            if result.probabilities is None:
                continue
            example = examples[result.index]
            if not boxes[result.index]:
                without += 1
                continue
            ((box, _),) = locate(classifier.networks, example.path, [example.index], regressor)
            correct = overlaps(box, boxes[result.index])
            guesses = top_classes(result.probabilities, FEW)
            pictures += 1
            given += correct
            first += correct and guesses[0] == example.index
            few += correct and example.index in guesses

    found = evaluate(judged(), examples, classifier.labels)
    if not pictures:
        raise PictureError("none of the pictures that have a box can be read", "check their paths")
    return found, BoxEvaluation(
        pictures=pictures,
        without_box=without,
        top1_error=rate(pictures - first, pictures),
        top5_error=rate(pictures - few, pictures) if len(classifier.labels) > FEW else None,
        given_class_error=rate(pictures - given, pictures),
    )
