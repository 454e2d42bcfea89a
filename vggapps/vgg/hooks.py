"""Features of any module, not only ours: forward hooks that never outlive their use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from vggapps.errors import SettingsError, unknown


@contextmanager
def record(module: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Record the outputs of submodules while the block runs.

    The hooks are removed when the block ends, also by an exception. What is recorded is a copy: an in-place
    ReLU, or a residual ``+=`` that no module shows, would else change it under our hands.

    >>> import torch
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True))
    >>> with record(net, ["0"]) as features:
    ...     _ = net(torch.zeros(1, 3, 8, 8))
    >>> features["0"].shape
    torch.Size([1, 8, 6, 6])

    Args:
        module: any module.
        names: names of submodules as ``named_modules()`` gives them, ``layer3.0.conv1``.

    Yields:
        A dictionary that each forward pass fills anew: name to output.

    Raises:
        SettingsError: a name that the module has not, or whose output is not a tensor.
    """
    modules = dict(module.named_modules())
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if name not in modules:
            raise unknown(f"module of {type(module).__name__}", name, [n for n in modules if n])
    features: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if not isinstance(output, Tensor):
                kind = type(output).__name__
                raise SettingsError(f"{name} gives a {kind}, not a tensor", "record a module inside it")
            features[name] = output.clone()

        return hook

    handles = [modules[name].register_forward_hook(keep(name)) for name in names]
    try:
        yield features
    finally:
        for handle in handles:
            handle.remove()
