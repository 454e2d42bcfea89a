"""Makes vgg19_installed.json: what the installed VGG-19 sees in one drawn picture. Run: python FILE."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

TARGET = Path(__file__).with_name("vgg19_installed.json")


def picture() -> Tensor:
    """1 × 3 × 96 × 80: smooth gradients with a little seeded noise; each channel differs from the others."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 80), indexing="ij")
    smooth = torch.stack([0.2 + 0.6 * x, 0.5 + 0.4 * torch.sin(9 * y + 3 * x), 0.9 - 0.7 * y * x])
    noise = torch.rand(3, 96, 80, generator=torch.Generator().manual_seed(19)) - 0.5
    return (smooth + 0.1 * noise).clamp(0, 1)[None]


def facts(feature: Tensor) -> dict[str, float | list[float]]:
    """Mean, standard deviation and five values spread over one layer's output."""
    some = feature.flatten()[:: feature.numel() // 5][:5]
    return {
        "mean": round(feature.mean().item(), 5),
        "std": round(feature.std().item(), 5),
        "some": [round(value, 4) for value in some.tolist()],
    }


if __name__ == "__main__":
    from vggapps.weights._load import load_vgg

    vgg = load_vgg("vgg19", "vgg19-installed")
    features = vgg.features(picture(), vgg.layer_names)
    lines = [f"  {json.dumps(name)}: {json.dumps(facts(feature))}" for name, feature in features.items()]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")
