"""A step of a training run, and what a run takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from vggapps.optimize._step import Progress

if TYPE_CHECKING:
    from vggapps.training._loop import Run

Batch = Sequence[Any]  # inputs, one or a tuple of several; targets; and more, which the loop passes over


class Metric(Protocol):
    """What the loop needs of a metric of torchmetrics."""

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Add a batch."""

    def compute(self) -> Any:
        """The value over all batches since the last ``reset``."""

    def reset(self) -> None:
        """Forget all batches."""


class Batches(Protocol):
    """The batches of one epoch: a DataLoader, a list, or :class:`~vggapps.training.PictureBatches`."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class TrainingStep(Progress):
    """One update of the weights.

    Attributes:
        loss: mean over the step's batches, before the update.
        epoch: from 1.
        ends_epoch: whether it is the last of its epoch.
        learning_rate: of the update; the highest, if layers have different ones.
        gradient_norm: of all gradients, before they are clipped.
        metrics: over the epoch so far.
        pictures: inputs of the step, in this process.
        unreadable: pictures of the step that could not be read, a line each.
    """

    epoch: int
    ends_epoch: bool
    learning_rate: float
    gradient_norm: float
    metrics: Mapping[str, float]
    pictures: int
    unreadable: tuple[str, ...]
    _run: Run = field(repr=False, compare=False)

    def network(self) -> nn.Module:
        """The network with the averaged weights, or the trained one without ``ema``; use it before the next step."""
        return self._current().average.module

    def report(self, score: float) -> None:
        """Tell the plateau schedule the score of an epoch, such as the validation accuracy; higher is better."""
        self._current().rate.report(score)

    def state(self) -> dict[str, Any]:
        """What ``fit(..., state=)`` needs to go on after this step, for :func:`torch.save`.

        With several processes, all must call it, and the first one has the whole state.
        """
        return self._current().state()

    def _current(self) -> Run:
        if self._run.step != self.index:
            raise RuntimeError("a later step has been taken: call this before the next step")
        return self._run
