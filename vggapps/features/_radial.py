"""Heads of radial basis functions: centres by k-means, scores by ridge regression, both in bounded memory.

D. Broomhead, D. Lowe, Multivariable functional interpolation and adaptive networks, Complex Systems 2 (1988). With the
centres among the examples it is Nyström's approximation of kernel ridge regression (C. Williams, M. Seeger, Using the
Nyström method to speed up kernel machines, NIPS 2000, section 2).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from vggapps.features._fitting import (
    Data,
    Index,
    Layers,
    Targets,
    centred,
    normal_equations,
    probabilities,
    through,
)
from vggapps.vgg._radial import Radial

STRENGTHS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)  # of the kernel's norm: what is chosen from
ROUNDS = 8  # of k-means, which after so many moves the centres little
WIDTH = 2.0  # of the functions, its square in units of half the mean square distance of rows


def centres(data: Data, index: Index, count: int, seed: int) -> Float[Tensor, "count d"]:
    """k-means of standardised rows by scikit-learn, from random rows."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    # The rows are moved to their mean and back in place instead of being copied.
    model = KMeans(min(count, len(index)), init="random", max_iter=ROUNDS, copy_x=False, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # where copies make fewer distinct rows than centres
        return torch.from_numpy(model.fit(data.gathered(index)).cluster_centers_)


def with_basis(data: Data, found: Float[Tensor, "count d"]) -> Data:
    """Data whose rows are radial basis functions around centres of standardised rows.

    Two standardised rows have 2 d as mean square distance, of which the functions' width is made.
    """
    width = math.sqrt(2 * WIDTH * found.shape[1])
    layer = Radial(found.shape[1], len(found))
    with torch.no_grad():
        layer.weight.copy_(found / width)
        layer.scale.fill_(1 / width)
    return replace(data, basis=layer.requires_grad_(False))


def ridge(data: Data, index: Index, classes: int) -> Callable[[float], Layers]:
    """Ridge regression from the functions' values to scores: a teacher's centred logits, or 10 for the right class.

    Returns:
        A function of the strength s: the layer, weight (classes, centres) and bias, that minimises
        ``mean(|W φ(x) + b - y|²) + s Σ W K Wᵀ``, K the functions of the centres themselves: the norm of the kernel's
        space, which makes this Nyström's approximation.
    """

    def wanted(targets: Targets) -> Float64[Tensor, "n classes"]:
        # Scores as far apart as a network's are, so that temperatures are of the order of 1.
        return centred(targets) if targets.ndim == 2 else 10 * probabilities(targets, classes)

    assert data.basis
    gram, cross, mean, y = normal_equations(data, index, wanted)
    # The bias is the scores' mean: far from all centres the functions are zero, and nothing else is known there.
    cross = cross - mean[:, None] * y
    kernel = (-torch.cdist(data.basis.weight, data.basis.weight).double().square()).exp()
    tiny = 1e-9 * torch.eye(len(kernel), dtype=torch.float64)  # two centres may be one

    def solve(strength: float) -> Layers:
        weight = torch.linalg.solve(gram + strength * kernel + tiny, cross).T
        return ((weight.float(), y.float()),)

    return solve


def accuracy(layers: Layers, data: Data, index: Index) -> float:
    """What the strength is chosen by: the share of rows whose class, or a teacher's first, has the highest score.

    Not the squares that :func:`ridge` minimises: they are ruled by the hundreds of classes that a picture is not of.
    """
    count = 0
    for rows, targets in data.blocks(index):
        right = targets if targets.ndim == 1 else targets.argmax(1)
        count += int((through(layers, rows).argmax(1) == right).sum())
    return count / len(index)
