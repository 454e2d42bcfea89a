"""Tensors that no state dict restores: made ordinary whatever surrounds their making, moved without losing numbers."""

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

# Of each tensor that was moved, the copies that somebody still holds, by place, kind and version: losses on one
# network, and copies of a loss, then share one network on the next device too.
_COPIES = WeakTensorKeyDictionary()


@contextmanager
def ordinary() -> Iterator[None]:
    """Tensors made in here can be trained with, and have numbers: on the CPU, none of inference mode's.

    What is loaded once and kept may be asked for first in a validation, or while a model is laid out on ``meta``.
    """
    with torch.inference_mode(False), torch.device("cpu"):
        yield


def check_differentiable(network: nn.Module) -> None:
    """Whether gradients can go through a network.

    Raises:
        SettingsError: it was made in inference mode.
    """
    if any(tensor.is_inference() for tensor in network.parameters()):
        raise SettingsError(
            "the network was made in inference mode, and has no gradients", "make it outside of torch.inference_mode()"
        )


def in_graph(tensor: Tensor) -> Tensor:
    """The tensor, or a copy of one of inference mode's where a graph may need to keep it."""
    if torch.compiler.is_compiling() or torch.is_inference_mode_enabled() or not isinstance(tensor, Tensor):
        return tensor
    return tensor.clone() if tensor.is_inference() else tensor


def kept(apply: Apply, tensor: Tensor) -> Tensor:
    """The tensor where ``Module._apply`` wants it, with its numbers: ``to_empty`` would take them away.

    Raises:
        SettingsError: it was moved to ``meta``, and its numbers are gone.
    """
    device, dtype = _place(apply, tensor)
    if (device, dtype) == (tensor.device, tensor.dtype):
        return tensor
    with torch.inference_mode(False), torch.no_grad():
        return tensor.detach().to(device, dtype)


def relocated(network: M, apply: Apply) -> M:
    """The frozen network where ``Module._apply`` wants it: itself, or a copy, so that who shares it keeps his.

    Raises:
        SettingsError: it was moved to ``meta``, and its weights are gone.
    """
    tensors = [*network.parameters(), *network.buffers()]
    moved = {id(tensor): _shared(apply, tensor) for tensor in tensors}
    if all(moved[id(tensor)] is tensor for tensor in tensors):
        return network
    memo: dict[int, Any] = {**moved}
    return copy.deepcopy(network, memo)  # its layers anew, with these tensors


def share(network: nn.Module, other: nn.Module) -> None:
    """Let frozen networks keep the weights that both have under the same name once, also where one slides over maps."""
    theirs = dict(other.named_parameters())
    for name, own in network.named_parameters():
        if name not in theirs:
            continue
        twin: Tensor = theirs[name]
        if (own.dtype, own.device, own.numel()) != (twin.dtype, twin.device, twin.numel()):
            continue
        if own.shape != twin.shape:  # a linear layer, and the convolution that it is on maps
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
        found = kept(apply, tensor)
        if isinstance(tensor, nn.Parameter):
            found = nn.Parameter(found, requires_grad=False)
        copies[place] = TensorWeakRef(found)
    return found


def _place(apply: Apply, tensor: Tensor) -> tuple[torch.device, torch.dtype]:
    """Where, and in which dtype, ``Module._apply`` wants a tensor."""
    try:
        probe = apply(tensor.new_empty(0))
    except NotImplementedError:  # torch's word for what moves off ``meta``
        probe = torch.empty(0)
    if tensor.is_meta and not probe.is_meta:
        raise SettingsError(
            "what a loss held was given up when it was moved to meta",
            "make the loss anew, or give it to the model when that has left meta",
        )
    return probe.device, probe.dtype
