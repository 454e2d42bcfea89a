"""Stop torch in the middle of a step.

A step at a large size takes seconds, a slow explanation minutes. A single operation of torch takes a fraction of a
second, so the request to stop is checked before each operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Interrupted(Exception):
    """The computation was stopped. Tensors are as after the last complete operation."""


@contextmanager
def interruptible(should_stop: Callable[[], bool]) -> Iterator[None]:
    """A context in which each torch operation of this thread first calls ``should_stop``.

    It costs microseconds per operation and changes no values. An interrupted optimization can still show its last
    complete step.

    Raises:
        Interrupted: from the next operation once ``should_stop()`` is true.
    """
    with _StopCheck(should_stop):
        yield


class _StopCheck(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Intercepts all operations, also of the backward pass, which on the CPU runs in the calling thread."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.should_stop = should_stop

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.should_stop():
            raise Interrupted
        return func(*args, **(kwargs or {}))
