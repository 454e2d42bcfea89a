"""Layers learnt from rows of features, some thousand at a time: ridge, logistic regression, small networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from vggapps.vgg._pooling import signed_root

Index = NDArray[np.int64]
Targets = Tensor  # classes, int64 (n,), or a teacher's logits, float32 (n, classes)
Layers = tuple[tuple[Tensor, Tensor], ...]  # weight and bias of linear layers, ReLUs between

SOFT = 2.0  # the temperature of a teacher's targets in training; Hinton et al. 2015, section 3, tried 1 to 20
_ROWS, _STEP = 4096, 64  # rows that are in memory at once, and of a step of Adam


@dataclass(frozen=True, eq=False)
class Data:
    """Standardised rows and what is to be found for them.

    Attributes:
        features: (n, d), perhaps in a file.
        targets: see ``Targets``.
        root: whether the signed square root is taken first.
        mean, deviation: (d,), of the rows that are learnt from.
    """

    features: NDArray[np.float32]
    targets: Targets
    root: bool
    mean: Tensor
    deviation: Tensor

    def blocks(self, index: Index, rows: int = _ROWS) -> Iterator[tuple[Float[Tensor, "b d"], Targets]]:
        """The rows of an index, in its order, with their targets."""
        for part, block in _read(self.features, index, self.root, rows):
            yield (block - self.mean) / self.deviation, self.targets[part]


def moments(features: NDArray[np.float32], index: Index, root: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of rows, (d,) each, summed in float64; 1 where nothing varies."""
    mean = square = torch.zeros(features.shape[1], dtype=torch.float64)
    for _, rows in _read(features, index, root):
        mean = mean + rows.double().sum(0) / len(index)
    for _, rows in _read(features, index, root):
        square = square + (rows.double() - mean).square().sum(0) / len(index)
    return mean.float(), torch.where(square > 0, square.sqrt(), 1).float()


def rooted(rows: Float[Tensor, "n d"], root: bool) -> Float[Tensor, "n d"]:
    """The signed square root, or the rows as they are."""
    return signed_root(rows) if root else rows


def through(layers: Layers, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n classes"]:
    """Logits of standardised rows."""
    for weight, bias in layers[:-1]:
        rows = F.linear(rows, weight, bias).relu()
    return F.linear(rows, *layers[-1])


def probabilities(targets: Targets, classes: int) -> Float[Tensor, "n classes"]:
    """All on the right class, or as a teacher has them; float64."""
    return F.one_hot(targets, classes).double() if targets.ndim == 1 else targets.double().softmax(1)


def centred(logits: Float[Tensor, "n classes"]) -> Float[Tensor, "n classes"]:
    """Each row minus its mean, which softmax does not see; float64."""
    logits = logits.double()
    return logits - logits.mean(1, keepdim=True)


def ridge(data: Data, index: Index) -> Callable[[float], Layers]:
    """Ridge regression to a teacher's centred logits; the normal equations are summed once, in float64.

    Returns:
        A function of the strength s: the layer that minimises ``mean((W x + b - y)²) + s |W|²``, the squares summed
        over classes (Hoerl & Kennard, Technometrics 1970, eq. 2.3; here over n rows).
    """
    count, numbers, classes = len(index), data.features.shape[1], data.targets.shape[1]
    gram = torch.zeros(numbers, numbers, dtype=torch.float64)
    cross = torch.zeros(numbers, classes, dtype=torch.float64)
    x = torch.zeros(numbers, dtype=torch.float64)
    y = torch.zeros(classes, dtype=torch.float64)
    for block, logits in data.blocks(index):
        rows, wanted = block.double(), centred(logits)
        gram.addmm_(rows.T, rows, alpha=1 / count)
        cross.addmm_(rows.T, wanted, alpha=1 / count)
        x += rows.sum(0) / count
        y += wanted.sum(0) / count
    gram -= x[:, None] * x
    cross -= x[:, None] * y

    def solve(strength: float) -> Layers:
        weight = torch.linalg.solve(gram + strength * torch.eye(numbers, dtype=torch.float64), cross).T
        return ((weight.float(), (y - weight @ x).float()),)

    return solve


def logistic(data: Data, index: Index, classes: int, strength: float) -> Layers:
    """Multinomial logistic regression: minimises ``mean(-log p(y | x)) + strength / 2 |W|²`` by L-BFGS."""
    weight = torch.zeros(classes, data.features.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, tolerance_change=1e-7, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = strength / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        for rows, wanted in data.blocks(index):
            part = F.cross_entropy(F.linear(rows, weight, bias), wanted, reduction="sum") / len(index)
            part.backward()  # type: ignore[no-untyped-call]
            loss = loss.detach() + part.detach()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return ((weight.detach(), bias.detach()),)


def loss_of(layers: Layers, data: Data, index: Index) -> float:
    """What the strength is chosen by: the mean of -log p(y | x), or of the squares that ridge minimises."""
    total = 0.0
    for rows, wanted in data.blocks(index):
        logits = through(layers, rows)
        if wanted.ndim == 1:
            total += float(F.cross_entropy(logits, wanted, reduction="sum"))
        else:
            total += float((logits - centred(wanted)).square().sum())
    return total / len(index)


def beginning(numbers: int, hidden: int, classes: int, seed: int) -> Layers:
    """Two random layers: He's normal numbers for the one before the ReLU, small ones for the last; no biases."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(hidden, numbers, generator=generator) * math.sqrt(2 / numbers)
    last = torch.randn(classes, hidden, generator=generator) * 0.01
    return (first, torch.zeros(hidden)), (last, torch.zeros(classes))


def train(layers: Layers, data: Data, index: Index, epochs: int, seed: int) -> Layers:
    """Go on with layers by Adam, 64 rows a step, the rate falling from 0.001 to 0 as a cosine.

    Half the hidden units drop out at each. Minimised is the cross entropy; with a teacher that of its probabilities
    at temperature ``SOFT``, times its square, which has the gradient of their divergence (Hinton et al.,
    arXiv:1503.02531, 2015, section 2).
    """
    generator, shuffle = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    learnt = [tensor.clone().requires_grad_() for pair in layers for tensor in pair]
    pairs: Layers = tuple(zip(learnt[::2], learnt[1::2], strict=True))
    optimizer = torch.optim.Adam(learnt, 1e-3)
    steps = epochs * math.ceil(len(index) / _STEP)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    for _ in range(epochs):
        for rows, wanted in data.blocks(shuffle.permutation(index), _STEP):
            for weight, bias in pairs[:-1]:
                units = F.linear(rows, weight, bias).relu()
                rows = units * (torch.rand(units.shape, generator=generator) < 0.5) * 2
            logits = F.linear(rows, *pairs[-1])
            if wanted.ndim == 1:
                loss = F.cross_entropy(logits, wanted)
            else:
                loss = SOFT**2 * F.cross_entropy(logits / SOFT, (wanted / SOFT).softmax(1))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return tuple((weight.detach(), bias.detach()) for weight, bias in pairs)


def _read(
    features: NDArray[np.float32], index: Index, root: bool, rows: int = _ROWS
) -> Iterator[tuple[Tensor, Float[Tensor, "b d"]]]:
    """Parts of an index, and their rows: copied out of the file, in which they may lie unaligned."""
    for start in range(0, len(index), rows):
        part = index[start : start + rows]
        block = np.asarray(features[part], np.float32)
        yield torch.from_numpy(part), rooted(torch.from_numpy(block), root)
