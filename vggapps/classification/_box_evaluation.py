"""How often a classifier finds the object: ILSVRC's localization error, as the VGG paper's appendix A measures it.

A picture is right where one of the first five classes, each with a box, is the true one and its box overlaps a true
box by an IoU of more than 0.5. Boxes of other classes decide nothing, so only the true class is looked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from vggapps._rates import Rate, rate
from vggapps.classification._box_regression import BoxRegressor
from vggapps.classification._boxes import Box, overlaps
from vggapps.classification._evaluation import FEW, Evaluation, evaluate
from vggapps.classification._localize import Classifies, locate_in, top_classes
from vggapps.datasets._dataset import Example
from vggapps.errors import PictureError, SettingsError
from vggapps.weights._labels import Label, label_of_data

if TYPE_CHECKING:
    from vggapps.classification._classifier import Result

Table = Mapping[str, Sequence[tuple[str, Box]]]


@dataclass(frozen=True)
class BoxEvaluation:
    """What a classifier with boxes did on the pictures that have a true box.

    Attributes:
        pictures: how many these are.
        without_box: pictures that could be read and have no box of their class; they count nowhere else.
        top1_error: the first guess was another class, or its box elsewhere.
        top5_error: the same of all the first five guesses; None where a network has five classes or fewer.
        given_class_error: the box of the true class was elsewhere, whatever the classifier thought (table 8).
    """

    pictures: int
    without_box: int
    top1_error: Rate
    top5_error: Rate | None
    given_class_error: Rate


def true_boxes(table: Table, examples: Sequence[Example], labels: Sequence[Label]) -> list[tuple[Box, ...]]:
    """For each picture the boxes of its own class, none where the table has none.

    A row is about the picture whose path ends as its ``file``, which may be a bare name, a path or part of one; if
    several rows' words do, the longest counts. Pictures of one name are told apart by their classes, too.

    Args:
        table: as :func:`~vggapps.classification.read_boxes` gives it.
        examples: the pictures with their classes.
        labels: of the network's outputs.

    Raises:
        SettingsError: a class that the network doesn't know, a box that may be in several pictures, or no box for any.
    """
    known: dict[PurePath, dict[int, list[Box]]] = {}
    indices: dict[str, int] = {}
    for file, rows in table.items():
        boxes = known.setdefault(PurePath(file), defaultdict(list))
        for word, box in rows:
            if word not in indices:
                try:
                    indices[word] = label_of_data(word, labels).index
                except SettingsError as error:
                    raise error.about(f"the box of {file}") from None
            boxes[indices[word]].append(box)
    found = []
    meant: dict[tuple[PurePath, int], Example] = {}
    for example in examples:
        parts = example.path.absolute().parts
        ends = (PurePath(*parts[i:]) for i in range(len(parts)))
        end = next((end for end in ends if end in known), None)
        own = known[end].get(example.index, []) if end else []
        if end and own and (other := meant.setdefault((end, example.index), example)) != example:
            raise SettingsError(
                f"the box of {end} may be in {other.path} or {example.path}, both of one class",
                "write more of the paths in the column file",
            )
        found.append(tuple(own))
    if not any(found):
        raise SettingsError(
            f"none of the {len(examples)} pictures has a box of its class in the table",
            "its column file must hold the pictures' names, and class their classes",
        )
    return found


def evaluate_boxes(
    results: Iterable[Result],
    examples: Sequence[Example],
    boxes: Sequence[Sequence[Box]],
    classifier: Classifies,
    regressor: BoxRegressor | None = None,
) -> tuple[Evaluation, BoxEvaluation]:
    """Count how often a classifier is right, and how often its boxes are, in one pass over the pictures.

    Args:
        results: of the classifier's ``run``, for the examples' paths.
        examples: with the true classes.
        boxes: for each example the true boxes of its class, in pixels of the upright picture, see :func:`true_boxes`.
        classifier: whose networks say where things are, as in :func:`~vggapps.classification.locate`.
        regressor: trained boxes; None for those around the hot part of Grad-CAM.

    Returns:
        What :func:`~vggapps.classification.evaluate` returns, its time including that for boxes, and the boxes.

    Raises:
        PictureError: no picture, or none that has a box, can be read.
        SettingsError: a regressor of another network.
        DivergedError: probabilities that are no numbers.
    """
    pictures = without = first = few = given = 0

    def judged() -> Iterator[Result]:
        nonlocal pictures, without, first, few, given
        for result in results:
            yield result  # it is refused there if its probabilities are no numbers
            if result.probabilities is None:
                continue
            example = examples[result.index]
            if not boxes[result.index]:
                without += 1
                continue
            ((box, _),) = locate_in(classifier.networks, example.path, [example.index], regressor)
            place = overlaps(box, boxes[result.index])
            guesses = top_classes(result.probabilities, FEW)
            pictures += 1
            given += place
            first += place and guesses[0] == example.index
            few += place and example.index in guesses

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
