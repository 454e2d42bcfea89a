"""A target, measured once and compared with many times."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vggapps.errors import PictureError, SettingsError
from vggapps.files import created
from vggapps.losses.distance import Measured
from vggapps.losses.moments import Moments


@dataclass(frozen=True)
class Target:
    """What a loss keeps of the target pictures: for each of its parts a map of features, or moments.

    Made by ``loss.prepare(y)`` and taken by ``loss(x, target)``. No graph is kept.

    Attributes:
        measured: by part, ``relu3_3`` or ``style.relu1_1``.
        made_by: network, size and formula of the loss that it fits.
    """

    measured: Mapping[str, Measured]
    made_by: str

    def __len__(self) -> int:
        return len(self._first)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self._first.device

    @property
    def _first(self) -> Tensor:
        first = next(iter(self.measured.values()))
        return first.mean if isinstance(first, Moments) else first

    def __getitem__(self, index: int | slice | Tensor | list[int]) -> Target:
        """Some of the pictures: a number, a slice, or indices as a loader of shuffled batches has them."""
        if not isinstance(index, slice):
            index = torch.as_tensor(index)  # numpy's numbers and arrays, too
            if index.dim() == 0:
                at, count = int(index), len(self)
                if not -count <= at < count:
                    raise IndexError(f"there are {count} pictures in this target")
                index = slice(at % count, at % count + 1)
        return self._each(lambda t: t[index])

    def to(self, *args: Any, **kwargs: Any) -> Target:
        """On another device or in another dtype, as ``Tensor.to``; moments, sums of squares, stay float32 at least."""
        moved = self._each(lambda t: t.to(*args, **kwargs))
        exact = {
            name: replace(moments, mean=_wide(m.mean, moments.mean), second=_wide(m.second, moments.second))
            for name, m in moved.measured.items()
            if isinstance(m, Moments) and isinstance(moments := self.measured[name], Moments)
        }
        return replace(moved, measured={**moved.measured, **exact})

    def for_pictures(self, count: int) -> Target:
        """One target as the target of so many pictures; several stay as they are.

        Raises:
            SettingsError: they are not as many.
        """
        own = len(self)
        if own not in (1, count):
            raise SettingsError(
                f"there are {count} pictures and {own} targets", "give one for each, or index the target: target[i]"
            )
        return self if own == count else self._each(lambda t: t.expand(count, *t.shape[1:]))

    def _each(self, function: Callable[[Tensor], Tensor]) -> Target:
        def one(value: Measured) -> Measured:
            if isinstance(value, Moments):
                return replace(value, mean=function(value.mean), second=function(value.second))
            return function(value)

        return replace(self, measured={name: one(value) for name, value in self.measured.items()})

    def save(self, path: str | Path) -> None:
        """Write it to a .safetensors file.

        Raises:
            SettingsError: another suffix.
            PictureError: a folder that can't be written.
        """
        path = Path(path)
        if path.suffix != ".safetensors":
            raise SettingsError(f"cannot save a target as {path.name}", "use a name that ends in .safetensors")
        tensors: dict[str, Tensor] = {}
        positions: dict[str, int] = {}
        for name, value in self.measured.items():
            if isinstance(value, Moments):
                tensors |= {f"{name}/mean": value.mean, f"{name}/second": value.second}
                positions[name] = value.positions
            else:
                tensors[name] = value
        notes = json.dumps({"made_by": self.made_by, "positions": positions})
        try:
            with created(path, overwrite=True) as part:
                held = {key: t.detach().cpu().contiguous() for key, t in tensors.items()}
                safetensors.torch.save_file(held, part, metadata={"target": notes})
        except safetensors.SafetensorError as error:
            raise PictureError(f"cannot write {path}: {error}", "choose a folder that you may write to") from None

    @classmethod
    def load(cls, path: str | Path) -> Target:
        """Read what :meth:`save` wrote, to the CPU.

        Raises:
            PictureError: it is not there, damaged, or no target.
        """
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                notes = json.loads((file.metadata() or {})["target"])
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
        except FileNotFoundError:
            raise PictureError(f"there is no file {path}", "check its name") from None
        except (OSError, safetensors.SafetensorError, KeyError):
            raise PictureError(f"{path} holds no target", "make it with loss.prepare(y).save(path)") from None
        measured: dict[str, Measured] = {key: t for key, t in tensors.items() if "/" not in key}
        for name, count in notes["positions"].items():
            measured[name] = Moments(tensors[f"{name}/mean"], tensors[f"{name}/second"], count)
        return cls(measured, notes["made_by"])


def _wide(moved: Tensor, before: Tensor) -> Tensor:
    return moved if moved.dtype.itemsize >= 4 else before.to(moved.device)
