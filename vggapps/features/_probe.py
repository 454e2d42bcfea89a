"""Probes: how well classes can be predicted from features, by several kinds of classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vggapps._rates import rate
from vggapps.errors import SettingsError, argument, unknown
from vggapps.features._files import FeatureTable
from vggapps.features._fitting import Data, Index, Targets, apply_layers, check_scikit_learn, moments, probabilities
from vggapps.features._heads import Head
from vggapps.features._learning import KINDS, LEAST, Calibration, Recipe, calibration, choose, fit_layers, prepare
from vggapps.features._splits import copies, folds, one_per_group, split, untested

FOLDS = 5  # of cross-validation
NEIGHBORS = (1, 3, 5, 10, 20, 50)  # candidates for k


@dataclass(frozen=True)
class Report:
    """Results of a probe on the held-out pictures.

    Attributes:
        top1, top5: accuracies; with a teacher, its first class counts as the true one.
        top1_interval, top5_interval: their 95 % confidence intervals (Wilson), low and high.
        temperature: divides the logits for calibrated probabilities; None for ``knn``.
        calibration: the pictures it was fitted on: ``held-out``, all by ``cross-validation``, or ``none`` (temperature
            1); None for ``knn``.
        calibrated_on: number of these pictures; 0 if there are too few to try.
        chosen: the strength of regularization or number of neighbors, chosen on a fifth of the training rows.
        learnt, tested: number of training and test pictures; one of several copies is tested.
        copies: number of pictures that equal another one; copies stay on one side of the split.
        disputed: copies with another class than the first of them.
        untested: names of the classes without a test picture, since they have only one, not counting copies.
    """

    top1: float
    top5: float
    top1_interval: tuple[float, float]
    top5_interval: tuple[float, float]
    temperature: float | None
    calibration: str | None
    calibrated_on: int | None
    chosen: float | None
    learnt: int
    tested: int
    copies: int
    disputed: int
    untested: tuple[str, ...]


def probe(
    table: FeatureTable,
    targets: Int64[Tensor, " n"] | Float[Tensor, "n classes"],
    labels: Sequence[str],
    kind: str = "linear",
    *,
    test: float = 0.2,
    hidden: int = 1024,
    epochs: int | None = None,
    root: bool = False,
    seed: int = 0,
) -> tuple[Report, Head | None]:
    """Train a classifier on a part of the rows and test it on the others.

    Args:
        table: features, read in blocks. ``linear`` without a teacher and ``radial`` need one array of the training
            rows, a temporary file above 1 GiB; ``knn`` loads all rows into memory.
        targets: the class of each row, or a teacher's logits, whose first class then counts as the true one.
        labels: names of the classes.
        kind: ``linear``: multinomial logistic regression; with a teacher, ridge regression to its centered logits.
            ``radial``: radial basis functions around k-means centers and ridge regression (Broomhead & Lowe 1988), to
            a teacher's centered logits or 10 for the true class; best if most classes have few pictures. ``mlp``: one
            hidden layer of ReLUs, Adam, dropout 0.5; with a teacher, distillation (Hinton et al., arXiv:1503.02531,
            2015, section 2). ``knn``: nearest neighbors by cosine.
        test: held-out share of the rows, stratified by class.
        hidden: units of ``mlp``, centers of ``radial``.
        epochs: of ``mlp``, by default 50; of ``linear`` with a teacher, distillation after ridge, by default 0.
        root: use the signed square root of the features.
        seed: random seed of the split and the training.

    Returns:
        The report, and the head; None for ``knn``.

    Raises:
        SettingsError: an unknown kind, targets that do not match the rows, or scikit-learn is not installed.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    if len(targets) != len(table.features):
        raise SettingsError(f"{len(targets)} targets for {len(table.features)} rows", "give one for each row")
    if not 0 < test < 1:
        raise SettingsError(f"{argument('test')} is {test}", "it must be between 0 and 1")
    check_scikit_learn()
    groups = copies(table.features)
    learn, held = split(targets, test, seed, groups)
    tested = one_per_group(held, groups)
    report = partial(_report, targets=targets, labels=labels, groups=groups, learnt=len(learn), tested=tested)
    if kind == "knn":
        best, votes = _vote(table, targets, len(labels), learn, tested, groups, seed)
        return report(votes, chosen=best), None
    how = Recipe(kind, len(labels), hidden, epochs, seed)
    data = prepare(how, Data(table.features, targets, root, *moments(table.features, learn, root)), learn)
    strength = choose(how, data, learn, groups)
    layers = fit_layers(how, data, learn, strength)
    about = table.settings
    head = Head(
        network=about.network,
        weights=about.weights,
        layer=about.layer,
        pool=about.pool,
        root=root,
        mean=data.mean,
        deviation=data.deviation,
        layers=layers,
        labels=tuple(labels),
        radial=data.basis,
        size=about.size,
    )
    logits = torch.cat([apply_layers(layers, rows) for rows, _ in data.blocks(tested)])
    heat = calibration(logits, targets[tested], lambda: _by_folds(how, table, targets, root, strength, groups))
    return report(logits, chosen=strength, heat=heat), replace(head, temperature=heat.temperature)


