"""What is counted on a data set, and how it is drawn; hand-worked numbers, formulas written out, and scipy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest

from tests.conftest import Ran
from vggapps._rates import calibration_error, rate
from vggapps.classification._classifier import Result
from vggapps.classification._evaluation import BINS, Evaluation, evaluate
from vggapps.datasets._dataset import Example
from vggapps.errors import DivergedError, PictureError, SettingsError
from vggapps.figures import _plots as plots
from vggapps.figures._plots import confusion_picture, reliability_plot
from vggapps.weights._labels import Label, labels_of

ANIMALS = labels_of(["cat", "dog", "great white shark"])
EIGHT = labels_of([f"class {letter}" for letter in "abcdefgh"])


def measured(rows: Sequence[Sequence[float]], truths: Sequence[int], labels: Sequence[Label] = EIGHT) -> Evaluation:
    results = [Result(i, torch.tensor(row)) for i, row in enumerate(rows)]
    return evaluate(results, [Example(Path(f"{i}.jpg"), truth) for i, truth in enumerate(truths)], labels)


def guesses(pairs: Sequence[tuple[int, int]], classes: int = 8) -> Evaluation:
    """Of certain (true, guessed) pairs."""
    rows = torch.eye(classes)[[guess for _, guess in pairs]].tolist()
    return measured(rows, [truth for truth, _ in pairs], labels_of([f"class {c}" for c in range(classes)]))


def random_rows(pictures: int = 300, classes: int = 8) -> tuple[list[list[float]], list[int]]:
    rows = torch.softmax(2 * torch.randn(pictures, classes), 1)
    # Half of the truths are what the network thinks, so that all bins have right and wrong ones.
    truths = torch.where(torch.rand(pictures) < 0.5, rows.argmax(1), torch.randint(classes, (pictures,)))
    return rows.tolist(), truths.tolist()


# Numbers


@pytest.mark.parametrize(("events", "total"), [(0, 1), (1, 1), (0, 40), (3, 40), (20, 40), (40, 40), (12_345, 50_000)])
def test_intervals_are_wilsons(events: int, total: int) -> None:
    wanted = binomtest(events, total).proportion_ci(0.95, method="wilson")
    found = rate(events, total)
    assert found.percent == pytest.approx(100 * events / total)
    assert (found.low, found.high) == pytest.approx((100 * wanted.low, 100 * wanted.high), abs=1e-9)


def test_calibration_error_of_a_hand_worked_example() -> None:
    # Two guesses at 0.9, one right: bin 14 of 15, |0.5 - 0.9|; two at 0.5, both right: bin 8, |1 - 0.5|.
    rows = [[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]
    found = measured(rows, [0, 1, 0, 0], ANIMALS)
    assert found.ece == pytest.approx(100 * (0.5 * 0.4 + 0.5 * 0.5), abs=1e-4)
    filled = {i: (b.count, b.accuracy) for i, b in enumerate(found.bins) if b.count}
    assert filled == {7: (2, 1.0), 13: (2, 0.5)}


def test_calibration_error_is_the_papers_sum_written_out_slowly() -> None:
    rows, truths = random_rows()
    wanted = 0.0
    for m in range(1, BINS + 1):
        inside = [(max(r), r.index(max(r)) == t) for r, t in zip(rows, truths, strict=True)]
        inside = [(p, right) for p, right in inside if (m - 1) / BINS < p <= m / BINS]
        if inside:
            accuracy = sum(right for _, right in inside) / len(inside)
            confidence = sum(p for p, _ in inside) / len(inside)
            wanted += len(inside) / len(rows) * abs(accuracy - confidence)
    found = measured(rows, truths)
    assert found.ece == pytest.approx(100 * wanted, rel=1e-5)
    assert calibration_error(found.bins) == found.ece
    assert sum(b.count for b in found.bins) == 300


@pytest.mark.parametrize(("confidence", "at"), [(1.0, 14), (1.0000001, 14), (0.2, 2), (0.2001, 3), (0.0, 0)])
def test_bins_hold_their_upper_bound_and_not_their_lower_one(confidence: float, at: int) -> None:
    # 0.2 in double precision is 3/15; in float32 it lies a hair above.
    results = [Result(0, torch.tensor([confidence, -1.0], dtype=torch.float64))]
    found = evaluate(results, [Example(Path("a"), 0)], ANIMALS[:2])
    assert [b.count for b in found.bins].index(1) == at


def test_errors_and_log_loss_are_those_of_sorting_all_probabilities() -> None:
    rows, truths = random_rows()
    order = [sorted(range(8), key=lambda c: -row[c]) for row in rows]
    top1 = sum(o[0] != t for o, t in zip(order, truths, strict=True)) / 3
    top5 = sum(t not in o[:5] for o, t in zip(order, truths, strict=True)) / 3
    found = measured(rows, truths)
    assert found.top5_error is not None
    assert (found.top1_error.percent, found.top5_error.percent) == pytest.approx((top1, top5))
    assert 0 < top5 < top1 < 100
    assert found.nll == pytest.approx(-np.mean([math.log(r[t]) for r, t in zip(rows, truths, strict=True)]), rel=1e-5)


def test_the_perfect_classifier_has_no_error_and_the_worst_one_nothing_else() -> None:
    best = guesses([(c, c) for c in range(8)])
    assert best.top5_error is not None
    assert (best.top1_error.percent, best.top5_error.percent, best.ece, best.nll) == (0, 0, 0, 0)
    # The true class is the least probable.
    last = torch.tensor([[0.3, 0.2, 0.16, 0.12, 0.1, 0.08, 0.04, 0.0]])
    worst = measured(last.repeat(4, 1).tolist(), [7] * 4)
    assert worst.top5_error is not None
    assert (worst.top1_error.percent, worst.top5_error.percent) == (100, 100)
    assert math.isfinite(worst.nll)  # though the true class has probability 0
    assert worst.nll > 80


def test_equal_probabilities_are_ranked_by_the_order_of_the_outputs() -> None:
    same = [[1 / 8] * 8] * 8
    found = measured(same, list(range(8)))
    assert found.top5_error is not None
    # One guess is right, five are among the first five: what guessing blindly deserves.
    assert (found.top1_error.percent, found.top5_error.percent) == (87.5, 37.5)
    assert {guess for _, guess in found.confusion} == {0}


@pytest.mark.parametrize(("classes", "known"), [(2, False), (5, False), (6, True)])
def test_five_classes_or_fewer_have_no_top_five(classes: int, known: bool) -> None:
    assert (guesses([(0, 0), (1, 0)], classes).top5_error is not None) == known


def test_confusion_precision_and_recall_of_a_hand_worked_example() -> None:
    #          taken for:  0  1  2
    # true 0:              3  1  0
    # true 1:              2  2  0
    # true 2:              1  0  0     and class 5 is taken once, for a picture of 1
    pairs = [(0, 0)] * 3 + [(0, 1)] + [(1, 0)] * 2 + [(1, 1)] * 2 + [(2, 0), (1, 5)]
    found = guesses(pairs)
    assert found.confusion == Counter(pairs)
    assert found.top1_error.percent == pytest.approx(50)
    first, second, third = found.classes
    assert (first.count, first.correct, first.mistakes) == (4, 3, 1)
    assert (first.recall, first.precision, first.f1) == pytest.approx((3 / 4, 3 / 6, 2 * 3 / (4 + 6)))
    assert first.mistaken_for == Label(1, "class 1")
    assert (second.recall, second.precision) == pytest.approx((2 / 5, 2 / 3))
    assert (second.mistaken_for, second.mistakes) == (Label(0, "class 0"), 2)
    assert (third.recall, third.precision, third.f1) == (0, None, 0)
    assert guesses([(4, 4)]).classes[0].mistaken_for is None


def test_f1_is_the_harmonic_mean() -> None:
    rows, truths = random_rows()
    for c in measured(rows, truths).classes:
        assert c.precision is not None
        assert c.f1 == pytest.approx(2 / (1 / c.recall + 1 / c.precision))


def test_results_belong_to_the_example_they_name() -> None:
    examples = [Example(Path("a"), 0), Example(Path("b"), 1)]
    results = [Result(1, torch.tensor([0.0, 1.0])), Result(0, torch.tensor([1.0, 0.0]))]
    assert evaluate(results, examples, ANIMALS[:2]).top1_error.percent == 0


def test_unreadable_pictures_are_counted_and_nothing_else() -> None:
    examples = [Example(Path("a"), 0), Example(Path("b"), 1)]
    broken = Result(0, error=PictureError("a: it is damaged"))
    found = evaluate([broken, Result(1, torch.tensor([0.0, 1.0]))], examples, ANIMALS[:2])
    assert (found.pictures, found.unreadable, found.top1_error.percent) == (1, 1, 0)
    with pytest.raises(PictureError, match="none of the 1 pictures"):
        evaluate([broken], examples, ANIMALS[:2])


def test_probabilities_that_are_no_numbers_are_not_taken_for_a_right_guess() -> None:
    with pytest.raises(DivergedError):
        measured([[math.nan] * 8], [0])


# Drawings

RIGHT = (0, 114, 178)  # the blue of M. Okabe and K. Ito


def pixels(image: Image.Image, color: tuple[int, int, int]) -> int:
    return int((np.asarray(image) == color).all(-1).sum())


def orange(image: Image.Image) -> int:
    """Pixels of any shade of it."""
    red, _, blue = np.asarray(image).astype(int).transpose(2, 0, 1)
    return int((red > blue + 30).sum())


def test_bars_are_as_high_as_the_accuracy() -> None:
    rows = [[0.9, 0.1, 0.0]] * 4
    full, half, none = (
        reliability_plot(measured(rows, truths, ANIMALS).bins, 0) for truths in ([0] * 4, [0, 0, 1, 1], [1] * 4)
    )
    # One of 15 bins in a box of 750×620.
    assert pixels(half, RIGHT) - pixels(none, RIGHT) == pytest.approx(750 / 15 * 310, rel=0.1)
    # Never right and 90 % sure; half of the time; and all of the time, which is not too sure.
    assert orange(none) - orange(full) == pytest.approx(750 / 15 * 620 * 0.9, rel=0.1)
    assert orange(half) - orange(full) == pytest.approx(750 / 15 * 620 * 0.4, rel=0.1)
    assert pixels(full, RIGHT) - pixels(none, RIGHT) == pytest.approx(750 / 15 * 620 * 0.9, rel=0.1)


def test_without_matplotlib_plots_are_refused_before_the_work(
    cli: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "cat" / "1.png")
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    for option in ("--reliability", "--confusion"):
        ran = cli("evaluate", tmp_path, option, tmp_path / "plot.png")
        assert (ran.code, ran.err.splitlines()[0]) == (2, "error: plots need Matplotlib")
        assert "vggapps[plots]" in ran.err


def test_one_output_is_no_guess_between_classes() -> None:
    with pytest.raises(SettingsError, match="one output"):
        measured([[0.7]], [0], labels_of(["cat"]))


@pytest.mark.parametrize("classes", [10, 75, 230])
def test_columns_have_the_rows_names(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    draw = plots._to_image
    monkeypatch.setattr(plots, "_to_image", lambda figure: figures.append(figure) or draw(figure))
    names = [f"class {c}" for c in range(classes)]
    confusion_picture({(c, c): 3 for c in range(classes)}, names)
    (axes,) = figures[0].axes
    rows, columns = ([label.get_text() for label in a.get_ticklabels()] for a in (axes.yaxis, axes.xaxis))
    assert columns == rows
    assert len(columns) >= min(classes, 25)
    assert set(columns) <= set(names)
    # each as far from the first column as its row is from the first row
    assert axes.get_xticks().tolist() == axes.get_yticks().tolist()
    assert axes.bbox.width == pytest.approx(axes.bbox.height)


@pytest.mark.parametrize("classes", [1, 2, 10, 40, 41, 75, 230])
def test_right_guesses_are_blue_and_wrong_ones_orange(classes: int) -> None:
    names = [f"class {c}" for c in range(classes)]
    right = confusion_picture({(c, c): 3 for c in range(classes)}, names)
    # Far from the diagonal, so that blocks of neighbours don't hide them; one goes to a class that has no row.
    far = {(c, (c + 1 + classes // 2) % (classes + 1)): 3 for c in range(classes)}
    wrong = confusion_picture(far, [*names, "one more"])
    assert pixels(right, RIGHT) > 500
    assert orange(right) == 0
    assert pixels(wrong, RIGHT) == 0
    assert orange(wrong) > 500
    assert min(right.size) > 200
    assert max(wrong.size) < 2200
