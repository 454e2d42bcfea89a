"""The calibrated weights of LPIPS and DISTS, stored in the package with their licences."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from typing import Literal

import safetensors.torch
from torch import Tensor

from vggapps.vgg._moving import normal_tensors


@cache
@normal_tensors()
def calibrated(name: Literal["lpips", "dists"]) -> dict[str, Tensor]:
    """Published weights, float32, read-only: ``version.net.layer`` of LPIPS, ``alpha`` and ``beta`` of DISTS."""
    with as_file(files("vggapps") / "data" / f"{name}.safetensors") as path:
        return safetensors.torch.load_file(path)
