"""A run's own random numbers: independent of what else draws from torch's default generators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Generators:
    """The state of torch's default generators, of the CPU and of one device, during the steps of a run.

    Args:
        seed: of both.
        device: whose generator a network uses.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self.state: tuple[Tensor, ...] = ()
        with self._restored():
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                torch.cuda.manual_seed(seed)  # of the current device; fit makes the network's device current
            self.state = self._current()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Draw from this state inside the block; the caller's state is restored after it."""
        with self._restored():
            self.restore(self.state)
            try:
                yield
            finally:
                self.state = self._current()

    def restore(self, state: tuple[Tensor, ...]) -> None:
        """Set the current state of the default generators."""
        torch.set_rng_state(state[0])
        if len(state) > 1:
            torch.cuda.set_rng_state(state[1], self.device)

    def _current(self) -> tuple[Tensor, ...]:
        cpu = torch.get_rng_state()
        return (cpu, torch.cuda.get_rng_state(self.device)) if self.device.type == "cuda" else (cpu,)

    @contextmanager
    def _restored(self) -> Iterator[None]:
        before = self._current()
        try:
            yield
        finally:
            self.restore(before)
