"""The device, dtype and memory layout in which a network runs fastest.

Measured on two cores with AVX-512 bf16 instructions, forward and input gradient at 512 px
(``benchmarks/features.py``): channels-last bfloat16 is about 2.3 times as fast as plain float32. For float32,
channels-last is the best exact option that is worth its code. From conv1_2 on it runs at 180-220 GFLOP/s. Prepacked
weights, oneDNN's blocked layout and freezing with ``torch.jit`` did not exceed 230. Winograd F(4×4, 3×3), written with
``torch.bmm`` in chunks that fit the cache, is faster on the widest layers only: at best 1.2 times for the whole
network. oneDNN's reduced-precision switch has no effect there.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

from vggapps.errors import SettingsError, argument, unknown
from vggapps.vgg._plan import Device as Device
from vggapps.vgg._plan import Dtype as Dtype

DTYPES: tuple[Dtype, ...] = ("auto", "float32", "bfloat16")
M = TypeVar("M", bound=nn.Module)


def pick_device(device: str = "auto") -> torch.device:
    """The named device, which must be available; ``auto`` is CUDA if available, else MPS, else the CPU."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(name for name, found in available.items() if found))
    kind, colon, index = device.partition(":")
    if kind not in available:
        raise unknown("device", device, ["auto", *available])
    found = available[kind]
    if found and kind == "cuda" and colon:
        found = index.isdigit() and int(index) < torch.cuda.device_count()
    if not found:
        raise SettingsError(f"this machine has no {device} device", f"use {argument('device', 'auto')} or cpu")
    return torch.device(device)


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16, so that convolutions are faster than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def pick_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The named dtype; ``auto`` is bfloat16 where the device has instructions for it, else float32."""
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    if dtype == "auto":
        return torch.bfloat16 if has_native_bfloat16(device) else torch.float32
    return torch.bfloat16 if dtype == "bfloat16" else torch.float32


@torch.inference_mode(False)
def accelerate(module: M, device: str | torch.device = "auto", dtype: str = "auto") -> M:
    """Move a network, in place, to the device, dtype and memory layout in which it runs fastest.

    Images, statistics and layers marked ``exact`` stay float32. Float16 is not offered because Gram matrices overflow
    in it.
    """
    device = pick_device(device) if isinstance(device, str) else device
    module = module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for leaf in module.modules():
        if not any(leaf.children()) and not getattr(leaf, "exact", False):
            leaf.to(pick_dtype(dtype, device))
    return module


@torch.inference_mode(False)
def accelerated(network: M, device: str | torch.device = "auto", dtype: str = "auto") -> M:
    """A copy of a network for :func:`accelerate`; weights that need not change are shared."""
    memo: dict[int, Tensor] = {}
    for tensor in (*network.parameters(), *network.buffers()):
        if not tensor.is_inference():  # those are copied to normal tensors, which autograd can save
            is_parameter = isinstance(tensor, nn.Parameter)
            memo[id(tensor)] = nn.Parameter(tensor.detach(), tensor.requires_grad) if is_parameter else tensor
    return accelerate(deepcopy(network, memo), device, dtype)
