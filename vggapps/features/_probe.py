"""What can be read off features: a linear layer, a small network or the nearest neighbours, and how well."""

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
from vggapps.features._calibration import LEAST, Calibration, calibration
from vggapps.features._files import FeatureTable
from vggapps.features._fitting import Data, Index, Targets, check_scikit_learn, moments, probabilities, through
from vggapps.features._heads import Head
from vggapps.features._learning import KINDS, Recipe, choose, learnt, prepared
from vggapps.features._splits import copies, firsts, folds, split, untested

FOLDS = 5  # of cross-validation
NEIGHBOURS = (1, 3, 5, 10, 20, 50)


@dataclass(frozen=True)
class Report:
    """How well it went on the pictures that were held out.

    Attributes:
        top1, top5: share of pictures whose class is first, among the first five; with a teacher, whose first class is.
        top1_interval, top5_interval: 95 % confidence intervals of these shares (Wilson's), low and high.
        temperature: what logits are divided by for probabilities; None for neighbours.
        calibration: which pictures it was fitted on: ``held-out`` ones, all by ``cross-validation``, or ``none``, and
            then it is 1; None for neighbours.
        calibrated_on: how many pictures these are, or would not do; 0 where there are too few to try.
        chosen: the L2 strength or the number of neighbours that did best on a fifth of the learnt rows.
        learnt, tested: pictures; of copies all are learnt, and one is tested.
        copies: pictures that equal another one; copies are all learnt or all held out.
        disputed: those of them that have another class than the first of their copies.
        untested: names of the classes that have no picture to test on, since they have one only, copies aside.
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
    """Learn from a part of the rows to tell the targets, and measure on the others.

    Args:
        table: features; read some thousand rows at a time. ``linear`` without a teacher and ``radial`` put what they
            learn from into one array, in a temporary file where it takes more than 1 GiB; ``knn`` keeps all in memory.
        targets: a class for each row, or a teacher's logits, whose first class then counts as the right one.
        labels: names of the classes.
        kind: ``linear``: multinomial logistic regression; towards a teacher, ridge regression to its centred logits.
            ``radial``: radial basis functions around centres of k-means and ridge regression (Broomhead & Lowe 1988),
            to a teacher's centred logits or 10 for the right class: the best where most classes have few pictures.
            ``mlp``: one hidden layer of ReLUs, Adam, dropout 0.5; towards a teacher, the divergence of softened
            probabilities (Hinton et al., arXiv:1503.02531, 2015, section 2). ``knn``: votes of the most similar
            rows by cosine.
        test: share of the rows that is held out, of each class alike.
        hidden: units of ``mlp``, centres of ``radial``.
        epochs: of ``mlp``, 50 by default; of ``linear`` with a teacher, soft-target steps after ridge, by default 0.
        root: learn from the signed square root of the features.
        seed: of the split and of all that is random.

    Returns:
        The report, and the head; None for ``knn``.

    Raises:
        SettingsError: a wrong word, targets that do not fit the rows, or scikit-learn is not installed.
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
    tested = firsts(held, groups)
    report = partial(_report, targets=targets, labels=labels, groups=groups, learnt=len(learn), tested=tested)
    if kind == "knn":
        best, votes = _vote(table, targets, len(labels), learn, tested, groups, seed)
        return report(votes, chosen=best), None
    how = Recipe(kind, len(labels), hidden, epochs, seed)
    data = prepared(how, Data(table.features, targets, root, *moments(table.features, learn, root)), learn)
    strength = choose(how, data, learn, groups)
    layers = learnt(how, data, learn, strength)
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
    )
    logits = torch.cat([through(layers, rows) for rows, _ in data.blocks(tested)])
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
    """Logits and targets of pictures, each by layers that have not seen it; none where they are too few anyway."""
    parts = [firsts(part, groups) for part in folds(targets, FOLDS, how.seed, groups)]
    logits, wanted = [torch.empty(0, how.classes)], [targets[:0]]
    if sum(map(len, parts)) < LEAST:
        parts = []
    for part in parts:
        rest = np.flatnonzero(~np.isin(groups, groups[part]))
        data = prepared(how, Data(table.features, targets, root, *moments(table.features, rest, root)), rest)
        layers = learnt(how, data, rest, strength)
        for rows, found in data.blocks(part):
            logits.append(through(layers, rows))
            wanted.append(found)
    return torch.cat(logits), torch.cat(wanted)


def _vote(
    table: FeatureTable, targets: Targets, classes: int, learn: Index, tested: Index, groups: Index, seed: int
) -> tuple[int, Float[Tensor, "n classes"]]:
    """The number of neighbours that does best on a fifth of the learnt rows, and the votes for the tested ones."""
    rows = torch.from_numpy(np.array(table.features))
    fit, held = (learn[part] for part in split(targets[learn], 0.2, seed, groups[learn]))
    counts = [k for k in NEIGHBOURS if k <= len(fit)]
    votes = neighbours(rows[held], rows[fit], targets[fit], classes, counts)
    best = max(counts, key=lambda k: top(votes[k], targets[held], 1))
    return best, neighbours(rows[tested], rows[learn], targets[learn], classes, [best])[best]


def top(scores: Float[Tensor, "n classes"], targets: Targets, count: int) -> float:
    """Share of rows whose class (a teacher's first) is among the ``count`` highest scores."""
    right = targets if targets.ndim == 1 else targets.argmax(1)
    best = scores.topk(min(count, scores.shape[1]), 1).indices
    return float((best == right[:, None]).any(1).float().mean())


def neighbours(
    queries: Float[Tensor, "m d"], rows: Float[Tensor, "n d"], targets: Targets, classes: int, counts: Sequence[int]
) -> dict[int, Float[Tensor, "m classes"]]:
    """Votes of the k most similar rows, for each k: a vote a row (a teacher's: its probabilities), nearer ones first.

    Args:
        queries, rows: compared by cosine.
        targets: of the rows.
        counts: the values of k.
    """
    from sklearn.neighbors import NearestNeighbors

    known = NearestNeighbors(metric="cosine", algorithm="brute").fit(rows.numpy())
    distances, nearest = map(torch.from_numpy, known.kneighbors(queries.numpy(), max(counts)))
    found = {k: torch.empty(len(queries), classes) for k in counts}
    for part in torch.split(torch.arange(len(queries)), 256):
        votes = probabilities(targets[nearest[part].flatten()], classes).view(len(part), -1, classes)
        votes = votes * (1 + 1e-3 * (1 - distances[part, :, None]))  # of as many votes, those of the more similar win
        for k in counts:
            found[k][part] = votes[:, :k].sum(1).float()
    return found
