"""What a probe may say of few pictures, and of copies: against chance, plain loops and published intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import binomtest

from tests.test_probe import KINDS, clouds, plain, table
from vggapps.features._fitting import Data, logistic, moments
from vggapps.features._learning import LEAST, Recipe, calibrate, fit_layers, prepare
from vggapps.features._probe import probe
from vggapps.features._splits import copies, folds, split

# Copies


def test_copies_are_on_one_side_and_each_part_has_whole_groups() -> None:
    """Three copies of each of 40 rows, scattered: whichever way they are divided, no picture is on both sides."""
    generator = np.random.default_rng(0)
    order = generator.permutation(120)
    which = (np.arange(120) % 40)[order]
    rows = generator.normal(size=(40, 5)).astype(np.float32)[which]
    groups = copies(rows)
    assert all((which[groups == group] == which[group]).all() for group in groups)
    assert len(np.unique(groups)) == 40
    targets = torch.from_numpy(which % 4)
    learn, held = split(targets, 0.2, groups=groups)
    assert not set(which[learn]) & set(which[held])
    assert np.bincount(targets[held]).tolist() == [6] * 4  # 2 of the 10 pictures of each class, in 3 copies
    parts = folds(targets, 5, groups=groups)
    assert sorted(np.concatenate(parts)) == list(range(120))
    assert [np.bincount(targets[part]).tolist() for part in parts] == [[6] * 4] * 5
    assert all(not set(which[part]) & set(np.delete(which, part)) for part in parts)


def test_zeros_of_both_signs_are_equal_and_nothing_else_is() -> None:
    rows = np.array([[0.0, 1], [-0.0, 1], [0, np.nextafter(np.float32(1), np.float32(2))]], np.float32)
    assert copies(rows).tolist() == [0, 0, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_copies_with_meaningless_labels_are_told_by_chance(kind: str) -> None:
    """A head that had learnt the copies of what it is tested on would be right always; 3 deviations of chance."""
    generator = np.random.default_rng(0)
    rows, words = generator.normal(size=(300, 6)), generator.integers(0, 3, 300)
    report, _ = probe(table(np.tile(rows, (3, 1))), torch.from_numpy(np.tile(words, 3)), "abc", kind, hidden=64)
    assert report.tested == 60
    assert report.top1 == pytest.approx(1 / 3, abs=0.19)
    assert (report.copies, report.disputed) == (600, 0)


def test_what_was_not_tested_and_what_is_contradictory_is_reported() -> None:
    found, targets = clouds()
    rows = np.concatenate([found.features, found.features[:2], 50 + found.features[:1], 50 + found.features[:1]])
    words = torch.cat([targets, torch.tensor([int(targets[0]), 3 - int(targets[1]), 3, 3])])
    report, _ = probe(table(rows), words, "abcd", "knn")
    assert (report.copies, report.disputed, report.untested) == (3, 1, ("d",))


@pytest.mark.parametrize("apart", [0.5, 2, 20])
def test_the_intervals_are_wilsons(apart: float) -> None:
    report, _ = probe(*clouds(classes=6, apart=apart), "abcdef", "knn")
    for share, interval in ((report.top1, report.top1_interval), (report.top5, report.top5_interval)):
        wanted = binomtest(round(share * report.tested), report.tested).proportion_ci(method="wilson")
        assert interval == pytest.approx((wanted.low, wanted.high))


# How sure a head may be


def test_a_class_without_examples_is_never_first() -> None:
    found, targets = clouds(60, 3)
    ((weight, bias),) = logistic(plain(found.features, 2 * targets), np.arange(60), 6)(1e-3)
    scores = torch.from_numpy(found.features) @ weight.T + bias
    assert scores.argmax(1).tolist() == (2 * targets).tolist()
    assert (scores[:, 1::2].amax(1) < scores.amax(1) - 5).all()


@pytest.mark.parametrize("kind", ["linear", "mlp", "radial"])
@pytest.mark.parametrize(("count", "classes", "apart"), [(10, 2, 8), (12, 3, 0)])
def test_a_handful_of_pictures_gives_no_temperature(kind: str, count: int, classes: int, apart: float) -> None:
    """On 2 or 3 held-out pictures it went to its bounds: photos of anything were told at 100 %, or all at 1/3."""
    report, head = probe(*clouds(count, classes, apart=apart), "abc"[:classes], kind, hidden=8)
    assert head
    assert head.temperature == report.temperature == 1
    assert (report.calibration, report.calibrated_on) == ("none", 0)


@pytest.mark.parametrize("kind", ["linear", "radial"])
def test_with_few_held_out_pictures_the_temperature_is_that_of_all_by_cross_validation(kind: str) -> None:
    """Against a plain loop over the folds, with heads learnt by the same function."""
    found, targets = clouds(120, apart=1.5)
    report, head = probe(found, targets, "abc", kind, hidden=16)
    assert head
    assert report.tested < LEAST
    assert (report.calibration, report.calibrated_on) == ("cross-validation", 120)
    logits = torch.empty(120, 3)
    how = Recipe(kind, 3, 16, None, 0)
    for part in folds(targets, 5):
        rest = np.setdiff1d(np.arange(120), part)
        mean, deviation = moments(found.features, rest)
        data = prepare(how, Data(found.features, targets, False, mean, deviation), rest)
        layers = fit_layers(how, data, rest, report.chosen)
        fitted = replace(head, mean=mean, deviation=deviation, layers=layers, radial=data.basis)
        logits[part] = fitted(torch.from_numpy(found.features[part]))
    assert head.temperature == pytest.approx(calibrate(logits, targets), rel=1e-4)
    # and no other number explains the unseen pictures' classes better
    losses = [float(F.cross_entropy(logits / (head.temperature * k), targets)) for k in (0.8, 1, 1.25)]
    assert losses[1] == min(losses)


def test_many_held_out_pictures_give_the_temperature_themselves() -> None:
    found, targets = clouds(600, apart=1.5)
    report, head = probe(found, targets, "abc")
    assert head
    assert (report.calibration, report.calibrated_on) == ("held-out", 120)
    _, held = split(targets, 0.2)
    logits = head(torch.from_numpy(found.features[held]))
    assert head.temperature == pytest.approx(calibrate(logits, targets[held]), rel=1e-4)


def test_pictures_told_without_a_mistake_give_no_temperature() -> None:
    found, targets = clouds(600, apart=20)
    report, head = probe(found, targets, "abc")
    assert head
    assert (report.top1, head.temperature, report.calibration) == (1, 1, "none")
