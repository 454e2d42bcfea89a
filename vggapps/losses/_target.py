"""A prepared target, computed once and used by many calls of a loss."""

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
    """The prepared target of a loss: a feature map or moments for each of its parts, without a graph.

    It is made by ``loss.prepare(y)`` and used by ``loss(x, target)``. ``target[i]`` is the target of some of the
    pictures, and a ``DataLoader`` collates targets into batches.

    Attributes:
        measured: by part, such as ``relu3_3`` or ``style.relu1_1``.
        made_by: network, size and formula of the loss.
        masked: the parts that were made with a mask.
    """

    measured: Mapping[str, Measured]
    made_by: str
    masked: tuple[str, ...] = ()

    @property
    def first(self) -> Tensor:
        """One of the tensors, which has the batch size and the device."""
        first = next(iter(self.measured.values()))
        return first.mean if isinstance(first, Moments) else first

    def to(self, *args: Any, **kwargs: Any) -> Target:
        """Move to another device or dtype, as ``Tensor.to``; moments stay in at least float32."""
        moved = super().to(*args, **kwargs)
        exact = {
            name: replace(
                moments,
                mean=_at_least_float32(m.mean, moments.mean),
                second=_at_least_float32(m.second, moments.second),
            )
            for name, m in moved.measured.items()
            if isinstance(m, Moments) and isinstance(moments := self.measured[name], Moments)
        }
        return replace(moved, measured={**moved.measured, **exact})

    def map(self, function: Callable[[Tensor], Tensor]) -> Target:
        """Apply a function to every tensor."""

        def mapped(value: Measured) -> Measured:
            if isinstance(value, Moments):
                return replace(value, mean=function(value.mean), second=function(value.second))
            return function(value)

        return replace(self, measured={name: mapped(value) for name, value in self.measured.items()})

    @classmethod
    def stack(cls, targets: Sequence[Target]) -> Target:
        """Concatenate targets along the batch.

        Raises:
            SettingsError: targets of different losses or picture sizes, or only some with a mask.
        """
        first = targets[0]
        if any((t.made_by, t.masked) != (first.made_by, first.masked) for t in targets):
            raise SettingsError(
                "targets of different losses, or with a mask and without one, can't be one batch",
                "prepare all with the same loss",
            )
        return replace(
            first, measured={name: _concatenated([t.measured[name] for t in targets]) for name in first.measured}
        )

    def checked_for(self, made_by: str, like: Tensor) -> Target:
        """Expanded to the batch of ``like``, refused if it is of another loss, device or batch size."""
        if self.made_by != made_by:
            raise SettingsError("this target was made by another loss", "prepare it with the same loss")
        if self.device != like.device:
            raise SettingsError(
                f"the target is on {self.device}, the picture on {like.device}",
                f"move it: target.to('{like.device}')",
            )
        return self.for_pictures(len(like))

    def check_mask(self, *, given: bool) -> None:
        """Refuse a call with a mask for only one of picture and target.

        Maps are weighted by the picture's mask, so an unmasked target of maps fits any mask. Moments are taken under
        the target's own mask.
        """
        if self.masked and not given:
            raise SettingsError(
                "the target was prepared with a mask, and the picture is given without one",
                "pass one: loss(x, target, mask=mask); for the whole picture torch.ones_like(x[:, :1])",
            )
        if given and any(isinstance(m, Moments) and name not in self.masked for name, m in self.measured.items()):
            raise SettingsError(
                "the picture is given with a mask, and the target was prepared without one",
                "pass its own: loss.prepare(y, mask=mask); for the whole target torch.ones_like(y[:, :1])",
            )

    def save(self, path: str | Path) -> None:
        """Write the target to a .safetensors file.

        Raises:
            SettingsError: another suffix.
            PictureError: the folder is not writable.
        """
        write(Path(path), *self.packed())

    def packed(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors by name, and the other fields for JSON."""
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
        """Read a file of :meth:`save` to the CPU.

        Raises:
            PictureError: the file is missing, damaged, or not a target.
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
    """Write tensors and notes to a .safetensors file."""
    if path.suffix != ".safetensors":
        raise SettingsError(f"cannot save a target as {path.name}", "use a name that ends in .safetensors")
    try:
        with created(path, overwrite=True) as part:
            on_cpu = {key: t.detach().cpu().contiguous() for key, t in tensors.items()}
            safetensors.torch.save_file(on_cpu, part, metadata={"target": json.dumps(notes)})
    except safetensors.SafetensorError as error:
        raise PictureError(f"cannot write {path}: {error}", "choose a folder that you may write to") from None


def read(path: str | Path, note: str, made_by: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of :func:`write` to the CPU.

    Args:
        path: the file.
        note: a key that the notes of this kind of target have.
        made_by: how such a file is made, for the error message.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            notes = json.loads((file.metadata() or {})["target"])
            notes[note]
            return {key: file.get_tensor(key).clone() for key in file.keys()}, notes  # noqa: SIM118
    except FileNotFoundError:
        raise PictureError(f"there is no file {path}", "check the path") from None
    except (OSError, safetensors.SafetensorError, ValueError, LookupError, TypeError):
        raise PictureError(f"{path} holds no target", f"make it with {made_by}") from None


def _concatenated(parts: Sequence[Measured]) -> Measured:
    """Maps or moments concatenated along the batch."""
    first = parts[0]
    moments = [part for part in parts if isinstance(part, Moments)]
    maps = [part for part in parts if isinstance(part, Tensor)]
    sizes = {part.positions for part in moments} | {part.shape[1:] for part in maps}
    if len(sizes) > 1:
        raise SettingsError(
            "targets of pictures of different sizes can't be one batch",
            "resize the pictures to one size, or make the loss with resize=",
        )
    if isinstance(first, Moments):
        return replace(first, mean=torch.cat([m.mean for m in moments]), second=torch.cat([m.second for m in moments]))
    return torch.cat(maps)


def _at_least_float32(moved: Tensor, before: Tensor) -> Tensor:
    return moved if moved.dtype.itemsize >= 4 else before.to(moved.device)
