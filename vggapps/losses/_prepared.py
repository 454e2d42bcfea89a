"""What prepared targets of all kinds can do: be indexed, moved, repeated, and put together to batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.data._utils.collate import default_collate_fn_map  # where torch's docs say to add to it

from vggapps.errors import SettingsError


class Prepared(ABC):
    """Some pictures' targets; every tensor's first dimension counts pictures."""

    def __init_subclass__(cls) -> None:
        """Let a ``DataLoader`` make batches of them."""
        default_collate_fn_map[cls] = lambda batch, **_: cls.stack(batch)

    @abstractmethod
    def each(self, function: Callable[[Tensor], Tensor]) -> Self:
        """The same with a function's results in place of its tensors."""

    @classmethod
    @abstractmethod
    def stack(cls, targets: Sequence[Self]) -> Self:
        """One target of the pictures of all, in this order.

        Raises:
            SettingsError: of different losses, or of pictures of different sizes, or some with a mask.
        """

    @property
    @abstractmethod
    def first(self) -> Tensor:
        """One of the tensors."""

    def __len__(self) -> int:
        return len(self.first)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.first.device

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int | slice | Tensor | list[int]) -> Self:
        """Some of the pictures: a number, a slice, or indices as a loader of shuffled batches has them.

        Raises:
            IndexError: a number that is too large.
        """
        if not isinstance(index, slice):
            index = torch.as_tensor(index)  # numpy's numbers and arrays, too
            if index.dim() == 0:
                at, count = int(index), len(self)
                if not -count <= at < count:
                    raise IndexError(f"there are {count} pictures in this target")
                index = slice(at % count, at % count + 1)
        return self.each(lambda t: t[index])

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """On another device or in another dtype, as ``Tensor.to``."""
        return self.each(lambda t: t.to(*args, **kwargs))

    def for_pictures(self, count: int) -> Self:
        """One target as the target of so many pictures; several stay as they are.

        Raises:
            SettingsError: they are not as many.
        """
        own = len(self)
        if own not in (1, count):
            raise SettingsError(
                f"there are {count} pictures and {own} targets", "give one for each, or index the target: target[i]"
            )
        return self if own == count else self.each(lambda t: t.expand(count, *t.shape[1:]))
