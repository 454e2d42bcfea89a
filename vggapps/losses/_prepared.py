"""The base class of prepared targets: indexing, moving, repeating and batching."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.data._utils.collate import default_collate_fn_map  # where torch's docs say to add to it

from vggapps.errors import SettingsError


class Prepared(ABC):
    """The targets of some pictures; the first dimension of every tensor is the batch."""

    def __init_subclass__(cls) -> None:
        """Register the class with the collate function of ``DataLoader``."""
        default_collate_fn_map[cls] = lambda batch, **_: cls.stack(batch)

    @abstractmethod
    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply a function to every tensor."""

    @classmethod
    @abstractmethod
    def stack(cls, targets: Sequence[Self]) -> Self:
        """Concatenate targets along the batch.

        Raises:
            SettingsError: targets of different losses or picture sizes, or only some with a mask.
        """

    @property
    @abstractmethod
    def first(self) -> Tensor:
        """One of the tensors, which has the batch size and the device."""

    def __len__(self) -> int:
        return len(self.first)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.first.device

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int | slice | Tensor | list[int]) -> Self:
        """The targets of some pictures, by an index, a slice, or a list or tensor of indices.

        Raises:
            IndexError: the index is out of range.
        """
        if not isinstance(index, slice):
            index = torch.as_tensor(index)  # NumPy integers and arrays, too
            if index.dim() == 0:
                at, count = int(index), len(self)
                if not -count <= at < count:
                    raise IndexError(f"there are {count} pictures in this target")
                index = slice(at % count, at % count + 1)
        return self.map(lambda t: t[index])

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move to another device or dtype, as ``Tensor.to``."""
        return self.map(lambda t: t.to(*args, **kwargs))

    def for_pictures(self, count: int) -> Self:
        """Expand a single target to the batch size ``count``.

        Raises:
            SettingsError: the target has another batch size.
        """
        if len(self) not in (1, count):
            raise SettingsError(
                f"there are {count} pictures and {len(self)} targets",
                "pass one per picture, or index it: target[i]",
            )
        return self if len(self) == count else self.map(lambda t: t.expand(count, *t.shape[1:]))
