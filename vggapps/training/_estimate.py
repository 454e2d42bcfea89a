"""How long a run will take, and how much memory it needs, measured on one small step."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vggapps._memory import free_memory
from vggapps.errors import OutOfMemoryError, argument
from vggapps.training._fit import fit
from vggapps.training._settings import FitSettings

_PICTURES = 8  # of the measured step; on a GPU the whole batch, which small ones would not fill
_TENSORS = 4  # of the weights' size: weights, gradients and two of the optimizer
_SPARE = 1.2  # for temporary tensors and fragmentation


@dataclass(frozen=True)
class Estimate:
    """The cost of a run.

    Attributes:
        seconds: for all steps, without validation.
        bytes: of memory, for weights, their gradients and averages, and what the backward pass keeps.
        free: available bytes on the device.
    """

    seconds: float
    bytes: int
    free: int


def estimate(
    trained: nn.Module,
    batch: Any,
    loss: Callable[[Any, Any], Tensor],
    settings: FitSettings,
    steps: int,
) -> Estimate:
    """Measure a step on a copy of a network.

    Args:
        trained: the network; it is not changed.
        batch: (inputs, targets, ...) of a typical step.
        loss: of the run.
        settings: of the run.
        steps: of the run.

    Raises:
        OutOfMemoryError: the run needs more memory than there is.
    """
    device = next(trained.parameters()).device
    whole = len(batch[0])
    count = min(whole, whole if device.type == "cuda" else _PICTURES)
    few = (batch[0][:count], batch[1][:count])
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    copy = deepcopy(trained)
    weights = sum(p.numel() * p.element_size() for p in copy.parameters())
    once = FitSettings(epochs=1, optimizer="sgd", schedule="constant", learning_rate=0.0, dtype=settings.dtype)
    seconds = []
    for hooked in (True, False, False):  # the first step also allocates memory
        start = time.perf_counter()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor) if hooked else nullcontext():
            next(fit(copy, [few], loss, once))
        seconds.append(time.perf_counter() - start)
    activations = max(0, sum(kept.values()) - weights) * whole // count
    needed = round(_SPARE * (weights * (_TENSORS + (settings.ema > 0)) + activations))
    step = min(seconds[1:]) * whole / count
    found = Estimate(steps * settings.accumulate * step, needed, free_memory(device))
    if needed > found.free:
        raise OutOfMemoryError(
            f"training needs about {needed / 1e9:.1f} GB of memory, and {found.free / 1e9:.1f} GB are free",
            f"use a smaller {argument('batch')} and {argument('accumulate', 2)}, or {argument('checkpointing', True)}",
        )
    return found
