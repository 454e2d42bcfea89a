"""The prepared target of a bundle: one target for each of its losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from torch import Tensor

from vggapps.errors import SettingsError, unknown
from vggapps.losses._prepared import Prepared
from vggapps.losses._target import Target, read, write


@dataclass(frozen=True)
class BundleTarget(Prepared):
    """The targets of the losses of a bundle, made by ``bundle.prepare(y)`` and used by ``bundle(x, target)``.

    ``target["style"]`` is the target of one loss and ``target[i]`` that of some of the pictures;
    ``target | {"style": other}`` replaces one.

    Attributes:
        targets: by name of the loss; regularizers have none.
    """

    targets: Mapping[str, Target]

    @property
    def first(self) -> Tensor:
        """One of the tensors, which has the batch size and the device."""
        return next(iter(self.targets.values())).first

    def map(self, function: Callable[[Tensor], Tensor]) -> BundleTarget:
        """Apply a function to every tensor."""
        return BundleTarget({name: target.map(function) for name, target in self.targets.items()})

    def to(self, *args: Any, **kwargs: Any) -> BundleTarget:
        """Apply ``to`` to each target."""
        return BundleTarget({name: target.to(*args, **kwargs) for name, target in self.targets.items()})

    @overload
    def __getitem__(self, index: str) -> Target: ...
    @overload
    def __getitem__(self, index: int | slice | Tensor | list[int]) -> BundleTarget: ...
    def __getitem__(self, index: str | int | slice | Tensor | list[int]) -> Target | BundleTarget:
        """The target of one loss, or of some of the pictures.

        Raises:
            SettingsError: there is no such loss.
            IndexError: the index is out of range.
        """
        if not isinstance(index, str):
            return super().__getitem__(index)
        if index not in self.targets:
            raise unknown("target of a loss", index, self.targets)
        return self.targets[index]

    def __or__(self, others: Mapping[str, Target]) -> BundleTarget:
        return BundleTarget({**self.targets, **others})

    @classmethod
    def stack(cls, targets: Sequence[BundleTarget]) -> BundleTarget:
        """Concatenate targets along the batch.

        Raises:
            SettingsError: targets of different losses or picture sizes, or only some with a mask.
        """
        names = targets[0].targets
        if any(other.targets.keys() != names.keys() for other in targets):
            raise SettingsError("targets of different bundles can't be one batch", "prepare all with the same bundle")
        return cls({name: Target.stack([one.targets[name] for one in targets]) for name in names})

    def save(self, path: str | Path) -> None:
        """Write the targets to a .safetensors file.

        Raises:
            SettingsError: another suffix.
            PictureError: the folder is not writable.
        """
        packed = {name: target.packed() for name, target in self.targets.items()}
        tensors = {f"{i}/{key}": t for i, (parts, _) in enumerate(packed.values()) for key, t in parts.items()}
        write(Path(path), tensors, {"losses": {name: notes for name, (_, notes) in packed.items()}})

    @classmethod
    def load(cls, path: str | Path) -> BundleTarget:
        """Read a file of :meth:`save` to the CPU.

        Raises:
            PictureError: the file is missing, damaged, or not a target of a bundle.
        """
        tensors, notes = read(path, "losses", "bundle.prepare(y).save(path)")
        found = {}
        for i, (name, parts) in enumerate(notes["losses"].items()):
            prefix = f"{i}/"
            of_loss = {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
            found[name] = Target.unpacked(of_loss, parts)
        return cls(found)
