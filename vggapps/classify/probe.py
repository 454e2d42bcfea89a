"""What can be read off features: a linear layer, a small network or the nearest neighbours, and how well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from vggapps.classify import radial
from vggapps.classify.feature_files import FeatureTable
from vggapps.classify.fitting import (
    Data,
    Index,
    Layers,
    Targets,
    beginning,
    logistic,
    loss_of,
    moments,
    probabilities,
    ridge,
    train,
)
from vggapps.classify.heads import Head
from vggapps.errors import SettingsError, unknown
from vggapps.vgg.radial import Radial

Kind = Literal["linear", "mlp", "radial", "knn"]
KINDS: tuple[Kind, ...] = get_args(Kind)
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of L2, per row: what is chosen from
NEIGHBOURS = (1, 3, 5, 10, 20, 50)


@dataclass(frozen=True)
class Report:
    """How well it went on the rows that were held out.

    Attributes:
        top1, top5: share of rows whose class is first, among the first five; with a teacher, whose first class is.
        temperature: one number that minimises these rows' negative log likelihood; None for neighbours.
        chosen: the L2 strength or the number of neighbours that did best on a fifth of the learnt rows.
        learnt, tested: rows.
    """

    top1: float
    top5: float
    temperature: float | None
    chosen: float | None
    learnt: int
    tested: int


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
        table: features; read some thousand rows at a time; ``knn`` alone keeps them all.
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
        SettingsError: a wrong word, or targets that do not fit the rows.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    if len(targets) != len(table.features):
        raise SettingsError(f"{len(targets)} targets for {len(table.features)} rows", "give one for each row")
    if not 0 < test < 1:
        raise SettingsError(f"--test is {test}", "it must be between 0 and 1")
    learn, tested = split(targets, test, seed)
    if kind == "knn":
        rows = F.normalize(torch.from_numpy(np.array(table.features)))
        fit, held = split(targets[learn], 0.2, seed)
        counts = [k for k in NEIGHBOURS if k <= len(fit)]
        votes = neighbours(rows[learn[held]], rows[learn[fit]], targets[learn[fit]], len(labels), counts)
        best = max(counts, key=lambda k: top(votes[k], targets[learn[held]], 1))
        found = neighbours(rows[tested], rows[learn], targets[learn], len(labels), [best])[best]
        scores = [top(found, targets[tested], count) for count in (1, 5)]
        return Report(scores[0], scores[1], None, best, len(learn), len(tested)), None
    data = Data(table.features, targets, root, *moments(table.features, learn, root))
    strength, basis = None, None
    if kind == "radial":
        strength, basis, layers = _radial(data, learn, len(labels), hidden, seed)
    elif kind == "linear":
        strength, layers = _linear(data, learn, len(labels), seed)
        if targets.ndim == 2 and epochs:
            layers = train(layers, data, learn, epochs, seed)
    else:
        layers = beginning(table.features.shape[1], hidden, len(labels), seed)
        layers = train(layers, data, learn, 50 if epochs is None else epochs, seed)
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
        radial=basis,
    )
    logits = torch.cat([head.scores(rows) for rows, _ in data.blocks(tested)])
    scores = [top(logits, targets[tested], count) for count in (1, 5)]
    heat = calibrate(logits, targets[tested])
    head = replace(head, temperature=heat)
    return Report(scores[0], scores[1], heat, strength, len(learn), len(tested)), head


def split(targets: Targets, share: float, seed: int = 0) -> tuple[Index, Index]:
    """Indices of two parts, sorted: the rest, and about this share of the rows, of each class (logits: of all) alike.

    A class of one row stays with the rest, one of two gives one row.

    Raises:
        SettingsError: so few rows that a part would be empty.
    """
    generator = np.random.default_rng(seed)
    groups = [np.arange(len(targets))]
    if targets.ndim == 1:
        classes = targets.numpy()
        order = np.argsort(classes, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(classes[order])) + 1)
    held = [generator.permutation(g)[: max(round(share * len(g)), 1) if len(g) > 1 else 0] for g in groups]
    second = np.sort(np.concatenate(held))
    first = np.setdiff1d(np.arange(len(targets)), second)
    if not (len(first) and len(second)):
        raise SettingsError(f"{len(targets)} pictures are too few to hold some back", "give two of a class at least")
    return first, second


def top(scores: Float[Tensor, "n classes"], targets: Targets, count: int) -> float:
    """Share of rows whose class (a teacher's first) is among the ``count`` highest scores."""
    right = targets if targets.ndim == 1 else targets.argmax(1)
    best = scores.topk(min(count, scores.shape[1]), 1).indices
    return float((best == right[:, None]).any(1).float().mean())


def calibrate(logits: Float[Tensor, "n classes"], targets: Targets) -> float:
    """The temperature that minimises the negative log likelihood (Guo et al., ICML 2017, section 4.2).

    The likelihood is convex in 1/T, so that its slope, the mean of E_p[z] - E_q[z] over rows, is halved to its zero.
    Between 0.05 and 20: what is told perfectly would go to 0. A teacher's probabilities stand for its classes.
    """
    logits = logits.double()
    wanted = (probabilities(targets, logits.shape[1]) * logits).sum(1).mean()
    low, high = 1 / 20, 20.0
    for _ in range(50):
        middle = (low * high) ** 0.5
        slope = ((middle * logits).softmax(1) * logits).sum(1).mean() - wanted
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(1 / middle)


def neighbours(
    queries: Float[Tensor, "m d"], rows: Float[Tensor, "n d"], targets: Targets, classes: int, counts: Sequence[int]
) -> dict[int, Float[Tensor, "m classes"]]:
    """Votes of the k most similar rows, for each k: a vote a row (a teacher's: its probabilities), nearer ones first.

    Args:
        queries, rows: of length 1, so that products are cosines.
        targets: of the rows.
        counts: the values of k.
    """
    parts: dict[int, list[Tensor]] = {k: [] for k in counts}
    for block in torch.split(queries, 256):
        cosines, nearest = (block @ rows.T).topk(max(counts), 1)
        votes = probabilities(targets[nearest.flatten()], classes).view(*nearest.shape, classes)
        votes = votes * (1 + 1e-3 * cosines[..., None])  # of as many votes, those of the more similar win
        for k in counts:
            parts[k].append(votes[:, :k].sum(1))
    return {k: torch.cat(found) for k, found in parts.items()}


def _linear(data: Data, learn: Index, classes: int, seed: int) -> tuple[float, Layers]:
    """The L2 strength that does best on a fifth of the rows that may be learnt from, then all of these rows."""
    first, second = split(data.targets[learn], 0.2, seed)
    fit, held = learn[first], learn[second]
    solve = ridge(data, fit) if data.targets.ndim == 2 else partial(logistic, data, fit, classes)
    best = min(STRENGTHS, key=lambda strength: loss_of(solve(strength), data, held))
    return best, ridge(data, learn)(best) if data.targets.ndim == 2 else logistic(data, learn, classes, best)


def _radial(data: Data, learn: Index, classes: int, count: int, seed: int) -> tuple[float, Radial, Layers]:
    """As :func:`_linear`; the centres are those of all rows that may be learnt from."""
    first, second = split(data.targets[learn], 0.2, seed)
    fit, held = learn[first], learn[second]
    layer = radial.layer_of(radial.centres(data, learn, count, seed))
    solve = radial.ridge(data, fit, layer, classes)
    best = max(reversed(radial.STRENGTHS), key=lambda strength: radial.right(layer, solve(strength), data, held))
    return best, layer, (radial.ridge(data, learn, layer, classes)(best),)
