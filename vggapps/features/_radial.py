"""Radial basis function heads: centers by k-means, scores by ridge regression.

D. Broomhead, D. Lowe, Multivariable functional interpolation and adaptive networks, Complex Systems 2 (1988). With
centers among the examples this is Nyström's approximation of kernel ridge regression (C. Williams, M. Seeger, Using the
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
    apply_layers,
    centered,
    normal_equations,
    probabilities,
)
from vggapps.vgg._exact import Radial

STRENGTHS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)  # candidates for the penalty of the kernel's norm
ROUNDS = 8  # iterations of k-means; more change the centers little
WIDTH = 2.0  # of the functions: its square in units of half the mean squared distance of rows


def centers(data: Data, index: Index, count: int, seed: int) -> Float[Tensor, "count d"]:
    """k-means of standardized rows by scikit-learn, from random rows."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    # copy_x=False: the rows are centered in place, to save memory.
    model = KMeans(min(count, len(index)), init="random", max_iter=ROUNDS, copy_x=False, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # copies may leave fewer distinct rows than centers
        return torch.from_numpy(model.fit(data.gather(index)).cluster_centers_)


def with_basis(data: Data, found: Float[Tensor, "count d"]) -> Data:
    """Replace standardized rows by radial basis functions around these centers.

    Their width is relative to the mean squared distance of two standardized rows, 2 d.
    """
    width = math.sqrt(2 * WIDTH * found.shape[1])
    layer = Radial(found.shape[1], len(found))
    with torch.no_grad():
        layer.weight.copy_(found / width)
        layer.scale.fill_(1 / width)
    return replace(data, basis=layer.requires_grad_(False))


def ridge(data: Data, index: Index, classes: int) -> Callable[[float], Layers]:
    """Ridge regression from radial basis functions to a teacher's centered logits, or to 10 for the true class.

    Returns a function of the strength s, which returns the layer, weight (classes, centers) and bias, that minimizes
    ``mean(|W φ(x) + b - y|²) + s Σ W K Wᵀ``, K the kernel matrix of the centers.
    """

    def scores(targets: Targets) -> Float64[Tensor, "n classes"]:
        # 10 is the typical range of a network's logits, so that temperatures are of the order of 1.
        return centered(targets) if targets.ndim == 2 else 10 * probabilities(targets, classes)

    assert data.basis
    gram, cross, mean, y = normal_equations(data, index, scores)
    # The bias is the mean score, the prediction far from all centers.
    cross = cross - mean[:, None] * y
    kernel = (-torch.cdist(data.basis.weight, data.basis.weight).double().square()).exp()
    tiny = 1e-9 * torch.eye(len(kernel), dtype=torch.float64)  # centers may coincide

    def solve(strength: float) -> Layers:
        weight = torch.linalg.solve(gram + strength * kernel + tiny, cross).T
        return ((weight.float(), y.float()),)

    return solve


def accuracy(layers: Layers, data: Data, index: Index) -> float:
    """Share of rows with the highest score for the true class, or the teacher's first: the criterion for the strength.

    The squared error is dominated by the many wrong classes of each picture.
    """
    count = 0
    for rows, targets in data.blocks(index):
        right = targets if targets.ndim == 1 else targets.argmax(1)
        count += int((apply_layers(layers, rows).argmax(1) == right).sum())
    return count / len(index)
