"""Error rates and calibration of a classifier on labelled pictures, accumulated in one pass.

Memory grows with the number of distinct confusions, not with that of pictures.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
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

BINS = 15  # as in table 1 of Guo et al.
FEW = 5  # guesses that count for top 5
_FLOOR = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Judgement:
    """A classifier's prediction for one picture, compared with the true class.

    Attributes:
        guess: the most probable class.
        rank: number of classes more probable than the true one; 0 if the guess is right.
        confidence: probability of the guess.
        probability: that of the true class.
    """

    guess: int
    rank: int
    confidence: float
    probability: float


@dataclass(frozen=True)
class ClassReport:
    """Results for one class of the data set.

    Attributes:
        label: the class.
        count: number of its pictures.
        correct: how many of them were classified correctly.
        recall: ``correct`` / ``count``, [0, 1].
        precision: ``correct`` / pictures classified as this class, [0, 1]; None if there are none.
        f1: harmonic mean of recall and precision, [0, 1].
        mistaken_for: the most frequent wrong guess; None if all are right.
        mistakes: how often it occurred.
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
    """Results of a classifier on a data set.

    Attributes:
        pictures: number of pictures classified.
        unreadable: number of pictures that could not be read; excluded from all other numbers.
        top1_error: the first guess was wrong.
        top5_error: none of the top five guesses was right; None for networks with at most five classes.
        ece: expected calibration error in percent, see ``calibration_error``.
        nll: mean negative log-likelihood of the true class, in nats.
        seconds: total time.
        bins: pictures by confidence, for a reliability diagram.
        classes: one report per class that occurs in the data set, in the order of the outputs.
        confusion: confusion matrix, sparse: {(true index, guessed index): count}.
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
        """Throughput, including reading and scaling."""
        return self.pictures / self.seconds


def evaluate(results: Iterable[Result], examples: Sequence[Example], labels: Sequence[Label]) -> Evaluation:
    """Compute error rates and calibration of a classifier.

    Ties are ranked by the order of the outputs.

    Args:
        results: of ``Classifier.run``, for the examples' paths; ``index`` refers to the example.
        examples: with the true classes.
        labels: of the network's outputs.

    Raises:
        PictureError: no picture can be read.
        SettingsError: the network has a single output.
        DivergedError: probabilities that are not finite.
    """
    if len(labels) < 2:
        raise SettingsError(
            "the network has one output: every guess is the same", "evaluate a network of two classes or more"
        )
    started = time.perf_counter()
    confusion: Counter[tuple[int, int]] = Counter()
    bins = [[0, 0.0, 0] for _ in range(BINS)]  # pictures, sum of confidences, correct
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
        # Intervals (low, high] as in Guo et al.; rounding can push the softmax slightly out of [0, 1].
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
    """Compare the probabilities of one picture with its class; ties are ranked by the order of the outputs."""
    if not bool(probabilities.isfinite().all()):
        raise DivergedError(
            "the network's probabilities are not numbers", f"use {argument('device', 'cpu')}, or other weights"
        )
    highest, true = probabilities.max(), probabilities[truth]
    guess = int((probabilities == highest).nonzero()[0])
    rank = int((probabilities > true).sum()) + int((probabilities[:truth] == true).sum())
    return Judgement(guess, rank, float(highest), float(true))


def _reports(confusion: Counter[tuple[int, int]], labels: Sequence[Label]) -> tuple[ClassReport, ...]:
    count: Counter[int] = Counter()
    guessed: Counter[int] = Counter()
    mistakes: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for (truth, guess), n in sorted(confusion.items()):
        count[truth] += n
        guessed[guess] += n
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
                precision=correct / guessed[index] if guessed[index] else None,
                f1=2 * correct / (count[index] + guessed[index]),
                mistaken_for=None if worst is None else labels[worst],
                mistakes=often,
            )
        )
    return tuple(reports)
