"""Creating, moving and sharing tensors that are not in a state dict, without losing their values."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.weak import TensorWeakRef, WeakTensorKeyDictionary

from vggapps.errors import SettingsError

M = TypeVar("M", bound=nn.Module)
Apply = Callable[[Tensor], Tensor]  # what Module._apply is given: a move, a cast, or to_empty's new memory

# The live copies of each moved tensor by device, dtype and version, so that losses that share a network, and copies of
# a loss, share it on the next device too.
_COPIES = WeakTensorKeyDictionary()


@contextmanager
def normal_tensors() -> Iterator[None]:
    """Create normal tensors on the CPU, also inside ``torch.inference_mode`` or ``torch.device("meta")``.

    A cached network may be loaded first during validation, or while a model is created on ``meta``.
    """
    with torch.inference_mode(False), torch.device("cpu"):
        yield


def check_differentiable(network: nn.Module) -> None:
    """Raise a SettingsError for a network made in inference mode, which passes no gradients."""
    if any(tensor.is_inference() for tensor in network.parameters()):
        raise SettingsError(
            "the network was made in inference mode and has no gradients", "make it outside of torch.inference_mode()"
        )


def as_normal_tensor(tensor: Tensor) -> Tensor:
    """The tensor; of an inference tensor a copy that autograd can save."""
    if torch.compiler.is_compiling() or torch.is_inference_mode_enabled() or not isinstance(tensor, Tensor):
        return tensor
    return tensor.clone() if tensor.is_inference() else tensor


def moved_tensor(apply: Apply, tensor: Tensor) -> Tensor:
    """The tensor as ``Module._apply`` moves it, but with its values, which ``to_empty`` would drop.

    Raises:
        SettingsError: it was moved to ``meta`` and lost its values.
    """
    device, dtype = _place(apply, tensor)
    if (device, dtype) == (tensor.device, tensor.dtype):
        return tensor
    with torch.inference_mode(False), torch.no_grad():
        return tensor.detach().to(device, dtype)


def moved_network(network: M, apply: Apply) -> M:
    """The frozen network as ``Module._apply`` moves it: a copy if anything changes, because it may be shared.

    Raises:
        SettingsError: it was moved to ``meta`` and lost its weights.
    """
    tensors = [*network.parameters(), *network.buffers()]
    moved = {id(tensor): _shared(apply, tensor) for tensor in tensors}
    if all(moved[id(tensor)] is tensor for tensor in tensors):
        return network
    memo: dict[int, Any] = {**moved}
    return copy.deepcopy(network, memo)  # new layers with these tensors


def share_weights(network: nn.Module, other: nn.Module) -> None:
    """Let a frozen network use another's equal weights of the same names, also those of equivalent convolutions."""
    others: dict[str, Tensor] = dict(other.named_parameters())
    for name, own in network.named_parameters():
        twin = others.get(name)
        if twin is None or (own.dtype, own.device, own.numel()) != (twin.dtype, twin.device, twin.numel()):
            continue
        if own.shape != twin.shape:  # a linear layer and its equivalent convolution
            if not (own.is_contiguous() and twin.is_contiguous()):
                continue
            twin = twin.view(own.shape)
        if own.data_ptr() != twin.data_ptr() and own.stride() == twin.stride() and torch.equal(own, twin):
            own.data = twin.data


def _shared(apply: Apply, tensor: Tensor) -> Tensor:
    device, dtype = _place(apply, tensor)
    if (device, dtype) == (tensor.device, tensor.dtype):
        return tensor
    copies: dict[Any, TensorWeakRef] = _COPIES.setdefault(tensor, {})  # type: ignore[no-untyped-call]
    place = (device, dtype, tensor._version)
    found = copies[place]() if place in copies else None
    if found is None:
        found = moved_tensor(apply, tensor)
        if isinstance(tensor, nn.Parameter):
            found = nn.Parameter(found, requires_grad=False)
        copies[place] = TensorWeakRef(found)
    return found


def _place(apply: Apply, tensor: Tensor) -> tuple[torch.device, torch.dtype]:
    """The device and dtype to which ``Module._apply`` moves a tensor."""
    try:
        probe = apply(tensor.new_empty(0))
    except NotImplementedError:  # what torch raises for a move from ``meta``
        probe = torch.empty(0)
    if tensor.is_meta and not probe.is_meta:
        raise SettingsError(
            "the loss lost its tensors when it was moved to meta",
            "create the loss again, or add it to the model after the model has left meta",
        )
    return probe.device, probe.dtype
