"""Accuracy on the validation pictures, and the temperature that calibrates the probabilities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vggapps.features._learning import LEAST, calibrate
from vggapps.training._batches import Batch
from vggapps.training._network import evaluating


@dataclass(frozen=True, eq=False)
class Validation:
    """The results on the validation pictures.

    Attributes:
        logits: of every picture that could be read, float32.
        targets: their classes.
        unreadable: number of pictures that could not be read.
    """

    logits: Float[Tensor, "n classes"]
    targets: Int[Tensor, " n"]
    unreadable: int

    @property
    def loss(self) -> float:
        """Mean cross entropy in nats, without label smoothing; NaN without pictures."""
        return float(F.cross_entropy(self.logits, self.targets))

    def accuracy(self, top: int = 1) -> float:
        """Share of pictures in [0, 1] whose class is among the ``top`` most probable ones."""
        best = self.logits.topk(min(top, self.logits.shape[1])).indices
        return float((best == self.targets[:, None]).any(1).float().mean())

    def temperature(self) -> float:
        """The divisor of the logits that minimizes the loss; 1 for too few pictures or no mistake to learn it from."""
        if len(self.targets) < LEAST or self.accuracy() == 1:
            return 1.0
        return calibrate(self.logits, self.targets)


def validate(network: nn.Module, batches: Iterable[Batch], dtype: torch.dtype) -> Validation:
    """Run a network, in evaluation mode, on batches of pictures; several processes share their results.

    Args:
        network: from pictures to logits.
        batches: each process has its part of the pictures.
        dtype: of the convolutions.
    """
    device = next(network.parameters()).device
    logits, targets, unreadable = [], [], 0
    for batch in batches:
        unreadable += len(batch.unreadable)
        if len(batch.images):
            images = batch.images.to(device).contiguous(memory_format=torch.channels_last)
            with evaluating(network), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                logits.append(network(images).float().cpu())
            targets.append(batch.targets)
    mine = (logits, targets, unreadable)
    parts = [mine]
    if dist.is_initialized():
        parts = [mine] * dist.get_world_size()
        dist.all_gather_object(parts, mine)
    rows = [row for part in parts for row in part[0]]
    if not rows:
        return Validation(torch.empty(0, 1), torch.empty(0, dtype=torch.long), sum(part[2] for part in parts))
    return Validation(
        torch.cat(rows), torch.cat([row for part in parts for row in part[1]]), sum(part[2] for part in parts)
    )
