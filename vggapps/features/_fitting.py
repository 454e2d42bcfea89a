"""Fitting layers to rows of features: logistic regression, ridge regression, small networks.

Rows are read from their file in blocks. Only logistic regression and k-means need one array, which is a temporary file
if it is large.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.vgg._exact import Radial
from vggapps.vgg._pooling import signed_root

Index = NDArray[np.int64]
Targets = Tensor  # classes, int64 (n,), or a teacher's logits, float32 (n, classes)
Layers = tuple[tuple[Tensor, Tensor], ...]  # weight and bias of linear layers, with ReLUs between

SOFT = 2.0  # temperature of distillation; Hinton et al. 2015, section 3, tried 1 to 20
_ROWS, _STEP = 4096, 64  # rows per block, and per step of Adam
_IN_MEMORY = 1 << 30  # bytes of rows above which a temporary file is used
_UNSEEN = 10.0  # difference between the lowest bias and that of a class without examples


def check_scikit_learn() -> None:
    """Raise a :class:`SettingsError` if scikit-learn is not installed."""
    if not find_spec("sklearn"):
        raise SettingsError("probes need scikit-learn", "pip install 'vggapps[probe]'")


@dataclass(frozen=True, eq=False)
class Data:
    """Standardized rows and their targets.

    Attributes:
        features: (n, d), possibly memory-mapped.
        targets: see ``Targets``.
        root: whether the signed square root is applied first.
        mean, deviation: (d,), of the training rows.
        basis: radial basis functions that replace the standardized rows, if any.
    """

    features: NDArray[np.float32]
    targets: Targets
    root: bool
    mean: Tensor
    deviation: Tensor
    basis: Radial | None = None

    def blocks(self, index: Index, rows: int = _ROWS) -> Iterator[tuple[Float[Tensor, "b d"], Targets]]:
        """The rows of an index, in its order, with their targets."""
        for part, block in _read(self.features, index, self.root, rows):
            standardized = (block - self.mean) / self.deviation
            yield standardized if self.basis is None else self.basis(standardized), self.targets[part]

    def gather(self, index: Index) -> NDArray[np.float32]:
        """The rows of an index in one array; above 1 GiB a memory-mapped temporary file."""
        shape = len(index), self.features.shape[1]
        whole: NDArray[np.float32]
        if 4 * math.prod(shape) <= _IN_MEMORY:
            whole = np.empty(shape, np.float32)
        else:
            with tempfile.TemporaryFile() as file:  # deleted with the map
                whole = np.memmap(file, np.float32, "w+", shape=shape)
        start = 0
        for rows, _ in self.blocks(index):
            whole[start : start + len(rows)] = rows
            start += len(rows)
        return whole


def moments(features: NDArray[np.float32], index: Index, root: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of rows, (d,) each, computed in float64; 1 for constant columns."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for _, rows in _read(features, index, root):
        scaler.partial_fit(rows.double().numpy())
    return torch.from_numpy(scaler.mean_).float(), torch.from_numpy(scaler.scale_).float()


def rooted(rows: Float[Tensor, "n d"], root: bool) -> Float[Tensor, "n d"]:
    """The signed square root of rows, if requested."""
    return signed_root(rows) if root else rows


def apply_layers(layers: Layers, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n classes"]:
    """Logits of standardized rows."""
    for weight, bias in layers[:-1]:
        rows = F.linear(rows, weight, bias).relu()
    return F.linear(rows, *layers[-1])


def probabilities(targets: Targets, classes: int) -> Float[Tensor, "n classes"]:
    """One-hot classes, or a teacher's probabilities; float64."""
    return F.one_hot(targets, classes).double() if targets.ndim == 1 else targets.double().softmax(1)


def centered(logits: Float[Tensor, "n classes"]) -> Float[Tensor, "n classes"]:
    """Each row minus its mean, which does not change the softmax; float64."""
    logits = logits.double()
    return logits - logits.mean(1, keepdim=True)


