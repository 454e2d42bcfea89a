"""A target, measured once and compared with many times."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vggapps._files import created
from vggapps.errors import PictureError, SettingsError
from vggapps.losses._distance import Measured
from vggapps.losses._moments import Moments
from vggapps.losses._prepared import Prepared


@dataclass(frozen=True)
class Target(Prepared):
    """What a loss keeps of the target pictures: for each of its parts a map of features, or moments.

    Made by ``loss.prepare(y)`` and taken by ``loss(x, target)``. No graph is kept. ``target[i]`` is that of some of the
    pictures, and a ``DataLoader`` puts targets together to batches.

    Attributes:
        measured: by part, ``relu3_3`` or ``style.relu1_1``.
        made_by: network, size and formula of the loss that it fits.
        masked: the parts that were made with a mask.
    """

    measured: Mapping[str, Measured]
    made_by: str
    masked: tuple[str, ...] = ()

    @property
    def first(self) -> Tensor:
        """One of the tensors."""
        first = next(iter(self.measured.values()))
        return first.mean if isinstance(first, Moments) else first

    def to(self, *args: Any, **kwargs: Any) -> Target:
        """On another device or in another dtype, as ``Tensor.to``; moments, sums of squares, stay float32 at least."""
        moved = super().to(*args, **kwargs)
        exact = {
            name: replace(moments, mean=_wide(m.mean, moments.mean), second=_wide(m.second, moments.second))
            for name, m in moved.measured.items()
            if isinstance(m, Moments) and isinstance(moments := self.measured[name], Moments)
        }
        return replace(moved, measured={**moved.measured, **exact})

    def each(self, function: Callable[[Tensor], Tensor]) -> Target:
        """The same with a function's results in place of its tensors."""

        def one(value: Measured) -> Measured:
            if isinstance(value, Moments):
                return replace(value, mean=function(value.mean), second=function(value.second))
            return function(value)

        return replace(self, measured={name: one(value) for name, value in self.measured.items()})

    @classmethod
    def stack(cls, targets: Sequence[Target]) -> Target:
        """One target of the pictures of all, in this order.

        Raises:
            SettingsError: of different losses, or of pictures of different sizes, or some with a mask.
        """
        first = targets[0]
        if any((t.made_by, t.masked) != (first.made_by, first.masked) for t in targets):
            raise SettingsError(
                "targets of different losses, or with a mask and without one, can't be one batch",
                "prepare all of them alike",
            )
        return replace(first, measured={name: _joined([t.measured[name] for t in targets]) for name in first.measured})

    def fitting(self, made_by: str, like: Tensor) -> Target:
        """As the target of a loss and of some pictures.

        Raises:
            SettingsError: it is another loss's, on another device, or of another number of pictures.
        """
        if self.made_by != made_by:
            raise SettingsError("this target was made by another loss", "prepare it with the loss that takes it")
        if self.device != like.device:
            raise SettingsError(
                f"the target is on {self.device}, the picture on {like.device}",
                f"move it: target.to('{like.device}')",
            )
        return self.for_pictures(len(like))

    def check_mask(self, *, given: bool) -> None:
        """Whether it suits pictures that are given with a mask, or without one.

        A mask at the target alone says that one was forgotten at the picture: maps are weighted there. Of moments the
        mask is part of the target, and one without is of the whole picture. Maps fit pictures with any mask.

        Raises:
            SettingsError: it does not.
        """
        if self.masked and not given:
            raise SettingsError(
                "the target was prepared with a mask, and the picture is given without one",
                "give it one: loss(x, target, mask=mask); for the whole picture torch.ones_like(x[:, :1])",
            )
        if given and any(isinstance(m, Moments) and name not in self.masked for name, m in self.measured.items()):
            raise SettingsError(
                "the picture is given with a mask, and the target was prepared without one",
                "prepare it with its own: loss.prepare(y, mask=mask); for the whole of it torch.ones_like(y[:, :1])",
            )

    def save(self, path: str | Path) -> None:
        """Write it to a .safetensors file.

        Raises:
            SettingsError: another suffix.
            PictureError: a folder that can't be written.
        """
        write(Path(path), *self.packed())

    def packed(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Its tensors by name, and what else is known of it, for JSON."""
        tensors: dict[str, Tensor] = {}
        positions: dict[str, int] = {}
        for name, value in self.measured.items():
            if isinstance(value, Moments):
                tensors |= {f"{name}/mean": value.mean, f"{name}/second": value.second}
                positions[name] = value.positions
            else:
                tensors[name] = value
        return tensors, {"made_by": self.made_by, "positions": positions, "masked": self.masked}

    @classmethod
    def load(cls, path: str | Path) -> Target:
        """Read what :meth:`save` wrote, to the CPU.

        Raises:
            PictureError: it is not there, damaged, or no target.
        """
        return cls.unpacked(*read(path, "made_by", "loss.prepare(y).save(path)"))

    @classmethod
    def unpacked(cls, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> Target:
        """The reverse of :meth:`packed`."""
        measured: dict[str, Measured] = {key: t for key, t in tensors.items() if "/" not in key}
        for name, count in notes["positions"].items():
            measured[name] = Moments(tensors[f"{name}/mean"], tensors[f"{name}/second"], count)
        return cls(measured, notes["made_by"], tuple(notes.get("masked", ())))


def write(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Tensors and notes to a .safetensors file.

    Raises:
        SettingsError: another suffix.
        PictureError: a folder that can't be written.
    """
    if path.suffix != ".safetensors":
        raise SettingsError(f"cannot save a target as {path.name}", "use a name that ends in .safetensors")
    try:
        with created(path, overwrite=True) as part:
            held = {key: t.detach().cpu().contiguous() for key, t in tensors.items()}
            safetensors.torch.save_file(held, part, metadata={"target": json.dumps(notes)})
    except safetensors.SafetensorError as error:
        raise PictureError(f"cannot write {path}: {error}", "choose a folder that you may write to") from None


def read(path: str | Path, note: str, made_by: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The reverse of :func:`write`, to the CPU.

    Args:
        path: the file.
        note: a key that the notes of this kind of target have.
        made_by: how such a file is made, for the error.

    Raises:
        PictureError: the file is not there, damaged, or none of these.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            notes = json.loads((file.metadata() or {})["target"])
            notes[note]
            return {key: file.get_tensor(key).clone() for key in file.keys()}, notes  # noqa: SIM118
    except FileNotFoundError:
        raise PictureError(f"there is no file {path}", "check its name") from None
    except (OSError, safetensors.SafetensorError, ValueError, LookupError, TypeError):
        raise PictureError(f"{path} holds no target", f"make it with {made_by}") from None


def _joined(parts: Sequence[Measured]) -> Measured:
    """Along the pictures."""
    first = parts[0]
    moments = [part for part in parts if isinstance(part, Moments)]
    maps = [part for part in parts if isinstance(part, Tensor)]
    sizes = {part.positions for part in moments} | {part.shape[1:] for part in maps}
    if len(sizes) > 1:
        raise SettingsError(
            "targets of pictures of different sizes can't be one batch",
            "bring them to one size; make the loss with resize=",
        )
    if isinstance(first, Moments):
        return replace(first, mean=torch.cat([m.mean for m in moments]), second=torch.cat([m.second for m in moments]))
    return torch.cat(maps)


def _wide(moved: Tensor, before: Tensor) -> Tensor:
    return moved if moved.dtype.itemsize >= 4 else before.to(moved.device)