def _report(
    scores: Float[Tensor, "n classes"],
    *,
    targets: Targets,
    labels: Sequence[str],
    groups: Index,
    learnt: int,
    tested: Index,
    chosen: float | None,
    heat: Calibration | None = None,
) -> Report:
    top1, top5 = (top(scores, targets[tested], count) for count in (1, 5))
    is_copy = groups != np.arange(len(groups))
    return Report(
        top1=top1,
        top5=top5,
        top1_interval=_interval(top1, len(tested)),
        top5_interval=_interval(top5, len(tested)),
        temperature=heat.temperature if heat else None,
        calibration=heat.source if heat else None,
        calibrated_on=heat.pictures if heat else None,
        chosen=chosen,
        learnt=learnt,
        tested=len(tested),
        copies=int(is_copy.sum()),
        disputed=int((targets != targets[groups]).sum()) if targets.ndim == 1 else 0,
        untested=tuple(labels[index] for index in untested(targets, groups)),
    )


def _interval(share: float, count: int) -> tuple[float, float]:
    found = rate(round(share * count), count)
    return found.low / 100, found.high / 100


def _by_folds(
    how: Recipe, table: FeatureTable, targets: Targets, root: bool, strength: float | None, groups: Index
) -> tuple[Float[Tensor, "n classes"], Targets]:
    """Cross-validated logits and targets; empty if there are too few pictures to calibrate."""
    parts = [one_per_group(part, groups) for part in folds(targets, FOLDS, how.seed, groups)]
    logits, expected = [torch.empty(0, how.classes)], [targets[:0]]
    if sum(map(len, parts)) < LEAST:
        parts = []
    for part in parts:
        rest = np.flatnonzero(~np.isin(groups, groups[part]))
        data = prepare(how, Data(table.features, targets, root, *moments(table.features, rest, root)), rest)
        layers = fit_layers(how, data, rest, strength)
        for rows, found in data.blocks(part):
            logits.append(apply_layers(layers, rows))
            expected.append(found)
    return torch.cat(logits), torch.cat(expected)


def _vote(
    table: FeatureTable, targets: Targets, classes: int, learn: Index, tested: Index, groups: Index, seed: int
) -> tuple[int, Float[Tensor, "n classes"]]:
    """The number of neighbors that is best on a fifth of the training rows, and the votes for the test rows."""
    rows = torch.from_numpy(np.array(table.features))
    fit, held = (learn[part] for part in split(targets[learn], 0.2, seed, groups[learn]))
    counts = [k for k in NEIGHBORS if k <= len(fit)]
    votes = neighbor_votes(rows[held], rows[fit], targets[fit], classes, counts)
    best = max(counts, key=lambda k: top(votes[k], targets[held], 1))
    return best, neighbor_votes(rows[tested], rows[learn], targets[learn], classes, [best])[best]


def top(scores: Float[Tensor, "n classes"], targets: Targets, count: int) -> float:
    """Top-``count`` accuracy; a teacher's first class counts as the true one."""
    right = targets if targets.ndim == 1 else targets.argmax(1)
    best = scores.topk(min(count, scores.shape[1]), 1).indices
    return float((best == right[:, None]).any(1).float().mean())


def neighbor_votes(
    queries: Float[Tensor, "m d"], rows: Float[Tensor, "n d"], targets: Targets, classes: int, counts: Sequence[int]
) -> dict[int, Float[Tensor, "m classes"]]:
    """Votes of the k nearest rows by cosine, for each k; a teacher's probabilities are fractional votes."""
    from sklearn.neighbors import NearestNeighbors

    known = NearestNeighbors(metric="cosine", algorithm="brute").fit(rows.numpy())
    distances, nearest = map(torch.from_numpy, known.kneighbors(queries.numpy(), max(counts)))
    found = {k: torch.empty(len(queries), classes) for k in counts}
    for part in torch.split(torch.arange(len(queries)), 256):
        votes = probabilities(targets[nearest[part].flatten()], classes).view(len(part), -1, classes)
        votes = votes * (1 + 1e-3 * (1 - distances[part, :, None]))  # breaks ties in favor of nearer rows
        for k in counts:
            found[k][part] = votes[:, :k].sum(1).float()
    return found
