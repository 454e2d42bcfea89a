"""Distances of feature clouds written out slowly, position by position, in numpy and double precision.

Maps are c × h × w. Every twin is the formula of its paper, with no thought for zero or memory.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import sqrtm

Place = tuple[int, int]


def places(features: np.ndarray) -> list[Place]:
    """Row and column of each position."""
    return [(row, column) for row in range(features.shape[1]) for column in range(features.shape[2])]


def points(features: np.ndarray) -> list[np.ndarray]:
    return [features[:, row, column] for row, column in places(features)]


def pairs(x: list, y: list, of: Callable[..., float]) -> np.ndarray:
    """A number for each pair."""
    return np.array([[of(a, b) for b in y] for a in x])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(1 - a @ b / (np.sqrt(a @ a) * np.sqrt(b @ b)))


def squared(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a - b) ** 2).sum())


def sliced(x: np.ndarray, y: np.ndarray, directions: np.ndarray) -> float:
    """Clouds of m and k points: each point k, or m, times over, so that all can be paired in order."""
    total = 0.0
    for direction in directions:
        a, b = (sorted(float(p @ direction) for p in points(f)) for f in (x, y))
        a, b = [v for v in a for _ in points(y)], [v for v in b for _ in points(x)]
        total += sum((u - v) ** 2 for u, v in zip(a, b, strict=True)) / len(a)
    return total / len(directions)


def histogram(x: np.ndarray, y: np.ndarray) -> float:
    return sliced(x, y, np.eye(len(x)))


def mmd(x: np.ndarray, y: np.ndarray, kernel: Callable[[np.ndarray, np.ndarray], float]) -> float:
    within = [pairs(points(f), points(f), kernel).mean() for f in (x, y)]
    return float(sum(within) - 2 * pairs(points(x), points(y), kernel).mean())


def mmd_linear(x: np.ndarray, y: np.ndarray) -> float:
    return mmd(x, y, lambda a, b: float(a @ b))


def mmd_polynomial(x: np.ndarray, y: np.ndarray) -> float:
    return mmd(x, y, lambda a, b: float(a @ b) ** 2)


def spread(x: np.ndarray, y: np.ndarray) -> float:
    """Mean squared distance of two positions, each from either picture."""
    both = (points(x), points(y))
    return float(np.mean([pairs(a, b, squared).mean() for a in both for b in both]))


def mmd_gaussian(x: np.ndarray, y: np.ndarray, variance: float | None = None) -> float:
    wide = variance or spread(x, y)
    return mmd(x, y, lambda a, b: float(np.exp(-squared(a, b) / (2 * wide))))


def relaxed_emd(x: np.ndarray, y: np.ndarray, distance: Callable[..., float] = cosine) -> float:
    d = pairs(points(x), points(y), distance)
    return float(max(d.min(1).mean(), d.min(0).mean()))


def relaxed_emd_euclidean(x: np.ndarray, y: np.ndarray) -> float:
    return relaxed_emd(x, y, lambda a, b: squared(a, b) ** 0.5)


def shares(distances: np.ndarray, bandwidth: float, epsilon: float) -> np.ndarray:
    """What part of each row's weight goes to whom."""
    weights = np.zeros_like(distances)
    for i, row in enumerate(distances):
        for j, d in enumerate(row):
            weights[i, j] = np.exp((1 - d / (min(row) + epsilon)) / bandwidth)
        weights[i] /= weights[i].sum()
    return weights


def from_shares(cx: np.ndarray) -> float:
    return float(-np.log(np.mean([max(column) for column in cx.T])))


def by_features(x: np.ndarray, y: np.ndarray, mean: np.ndarray, bandwidth: float, epsilon: float) -> np.ndarray:
    return shares(pairs(points(x - mean), points(y - mean), cosine) / 2, bandwidth, epsilon)


def contextual(x: np.ndarray, y: np.ndarray, bandwidth: float = 0.5, epsilon: float = 1e-5) -> float:
    return from_shares(by_features(x, y, y.mean((1, 2), keepdims=True), bandwidth, epsilon))


def cobi(
    x: np.ndarray,
    y: np.ndarray,
    bandwidth: float = 0.5,
    epsilon: float = 1e-5,
    spatial_weight: float = 0.1,
    grid: float = 1.0,
) -> float:
    features = by_features(x, y, y.mean((1, 2), keepdims=True), bandwidth, epsilon)
    grids = [[np.array([grid * r / f.shape[1], grid * c / f.shape[2]]) for r, c in places(f)] for f in (x, y)]
    near = shares(pairs(*grids, squared), bandwidth, epsilon)
    return from_shares((1 - spatial_weight) * features + spatial_weight * near)


def id_mrf(x: np.ndarray, y: np.ndarray) -> float:
    return from_shares(by_features(x, y, y.mean(0, keepdims=True), 0.5, 1e-5))


def self_similarity(x: np.ndarray, y: np.ndarray) -> float:
    a, b = (pairs(points(f), points(f), cosine) for f in (x, y))
    return float(np.abs(a / a.sum(0) - b / b.sum(0)).mean() * len(a))


def wasserstein(x: np.ndarray, y: np.ndarray, epsilon: float = 1e-4) -> float:
    """Of the Gaussians through both clouds, with the ridge relative to y's mean variance, or a hundredth of x's."""
    clouds = [np.array(points(f)) for f in (x, y)]
    means = [cloud.mean(0) for cloud in clouds]
    covariances = [np.cov(cloud.T, bias=True) for cloud in clouds]
    variances = [np.trace(covariance) / len(x) for covariance in covariances]
    ridge = epsilon * max(variances[1], 0.01 * variances[0])
    a, b = (covariance + ridge * np.eye(len(x)) for covariance in covariances)
    root = sqrtm(a @ b).real
    return float(((means[0] - means[1]) ** 2).mean() + np.trace(a + b - 2 * root) / len(x))
