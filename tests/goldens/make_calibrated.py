"""Make vggapps/data/*.safetensors: the calibrated numbers of LPIPS and DISTS, unchanged, from their published wheels.

Run with ``lpips==0.1.4`` and ``DISTS-pytorch==0.1`` installed: python tests/goldens/make_calibrated.py
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

DATA = Path(__file__).parents[2] / "vggapps" / "data"


def calibrated() -> dict[str, dict[str, Tensor]]:
    """By file: for LPIPS ``version.net.layer``, for DISTS ``alpha`` and ``beta``; float32, one number a channel."""
    found: dict[str, Tensor] = {}
    folder = Path(str(importlib.metadata.distribution("lpips").locate_file("lpips/weights")))
    for version in ("0.0", "0.1"):
        for net in ("alex", "squeeze", "vgg"):
            state = torch.load(folder / f"v{version}" / f"{net}.pth", map_location="cpu", weights_only=True)
            for layer in range(len(state)):
                found[f"{version}.{net}.{layer}"] = state[f"lin{layer}.model.1.weight"].flatten().clone()
    path = Path(str(importlib.metadata.distribution("DISTS-pytorch").locate_file("DISTS_pytorch/weights.pt")))
    dists = {key: value.flatten().clone() for key, value in torch.load(path, weights_only=True).items()}
    return {"lpips": found, "dists": dists}


if __name__ == "__main__":
    for name, tensors in calibrated().items():
        safetensors.torch.save_file(tensors, DATA / f"{name}.safetensors")
