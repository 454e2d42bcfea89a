"""Stopping torch in the middle of a step.

A step at a large size takes seconds, a slow explanation minutes. Between two operations of torch there is never more
than a part of a second: there is looked whether somebody asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Interrupted(Exception):
    """Somebody asked to stop. Leaves, pictures and networks are as they were after the last whole operation."""


@contextmanager
def interruptible(asked: Callable[[], bool]) -> Iterator[None]:
    """Within it, each operation that this thread asks of torch first looks whether to go on.

    That costs microseconds an operation, and changes no number. An optimisation that it ends can still show its last
    whole step.

    Args:
        asked: whether to stop; called often, from this thread.

    Raises:
        Interrupted: from whatever operation comes next, once ``asked()`` is true.
    """
    with _Asking(asked):
        yield


class _Asking(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation, those of the backward pass too: on a processor that runs in the calling thread."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.asked = asked

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.asked():
            raise Interrupted
        return func(*args, **(kwargs or {}))
