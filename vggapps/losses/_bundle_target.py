"""The prepared target of a bundle: one for each of its losses."""

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
    """What the losses of a bundle keep of the target pictures.

    Made by ``bundle.prepare(y)`` and taken by ``bundle(x, target)``. ``target["style"]`` is that of one loss,
    ``target[i]`` that of some of the pictures; ``target | {"style": other}`` puts another in the place of one.

    Attributes:
        targets: by name of the loss; none for what looks at the output alone.
    """

    targets: Mapping[str, Target]

    @property
    def first(self) -> Tensor:
        """One of the tensors."""
        return next(iter(self.targets.values())).first

    def each(self, function: Callable[[Tensor], Tensor]) -> BundleTarget:
        """The same with a function's results in place of its tensors."""
        return BundleTarget({name: target.each(function) for name, target in self.targets.items()})

    def to(self, *args: Any, **kwargs: Any) -> BundleTarget:
        """Each target where its own ``to`` brings it."""
        return BundleTarget({name: target.to(*args, **kwargs) for name, target in self.targets.items()})

    @overload
    def __getitem__(self, index: str) -> Target: ...
    @overload
    def __getitem__(self, index: int | slice | Tensor | list[int]) -> BundleTarget: ...
    def __getitem__(self, index: str | int | slice | Tensor | list[int]) -> Target | BundleTarget:
        """The target of one loss, or of some of the pictures.

        Raises:
            SettingsError: there is no such loss.
            IndexError: there are not as many pictures.
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
        """One target of the pictures of all, in this order.

        Raises:
            SettingsError: of different losses, or of pictures of different sizes, or some with a mask.
        """
        names = targets[0].targets
        if any(other.targets.keys() != names.keys() for other in targets):
            raise SettingsError("targets of different bundles can't be one batch", "prepare all of them alike")
        return cls({name: Target.stack([one.targets[name] for one in targets]) for name in names})

    def save(self, path: str | Path) -> None:
        """Write it to a .safetensors file.

        Raises:
            SettingsError: another suffix.
            PictureError: a folder that can't be written.
        """
        packed = {name: target.packed() for name, target in self.targets.items()}
        tensors = {f"{i}/{key}": t for i, (own, _) in enumerate(packed.values()) for key, t in own.items()}
        write(Path(path), tensors, {"losses": {name: notes for name, (_, notes) in packed.items()}})

    @classmethod
    def load(cls, path: str | Path) -> BundleTarget:
        """Read what :meth:`save` wrote, to the CPU.

        Raises:
            PictureError: it is not there, damaged, or no target of a bundle.
        """
        tensors, notes = read(path, "losses", "bundle.prepare(y).save(path)")
        found = {}
        for i, (name, own) in enumerate(notes["losses"].items()):
            start = f"{i}/"
            kept = {key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)}
            found[name] = Target.unpacked(kept, own)
        return cls(found)
