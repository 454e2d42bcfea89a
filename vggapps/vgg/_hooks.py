"""Features of any module, not only ours: forward hooks that never outlive their use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, unknown
from vggapps.vgg._names import OUTPUT as OUTPUT
from vggapps.vgg._network import VGG

M = TypeVar("M", bound=nn.Module)


def preprocessed(network: M, preprocess: Callable[[Tensor], Tensor]) -> M:
    """The same network with something done to its input first, for example the normalization it was trained with.

    The weights and the names of the layers are the same, and the network that was given stays as it is.

    >>> import torch
    >>> net = preprocessed(nn.Sequential(nn.Flatten()).eval(), lambda image: 2 * image - 1)
    >>> net(torch.ones(1, 1, 1, 3) / 4)
    tensor([[-0.5000, -0.5000, -0.5000]])

    Args:
        network: any module. Ours have their own normalization, see :class:`~vggapps.vgg.Convention`.
        preprocess: pictures, N × 3 × H × W in [0, 1], to what the network takes; differentiable, and without chance.

    Raises:
        SettingsError: one of ours; and, when the network runs, what ``preprocess`` gives is not a tensor.
    """
    if isinstance(network, VGG):
        raise SettingsError("a VGG of vggapps normalizes pictures itself", "leave preprocess out")

    def given(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        made = preprocess(inputs[0])
        if not isinstance(made, Tensor):
            raise SettingsError(f"preprocess gives a {type(made).__name__}, not a tensor", "return one")
        return made, *inputs[1:]

    twin = copy(network)
    twin._forward_pre_hooks = network._forward_pre_hooks.copy()
    twin._forward_pre_hooks_with_kwargs = network._forward_pre_hooks_with_kwargs.copy()
    twin._forward_hooks = network._forward_hooks.copy()
    twin.register_forward_pre_hook(given, prepend=True)
    return twin


def input_of(network: nn.Module, image: Float[Tensor, "n 3 h w"]) -> Tensor:
    """What a module's own code is given for pictures, after its hooks: see :func:`preprocessed`."""
    seen: list[Tensor] = []

    def hook(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0])
        raise _Enough

    handle = network.register_forward_pre_hook(hook)
    try:
        with suppress(_Enough):
            network(image)
    finally:
        handle.remove()
    return seen[0]


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
        SettingsError: a name that the module has not, or whose output is not a tensor; and when the block ends, one
            that has not run, or only in compiled code.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    modules = {name: _named(module, name) for name in names}
    features: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if not isinstance(output, Tensor):
                raise _no_tensor(module, name, output)
            features[name] = output.clone()

        return hook

    handles = [modules[name].register_forward_hook(keep(name)) for name in names]
    try:
        yield features
    finally:
        for handle in handles:
            handle.remove()
    if missing := [name for name in names if name not in features]:  # after an exception, which goes on, not
        raise _silent(module, missing)


def _silent(module: nn.Module, missing: list[str]) -> SettingsError:
    """The error for layers of which nothing was recorded."""
    quoted = ", ".join(name or type(module).__name__ for name in missing)
    if any(hasattr(part, "_orig_mod") for part in module.modules()):  # what torch.compile returns has one
        return SettingsError(
            f"nothing was recorded of {quoted}: compiled code runs no hooks that came after it was compiled",
            "record the module that torch.compile was given, and call that",
        )
    return SettingsError(
        f"nothing was recorded of {quoted}: it has not run in the block",
        f"call the {type(module).__name__} itself in the block, not what torch.compile made of it",
    )


@contextmanager
def replacing(module: nn.Module, name: str, output: Tensor) -> Iterator[None]:
    """While the block runs, a submodule gives these numbers whatever it is given."""
    handle = _named(module, name).register_forward_hook(lambda *_: output)
    try:
        yield
    finally:
        handle.remove()


def replaced(module: M, kind: type[nn.Module], other: Callable[[nn.Module], nn.Module]) -> M:
    """The same module with others in place of its submodules of one kind; the weights are shared.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    >>> replaced(net, nn.ReLU, lambda relu: nn.ELU())[1], net[1]
    (ELU(alpha=1.0), ReLU())

    Raises:
        SettingsError: it has none of that kind; what functions do inside a module can't be replaced.
    """
    if not any(isinstance(child, kind) for child in module.modules()):
        raise SettingsError(
            f"{type(module).__name__} has no {kind.__name__} modules", "write its ReLUs as modules, or take another way"
        )
    twin: M = _with(module, kind, other)
    return twin


def _no_tensor(module: nn.Module, name: str, output: object) -> SettingsError:
    """The error for what is no tensor: what it is, and how to get at the tensor in it."""
    kind = type(output).__name__
    parts: dict[str, object] = {}
    if isinstance(output, Mapping):
        parts = {repr(key): value for key, value in output.items()}
    elif isinstance(output, tuple | list):
        parts = {str(index): value for index, value in enumerate(output)}
    tensors = {key: tuple(value.shape) for key, value in parts.items() if isinstance(value, Tensor)}
    held = f" with {', '.join(f'{key}: {shape}' for key, shape in list(tensors.items())[:4])}" if tensors else ""
    if name != OUTPUT:
        return SettingsError(f"{name} gives a {kind}{held}, not a tensor", "name a module inside it")
    pick = f"[{next(iter(tensors))}]" if tensors else ""
    return SettingsError(
        f"{type(module).__name__} gives a {kind}{held}, not a tensor of class scores",
        f"wrap it in a module whose forward returns one of them, such as self.network(image){pick}",
    )


def _with(module: nn.Module, kind: type[nn.Module], other: Callable[[nn.Module], nn.Module]) -> Any:
    twin = copy(module)
    twin._modules = {
        name: child and (other(child) if isinstance(child, kind) else _with(child, kind, other))
        for name, child in module._modules.items()
    }
    return twin


def _named(module: nn.Module, name: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(module.named_modules())
    if name not in modules:
        if isinstance(module, VGG):
            module.check((name,))
        raise unknown(f"module of {type(module).__name__}", name, [n for n in modules if n])
    return modules[name]


class _Enough(Exception):
    """All that is wanted has been seen."""


@contextmanager
def until(module: nn.Module, names: Collection[str], found: Mapping[str, Tensor]) -> Iterator[None]:
    """Leave the module's forward pass, by an exception, as soon as all names are found."""

    def hook(*_: object) -> None:
        if all(name in found for name in names):
            raise _Enough

    handles = [_named(module, name).register_forward_hook(hook) for name in names if name != OUTPUT]
    try:
        with suppress(_Enough):
            yield
    finally:
        for handle in handles:
            handle.remove()
