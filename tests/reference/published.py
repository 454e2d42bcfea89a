"""Values of published packages and of plain formulas, on networks and pictures that anybody can make again.

``tests/goldens/losses.json`` holds them with the recipe of everything they were computed from: seeded networks in
torchvision's order, pictures from a seed or a closed form, all in float64. This file follows those recipes.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from vggapps.vgg._network import VGG
from vggapps.vgg._normalize import IMAGENET, Convention
from vggapps.vgg._plan import layers

FILE = json.loads((Path(__file__).parents[1] / "goldens" / "losses.json").read_text())
ENTRIES: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in FILE["values"]}
D = torch.float64


def value(name: str) -> Any:
    """The recorded value, a number or a list of them."""
    return ENTRIES[name]["value"]


def close(name: str, *, dtype: torch.dtype = D) -> Any:
    """The recorded value with the file's own tolerance for that dtype."""
    import pytest

    tolerance = FILE["tolerance"]["float64_value" if dtype == D else "float32_value"]
    return pytest.approx(value(name), rel=tolerance["rtol"], abs=tolerance["atol"])


def pair(name: str) -> tuple[Tensor, Tensor]:
    """The two pictures that an entry was computed from, float64."""
    x, y = ENTRIES[name]["x"], ENTRIES[name]["y"]
    return pictures()[x], pictures()[y or x]


@cache
def seeded(arch: str) -> nn.Sequential:
    """``features`` of a torchvision network with seeded weights, float64, as the file's recipe has it."""
    with torch.device("meta"):
        features = getattr(torchvision.models, arch)(weights=None).features
    features = features.to_empty(device="cpu")
    with torch.no_grad():
        for i, parameter in enumerate(features.parameters()):
            g = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1000 + i), dtype=D)
            parameter.copy_(g * (math.sqrt(2 / parameter[0].numel()) if parameter.dim() == 4 else 0.01))
    return features.double().requires_grad_(False).eval()


def seeded_vgg(arch: str, convention: Convention = IMAGENET, pooling: Any = "max") -> VGG:
    """Ours with the same weights, frozen."""
    vgg = VGG(arch, head="none", convention=convention, pooling=pooling).double()
    names = [layer.name for layer in layers(vgg.plan, "none")]
    state = {f"{names[int(k.split('.')[0])]}.{k.split('.')[1]}": v for k, v in seeded(arch).state_dict().items()}
    vgg.load_state_dict(state)
    vgg.weights_name = f"seeded-{arch}"
    return vgg.freeze()


def noise(seed: int, h: int, w: int, *, normal: bool = False) -> Tensor:
    make = torch.randn if normal else torch.rand
    return make(1, 3, h, w, generator=torch.Generator().manual_seed(seed), dtype=D)


def ramp(h: int, w: int) -> Tensor:
    y = torch.arange(h, dtype=D).view(h, 1).expand(h, w)
    x = torch.arange(w, dtype=D).view(1, w).expand(h, w)
    return torch.stack([x / (w - 1), y / (h - 1), (x + y) / (w + h - 2)])[None]


def wave(h: int, w: int) -> Tensor:
    y, x = torch.arange(h, dtype=D).view(h, 1) / h, torch.arange(w, dtype=D).view(1, w) / w
    channels = [
        0.5 + 0.25 * torch.sin(2 * math.pi * (3 * x + c / 3)) + 0.25 * torch.cos(2 * math.pi * (2 * y - c / 5))
        for c in range(3)
    ]
    return torch.stack(channels)[None]


@cache
def pictures() -> dict[str, Tensor]:
    """All pictures of the file, and the mask."""
    p = {"noise1": noise(1, 64, 64), "noise2": noise(2, 64, 64), "ramp": ramp(64, 64), "wave": wave(64, 64)}
    p["blur1"] = F.avg_pool2d(F.pad(p["noise1"], (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    p["wave_n"] = (p["wave"] + 0.1 * noise(3, 64, 64, normal=True)).clamp(0, 1)
    p["wave_shift"] = torch.roll(p["wave_n"], shifts=(2, 1), dims=(2, 3))
    p["flat5"], p["flat7"] = (torch.full((1, 3, 64, 64), v, dtype=D) for v in (0.5, 0.7))
    p["r_noise"], p["r_wave"] = noise(4, 96, 80), wave(96, 80)
    p["r_wave_n"] = (p["r_wave"] + 0.1 * noise(5, 96, 80, normal=True)).clamp(0, 1)
    p["b_x"], p["b_y"] = torch.cat([p["noise1"], p["wave_n"]]), torch.cat([p["blur1"], p["wave"]])
    p["m_wave"] = wave(176, 192)
    p["m_wave_n"] = (p["m_wave"] + 0.1 * noise(6, 176, 192, normal=True)).clamp(0, 1)
    p["mask"] = torch.ones(1, 1, 64, 64, dtype=D)
    p["mask"][:, :, 16:40, 20:52] = 0
    return p


def features(arch: str, picture: str, layer: str) -> Tensor:
    """A layer's map of one of the pictures, through the seeded network."""
    return seeded_vgg_once(arch).features(pictures()[picture], [layer])[layer]


@cache
def seeded_vgg_once(arch: str) -> VGG:
    """One network for all who only look at it."""
    return seeded_vgg(arch)