def normal_equations(
    data: Data, index: Index, transform: Callable[[Targets], Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The means of x xᵀ, x yᵀ, x and y over rows x and transformed targets y, in float64."""
    gram = cross = torch.zeros((), dtype=torch.float64)
    for rows, targets in data.blocks(index):
        x = F.pad(rows.double(), (0, 1), value=1.0)
        gram = gram + x.T @ x / len(index)
        cross = cross + x.T @ transform(targets) / len(index)
    return gram[:-1, :-1], cross[:-1], gram[-1, :-1], cross[-1]


def ridge(data: Data, index: Index) -> Callable[[float], Layers]:
    """Ridge regression to a teacher's centered logits (Hoerl & Kennard, Technometrics 1970, eq. 2.3).

    Returns a function of the strength s, which returns the layer that minimizes ``mean(|W x + b - y|²) + s |W|²``.
    """
    gram, cross, x, y = normal_equations(data, index, centered)
    gram, cross = gram - x[:, None] * x, cross - x[:, None] * y

    def solve(strength: float) -> Layers:
        weight = torch.linalg.solve(gram + strength * torch.eye(len(gram), dtype=gram.dtype), cross).T
        return ((weight.float(), (y - weight @ x).float()),)

    return solve


def logistic(data: Data, index: Index, classes: int) -> Callable[[float], Layers]:
    """Multinomial logistic regression by scikit-learn.

    Returns a function of the strength s, which returns the layer that minimizes ``mean(-log p(y | x)) + s / 2 |W|²``. A
    class without examples gets zero weights and a low bias.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    rows, targets = data.gather(index), data.targets[index].numpy()
    is_binary = len(np.unique(targets)) == 2  # scikit-learn then fits only w = w₁ - w₀, and |W|² = |w|² / 2

    def solve(strength: float) -> Layers:
        model = LogisticRegression(C=(1 + is_binary) / (strength * len(index)), max_iter=200)
        with warnings.catch_warnings():
            # With weak regularization, convergence takes thousands of steps without changing decisions.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(rows, targets)
        found = np.column_stack([model.coef_, model.intercept_])
        if is_binary:
            found = np.concatenate([-found, found]) / 2
        whole = np.zeros((classes, found.shape[1]), np.float32)
        whole[:, -1] = found[:, -1].min() - _UNSEEN
        whole[model.classes_] = found
        return ((torch.from_numpy(whole[:, :-1].copy()), torch.from_numpy(whole[:, -1].copy())),)

    return solve


def mean_loss(layers: Layers, data: Data, index: Index) -> float:
    """Mean cross entropy, or squared error to a teacher's logits: the criterion for the strength."""
    total = 0.0
    for rows, targets in data.blocks(index):
        logits = apply_layers(layers, rows)
        if targets.ndim == 1:
            total += float(F.cross_entropy(logits, targets, reduction="sum"))
        else:
            total += float((logits - centered(targets)).square().sum())
    return total / len(index)


def initial_layers(numbers: int, hidden: int, classes: int, seed: int) -> Layers:
    """Two random layers: He initialization for the hidden one, small weights for the last, zero biases."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(hidden, numbers, generator=generator) * math.sqrt(2 / numbers)
    last = torch.randn(classes, hidden, generator=generator) * 0.01
    return (first, torch.zeros(hidden)), (last, torch.zeros(classes))


def train(layers: Layers, data: Data, index: Index, epochs: int, seed: int) -> Layers:
    """Train layers further by Adam: batches of 64, cosine decay from 0.001 to 0, dropout 0.5.

    The loss is the cross entropy; with a teacher, that of its probabilities at temperature ``SOFT``, times ``SOFT²``
    (Hinton et al., arXiv:1503.02531, 2015, section 2).
    """
    generator, shuffle = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    parameters = [tensor.clone().requires_grad_() for pair in layers for tensor in pair]
    pairs: Layers = tuple(zip(parameters[::2], parameters[1::2], strict=True))
    optimizer = torch.optim.Adam(parameters, 1e-3)
    steps = epochs * math.ceil(len(index) / _STEP)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    for _ in range(epochs):
        for rows, targets in data.blocks(shuffle.permutation(index), _STEP):
            for weight, bias in pairs[:-1]:
                units = F.linear(rows, weight, bias).relu()
                rows = units * (torch.rand(units.shape, generator=generator) < 0.5) * 2
            logits = F.linear(rows, *pairs[-1])
            if targets.ndim == 1:
                loss = F.cross_entropy(logits, targets)
            else:
                loss = SOFT**2 * F.cross_entropy(logits / SOFT, (targets / SOFT).softmax(1))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return tuple((weight.detach(), bias.detach()) for weight, bias in pairs)


def _read(
    features: NDArray[np.float32], index: Index, root: bool, rows: int = _ROWS
) -> Iterator[tuple[Tensor, Float[Tensor, "b d"]]]:
    """Blocks of an index and their rows, copied because rows in a file may be unaligned."""
    for start in range(0, len(index), rows):
        part = index[start : start + rows]
        block = np.asarray(features[part], np.float32)
        yield torch.from_numpy(part), rooted(torch.from_numpy(block), root)
