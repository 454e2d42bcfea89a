"""The style statistics written out slowly, position by position, in numpy and double precision."""

from __future__ import annotations

import numpy as np


def mean(features: np.ndarray) -> np.ndarray:
    """E[f] of a c × h × w map."""
    channels, height, width = features.shape
    total = np.zeros(channels)
    for row in range(height):
        for column in range(width):
            total += features[:, row, column]
    return total / (height * width)


def second(features: np.ndarray) -> np.ndarray:
    """E[f fᵀ]: the Gram matrix over the number of positions."""
    channels, height, width = features.shape
    total = np.zeros((channels, channels))
    for row in range(height):
        for column in range(width):
            total += np.outer(features[:, row, column], features[:, row, column])
    return total / (height * width)


def covariance(features: np.ndarray) -> np.ndarray:
    """E[(f - E f)(f - E f)ᵀ]."""
    centred = features - mean(features)[:, None, None]
    return second(centred)


def relative(x: np.ndarray, target: np.ndarray) -> float:
    """‖x - target‖ / ‖target‖, Frobenius."""
    return float(np.sqrt(((x - target) ** 2).sum() / (target**2).sum()))


def gram(x: np.ndarray, target: np.ndarray) -> float:
    return relative(second(x), second(target))


def mean_covariance(x: np.ndarray, target: np.ndarray) -> float:
    return (relative(covariance(x), covariance(target)) + relative(mean(x), mean(target))) / 2


def mean_std(x: np.ndarray, target: np.ndarray) -> float:
    stds = [np.sqrt(np.diag(covariance(f)) + 1e-5) for f in (x, target)]
    return (relative(*stds) + relative(mean(x), mean(target))) / 2


TWINS = {"gram": gram, "mean-covariance": mean_covariance, "mean-std": mean_std}
