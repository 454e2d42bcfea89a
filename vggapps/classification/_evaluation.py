"""How good a classifier is on pictures whose classes are known: pure numbers, counted as the pictures come.

What is kept doesn't grow with the number of pictures, but with that of the confusions that occur.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps._rates import Bin, calibration_error, rate
from vggapps._rates import Rate as Rate
from vggapps.datasets._dataset import Example
from vggapps.errors import DivergedError, PictureError, SettingsError, argument
from vggapps.weights._labels import Label

if TYPE_CHECKING:
    from vggapps.classification._classifier import Result

BINS = 15  # as Guo et al. have it in their table 1
FEW = 5  # the classes that "top 5" means
_FLOOR = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Judgement:
    """What a classifier said of one picture.

    Attributes:
        guess: the class that it thinks most probable.
        rank: how many classes it thinks more probable than the true one; 0 where the guess is right.
        confidence: the guess's probability.
        probability: the true class's.
    """

    guess: int
    rank: int
    confidence: float
    probability: float


@dataclass(frozen=True)
class ClassReport:
    """One class that occurs in the data set.

    Attributes:
        label: the class.
        count: its pictures.
        correct: those of them whose first guess was this class.
        recall: ``correct`` of ``count``, [0, 1].
        precision: ``correct`` of all pictures that were taken for this class, [0, 1]; None if none was.
        f1: harmonic mean of recall and precision, [0, 1].
        mistaken_for: the wrong class that its pictures were most often taken for; None if all are right.
        mistakes: how often that was.
    """

    label: Label
    count: int
    correct: int
    recall: float
    precision: float | None
    f1: float
    mistaken_for: Label | None
    mistakes: int


@dataclass(frozen=True)
class Evaluation:
    """What a classifier did on a data set.

    Attributes:
        pictures: how many were classified.
        unreadable: how many could not be read; they count nowhere else.
        top1_error: the first guess was wrong.
        top5_error: none of the first five guesses was right; None where a network has five classes or fewer.
        ece: expected calibration error in percent, see :func:`calibration_error`.
        nll: mean negative logarithm of the true class's probability, in nats.
        seconds: from the first picture's start to the last one's end.
        bins: pictures by confidence, for a reliability diagram.
        classes: of those that occur in the data set, in the order of the outputs.
        confusion: how many pictures of a class were taken for a class: {(true index, guessed index): count}, of the
            pairs that occur, the right ones among them.
    """

    pictures: int
    unreadable: int
    top1_error: Rate
    top5_error: Rate | None
    ece: float
    nll: float
    seconds: float
    bins: tuple[Bin, ...]
    classes: tuple[ClassReport, ...]
    confusion: Mapping[tuple[int, int], int]

    @property
    def pictures_per_second(self) -> float:
        """Reading, scaling and classifying."""
        return self.pictures / self.seconds


def evaluate(results: Iterable[Result], examples: Sequence[Example], labels: Sequence[Label]) -> Evaluation:
    """Count how often a classifier is right, and how well it knows.

    Equal probabilities are ranked by the order of the outputs, so that one class is first and not several.

    Args:
        results: of ``Classifier.run``, for the examples' paths; each one's ``index`` says which example it is.
        examples: with the true classes.
        labels: of the network's outputs.

    Raises:
        PictureError: no picture can be read.
        SettingsError: there is one output, which is no guess between classes.
        DivergedError: probabilities that are no numbers.
    """
    if len(labels) < 2:
        raise SettingsError(
            "the network has one output: every guess is the same", "evaluate a network of two classes or more"
        )
    started = time.perf_counter()
    confusion: Counter[tuple[int, int]] = Counter()
    bins = [[0, 0.0, 0] for _ in range(BINS)]  # pictures, sum of their confidences, right ones
    pictures = unreadable = beyond = 0
    nll = 0.0
    for result in results:
        if result.probabilities is None:
            unreadable += 1
            continue
        truth = examples[result.index].index
        judged = judge(result.probabilities, truth)
        confidence = judged.confidence
        pictures += 1
        beyond += judged.rank >= FEW
        nll -= math.log(max(judged.probability, _FLOOR))
        confusion[truth, judged.guess] += 1
        # (low, high] as in Guo et al.; rounding may leave the softmax a hair outside of [0, 1].
        at = min(max(math.ceil(confidence * BINS) - 1, 0), BINS - 1)
        bins[at][0] += 1
        bins[at][1] += confidence
        bins[at][2] += judged.rank == 0
    if not pictures:
        raise PictureError(f"none of the {unreadable} pictures can be read", "check the paths of the data set")
    found = tuple(
        Bin(i / BINS, (i + 1) / BINS, int(n), sure / (n or 1), right / (n or 1))
        for i, (n, sure, right) in enumerate(bins)
    )
    correct = sum(n for (truth, guess), n in confusion.items() if truth == guess)
    return Evaluation(
        pictures=pictures,
        unreadable=unreadable,
        top1_error=rate(pictures - correct, pictures),
        top5_error=rate(beyond, pictures) if len(labels) > FEW else None,
        ece=calibration_error(found),
        nll=nll / pictures,
        seconds=time.perf_counter() - started,
        bins=found,
        classes=_reports(confusion, labels),
        confusion=confusion,
    )


def judge(probabilities: Float[Tensor, classes], truth: int) -> Judgement:
    """Compare the probabilities of one picture with its class; equal ones are ranked by the order of the outputs.

    Raises:
        DivergedError: they are no numbers.
    """
    if not bool(probabilities.isfinite().all()):
        raise DivergedError(
            "the network's probabilities are not numbers", f"use {argument('device', 'cpu')}, or other weights"
        )
    highest, own = probabilities.max(), probabilities[truth]
    guess = int((probabilities == highest).nonzero()[0])
    rank = int((probabilities > own).sum()) + int((probabilities[:truth] == own).sum())
    return Judgement(guess, rank, float(highest), float(own))


def _reports(confusion: Counter[tuple[int, int]], labels: Sequence[Label]) -> tuple[ClassReport, ...]:
    count: Counter[int] = Counter()
    taken: Counter[int] = Counter()
    mistakes: dict[int, Counter[int]] = {}
    for (truth, guess), n in sorted(confusion.items()):
        count[truth] += n
        taken[guess] += n
        mistakes.setdefault(truth, Counter())
        if truth != guess:
            mistakes[truth][guess] += n
    reports = []
    for index in sorted(count):
        correct = confusion[index, index]
        worst, often = next(iter(mistakes[index].most_common(1)), (None, 0))
        reports.append(
            ClassReport(
                label=labels[index],
                count=count[index],
                correct=correct,
                recall=correct / count[index],
                precision=correct / taken[index] if taken[index] else None,
                f1=2 * correct / (count[index] + taken[index]),
                mistaken_for=None if worst is None else labels[worst],
                mistakes=often,
            )
        )
    return tuple(reports)
