"""Forward hooks for any module, removed after use."""

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
    """A copy of a network that preprocesses its input, for example by the normalization it was trained with.

    The copy shares the weights and has the same names of layers; the original is not changed.

    >>> import torch
    >>> net = preprocessed(nn.Sequential(nn.Flatten()).eval(), lambda image: 2 * image - 1)
    >>> net(torch.ones(1, 1, 1, 3) / 4)
    tensor([[-0.5000, -0.5000, -0.5000]])

    Args:
        network: any module but a VGG, which has its own normalization, see :class:`~vggapps.vgg.Convention`.
        preprocess: a differentiable, deterministic function from RGB in [0, 1], N × 3 × H × W, to the network's input.

    Raises:
        SettingsError: the network is a VGG; and, in the forward pass, ``preprocess`` does not return a tensor.
    """
    if isinstance(network, VGG):
        raise SettingsError("a VGG of vggapps normalizes pictures itself", "leave preprocess out")

    def hook(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x = preprocess(inputs[0])
        if not isinstance(x, Tensor):
            raise SettingsError(f"preprocess returns a {type(x).__name__}, not a tensor", "return a tensor")
        return x, *inputs[1:]

    twin = copy(network)
    twin._forward_pre_hooks = network._forward_pre_hooks.copy()
    twin._forward_pre_hooks_with_kwargs = network._forward_pre_hooks_with_kwargs.copy()
    twin._forward_hooks = network._forward_hooks.copy()
    twin.register_forward_pre_hook(hook, prepend=True)
    return twin


def input_of(network: nn.Module, image: Float[Tensor, "n 3 h w"]) -> Tensor:
    """The input of a module's ``forward`` after its forward pre-hooks, see :func:`preprocessed`."""
    seen: list[Tensor] = []

    def hook(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0])
        raise _StopForward

    handle = network.register_forward_pre_hook(hook)
    try:
        with suppress(_StopForward):
            network(image)
    finally:
        handle.remove()
    return seen[0]


@contextmanager
def record(module: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Record the outputs of submodules while the block runs.

    The hooks are removed when the block ends, also by an exception. The recorded tensors are copies, because an
    in-place ReLU or a residual ``+=`` would change them.

    >>> import torch
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True))
    >>> with record(net, ["0"]) as features:
    ...     _ = net(torch.zeros(1, 3, 8, 8))
    >>> features["0"].shape
    torch.Size([1, 8, 6, 6])

    Args:
        module: any module.
        names: paths of ``named_modules()``, ``layer3.0.conv1``.

    Yields:
        A dictionary from name to output, which each forward pass updates.

    Raises:
        SettingsError: there is no such submodule, or its output is not a tensor; and, at the end of the block, it has
            not run, or only in compiled code.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    modules = {name: _submodule(module, name) for name in names}
    features: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if not isinstance(output, Tensor):
                raise _not_a_tensor(module, name, output)
            features[name] = output.clone()

        return hook

    handles = [modules[name].register_forward_hook(keep(name)) for name in names]
    try:
        yield features
    finally:
        for handle in handles:
            handle.remove()
    if missing := [name for name in names if name not in features]:  # not reached after an exception
        raise _not_recorded(module, missing)


def _not_recorded(module: nn.Module, missing: list[str]) -> SettingsError:
    quoted = ", ".join(name or type(module).__name__ for name in missing)
    if any(hasattr(part, "_orig_mod") for part in module.modules()):  # as in the module that torch.compile returns
        return SettingsError(
            f"nothing was recorded of {quoted}: compiled code does not run hooks that are added later",
            "record the module that was passed to torch.compile, and call that one",
        )
    return SettingsError(
        f"nothing was recorded of {quoted}: it has not run in the block",
        f"call the {type(module).__name__} itself in the block, not the result of torch.compile",
    )


@contextmanager
def replace_output(module: nn.Module, name: str, output: Tensor) -> Iterator[None]:
    """While the block runs, a submodule returns this output for any input."""
    handle = _submodule(module, name).register_forward_hook(lambda *_: output)
    try:
        yield
    finally:
        handle.remove()


def replace_modules(module: M, kind: type[nn.Module], other: Callable[[nn.Module], nn.Module]) -> M:
    """A copy of a module that shares its weights, with its submodules of one type replaced.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    >>> replace_modules(net, nn.ReLU, lambda relu: nn.ELU())[1], net[1]
    (ELU(alpha=1.0), ReLU())

    Raises:
        SettingsError: it has no such submodules; functions cannot be replaced.
    """
    if not any(isinstance(child, kind) for child in module.modules()):
        raise SettingsError(
            f"{type(module).__name__} has no {kind.__name__} modules", "use modules for its ReLUs, or another method"
        )
    copied: M = _copy_with(module, kind, other)
    return copied


def _not_a_tensor(module: nn.Module, name: str, output: object) -> SettingsError:
    kind = type(output).__name__
    parts: dict[str, object] = {}
    if isinstance(output, Mapping):
        parts = {repr(key): value for key, value in output.items()}
    elif isinstance(output, tuple | list):
        parts = {str(index): value for index, value in enumerate(output)}
    tensors = {key: tuple(value.shape) for key, value in parts.items() if isinstance(value, Tensor)}
    held = f" with {', '.join(f'{key}: {shape}' for key, shape in list(tensors.items())[:4])}" if tensors else ""
    if name != OUTPUT:
        return SettingsError(f"{name} returns a {kind}{held}, not a tensor", "name a module inside it")
    pick = f"[{next(iter(tensors))}]" if tensors else ""
    return SettingsError(
        f"{type(module).__name__} returns a {kind}{held}, not a tensor of class scores",
        f"wrap it in a module whose forward returns one of them, such as self.network(image){pick}",
    )


def _copy_with(module: nn.Module, kind: type[nn.Module], other: Callable[[nn.Module], nn.Module]) -> Any:
    twin = copy(module)
    twin._modules = {
        name: child and (other(child) if isinstance(child, kind) else _copy_with(child, kind, other))
        for name, child in module._modules.items()
    }
    return twin


def _submodule(module: nn.Module, name: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(module.named_modules())
    if name not in modules:
        if isinstance(module, VGG):
            module.check((name,))
        raise unknown(f"module of {type(module).__name__}", name, [n for n in modules if n])
    return modules[name]


class _StopForward(Exception):
    """Ends a forward pass."""


@contextmanager
def stop_after(module: nn.Module, names: Collection[str], found: Mapping[str, Tensor]) -> Iterator[None]:
    """While the block runs, an exception ends the module's forward pass as soon as all names are found."""

    def hook(*_: object) -> None:
        if all(name in found for name in names):
            raise _StopForward

    handles = [_submodule(module, name).register_forward_hook(hook) for name in names if name != OUTPUT]
    try:
        with suppress(_StopForward):
            yield
    finally:
        for handle in handles:
            handle.remove()
