"""Running averages of the weights of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class Average:
    """The exponential moving average of a model's weights and normalization statistics, or the model itself.

    The decay rises from 0.1 to its value, ``min(decay, (1 + n) / (10 + n))`` after n updates, so that the random start
    does not stay in the average of a short run (TensorFlow, ``ExponentialMovingAverage``, ``num_updates``).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._averaged = (
            AveragedModel(model, multi_avg_fn=self._step, use_buffers=True).requires_grad_(False) if decay else None
        )
        self.module: nn.Module = model if self._averaged is None else self._averaged.module

    def update(self, model: nn.Module) -> None:
        """Add the present weights."""
        if self._averaged is not None:
            self._averaged.update_parameters(model)

    def state(self) -> dict[str, Any]:
        """For :meth:`load`; empty without an average."""
        return {} if self._averaged is None else dict(self._averaged.state_dict())

    def load(self, state: Mapping[str, Any]) -> None:
        """Set the average."""
        if self._averaged is not None:
            self._averaged.load_state_dict(state)

    @torch.no_grad()
    def _step(self, averages: Any, currents: Any, updates: Tensor | int) -> None:
        weight = 1 - min(self.decay, (1 + int(updates)) / (10 + int(updates)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, currents, weight)
        else:  # counters
            torch._foreach_copy_(averages, currents)
