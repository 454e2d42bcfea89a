"""The fastest way to run a network on the machine at hand.

Measured on two cores with AVX-512 bf16 instructions, forward and input gradient at 512 px
(``benchmarks/features.py``): channels-last bfloat16 is about 2.3 times as fast as plain float32. For float32,
channels-last is the best exact route that is worth its lines. From conv1_2 on it runs at 180-220 GFLOP/s, where
nothing ran faster than 230, so prepacked weights, oneDNN's blocked layout and ``torch.jit``'s freezing have
little to win. Winograd F(4×4, 3×3), written with ``torch.bmm`` in chunks that fit the cache, wins on the widest
layers only: at best 1.2 times for the whole network. oneDNN's reduced-precision switch changes nothing there.
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
    """``auto`` takes CUDA, then Apple's MPS, then the CPU. A named device that is not there is an error."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(name for name, here in present.items() if here))
    kind = device.partition(":")[0]
    if kind not in present:
        raise unknown("device", device, ["auto", *present])
    here = present[kind]
    if here and kind == "cuda" and ":" in device:
        index = device.partition(":")[2]
        here = index.isdigit() and int(index) < torch.cuda.device_count()
    if not here:
        raise SettingsError(f"this machine has no {device} device", f"use {argument('device', 'auto')} or cpu")
    return torch.device(device)


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 run on instructions made for them, and so are faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def pick_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """``auto`` is bfloat16 where :func:`has_native_bfloat16`, else float32."""
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    if dtype == "auto":
        return torch.bfloat16 if has_native_bfloat16(device) else torch.float32
    return torch.bfloat16 if dtype == "bfloat16" else torch.float32


@torch.inference_mode(False)
def accelerate(module: M, device: str | torch.device = "auto", dtype: str = "auto") -> M:
    """Move a network to the device, dtype and memory layout in which it runs fastest; returns it.

    Pictures and statistics stay float32, and so do layers that are marked ``exact``: only the others are rounded.
    Float16 is not offered, Gram matrices overflow in it.
    """
    device = pick_device(device) if isinstance(device, str) else device
    module = module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for leaf in module.modules():
        if not any(leaf.children()) and not getattr(leaf, "exact", False):
            leaf.to(pick_dtype(dtype, device))
    return module


@torch.inference_mode(False)
def accelerated(network: M, device: str | torch.device = "auto", dtype: str = "auto") -> M:
    """As :func:`accelerate`, but the network that is given stays as it is; weights that need not change are shared."""
    memo: dict[int, Tensor] = {}
    for tensor in (*network.parameters(), *network.buffers()):
        if not tensor.is_inference():  # those are copied, into tensors that a graph can keep
            learns = isinstance(tensor, nn.Parameter)
            memo[id(tensor)] = nn.Parameter(tensor.detach(), tensor.requires_grad) if learns else tensor
    return accelerate(deepcopy(network, memo), device, dtype)
