"""Heads of radial basis functions: centres by k-means, scores by ridge regression, both in bounded memory.

D. Broomhead, D. Lowe, Multivariable functional interpolation and adaptive networks, Complex Systems 2 (1988). With the
centres among the examples it is Nyström's approximation of kernel ridge regression (C. Williams, M. Seeger, Using the
Nyström method to speed up kernel machines, NIPS 2000, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

from vggapps.features._fitting import Data, Index, Targets, centred, probabilities
from vggapps.vgg._radial import Radial

STRENGTHS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)  # of the kernel's norm: what is chosen from
ROUNDS = 8  # of k-means, which after so many moves the centres little
WIDTH = 2.0  # of the functions, its square in units of half the mean square distance of rows


def centres(data: Data, index: Index, count: int, seed: int) -> Float[Tensor, "count d"]:
    """k-means of standardised rows: centres that no row is nearest to stay where they are."""
    first = np.random.default_rng(seed).choice(index, min(count, len(index)), replace=False)
    found = torch.cat([rows for rows, _ in data.blocks(np.sort(first))])
    for _ in range(ROUNDS):
        sums, counts = torch.zeros_like(found), torch.zeros(len(found))
        for rows, _ in data.blocks(index):
            nearest = torch.cdist(rows, found).argmin(1)
            sums.index_add_(0, nearest, rows)
            counts.index_add_(0, nearest, torch.ones(len(rows)))
        found = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], found)
    return found


def layer_of(found: Float[Tensor, "count d"]) -> Radial:
    """Radial basis functions around centres of standardised rows, of which two have 2 d as mean square distance."""
    width = math.sqrt(2 * WIDTH * found.shape[1])
    layer = Radial(found.shape[1], len(found))
    with torch.no_grad():
        layer.weight.copy_(found / width)
        layer.scale.fill_(1 / width)
    return layer.requires_grad_(False)


def ridge(data: Data, index: Index, layer: Radial, classes: int) -> Callable[[float], tuple[Tensor, Tensor]]:
    """Ridge regression from the functions' values to scores: a teacher's centred logits, or 10 for the right class.

    Returns:
        A function of the strength s: the weight (classes, centres) and bias that minimise
        ``mean(|W φ(x) + b - y|²) + s Σ W K Wᵀ``, K the functions of the centres themselves: the norm of the kernel's
        space, which makes this Nyström's approximation.
    """
    count, hidden = len(index), layer.weight.shape[0]
    gram: Float64[Tensor, "h h"] = torch.zeros(hidden, hidden, dtype=torch.float64)
    cross: Float64[Tensor, "h c"] = torch.zeros(hidden, classes, dtype=torch.float64)
    y, mean = torch.zeros(classes, dtype=torch.float64), torch.zeros(hidden, dtype=torch.float64)
    for rows, targets in data.blocks(index):
        values = layer(rows).double()
        wanted = _wanted(targets, classes)
        gram.addmm_(values.T, values, alpha=1 / count)
        cross.addmm_(values.T, wanted, alpha=1 / count)
        y += wanted.sum(0) / count
        mean += values.sum(0) / count
    # The bias is the scores' mean: far from all centres the functions are zero, and nothing else is known there.
    cross -= mean[:, None] * y
    kernel = (-torch.cdist(layer.weight, layer.weight).double().square()).exp()
    tiny = 1e-9 * torch.eye(hidden, dtype=torch.float64)  # two centres may be one

    def solve(strength: float) -> tuple[Tensor, Tensor]:
        weight = torch.linalg.solve(gram + strength * kernel + tiny, cross).T
        return weight.float(), y.float()

    return solve


def right(layer: Radial, linear: tuple[Tensor, Tensor], data: Data, index: Index) -> float:
    """What the strength is chosen by: the share of rows whose class, or a teacher's first, has the highest score.

    Not the squares that :func:`ridge` minimises: they are ruled by the hundreds of classes that a picture is not of.
    """
    count = 0
    for rows, targets in data.blocks(index):
        scores = F.linear(layer(rows), *linear)
        count += int((scores.argmax(1) == (targets if targets.ndim == 1 else targets.argmax(1))).sum())
    return count / len(index)


def _wanted(targets: Targets, classes: int) -> Float64[Tensor, "n classes"]:
    # Scores as far apart as a network's are, so that temperatures are of the order of 1.
    return centred(targets) if targets.ndim == 2 else 10 * probabilities(targets, classes)
