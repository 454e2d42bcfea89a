"""Loss and accuracy over an epoch of training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from vggapps.training._step import TrainingStep


@dataclass
class EpochSums:
    """Sums over the steps of the present epoch, kept in checkpoints; a metric for :func:`~vggapps.training.fit`.

    Attributes:
        loss: of all pictures, with augmentation and label smoothing.
        pictures: number of them.
        correct: number of those whose most probable class is theirs; of mixed pictures, that with the larger share.
        unreadable: number of pictures that could not be read.
    """

    loss: float = 0.0
    pictures: int = 0
    correct: int = 0
    unreadable: int = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Count the correct ones of a batch."""
        classes = targets if targets.ndim == 1 else targets.argmax(1)
        self.correct += int((outputs.argmax(1) == classes).sum())
        self.pictures += len(outputs)

    def compute(self) -> float:
        """Share of correct pictures so far."""
        return self.correct / max(1, self.pictures)

    def reset(self) -> None:
        """Begin an epoch."""
        self.loss, self.pictures, self.correct, self.unreadable = 0.0, 0, 0, 0

    def add(self, step: TrainingStep) -> None:
        """Add a step's loss and its unreadable pictures."""
        self.loss += step.loss * step.pictures
        self.unreadable += len(step.unreadable)

    def means(self) -> dict[str, float]:
        """Mean loss and accuracy over the epoch, of all processes."""
        sums = torch.tensor([self.loss, self.pictures, self.correct, self.unreadable], dtype=torch.float64)
        if dist.is_initialized():
            parts = [sums] * dist.get_world_size()
            dist.all_gather_object(parts, sums)
            sums = torch.stack(parts).sum(0)
        loss, pictures, correct, unreadable = sums.tolist()
        self.unreadable = int(unreadable)
        return {"loss": loss / max(1, pictures), "top1": correct / max(1, pictures)}

    def state(self) -> dict[str, Any]:
        """The fields, to be given to the constructor."""
        return asdict(self)
