"""The numbers that LPIPS and DISTS were trained to: in the package, with their licences beside them."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from typing import Literal

import safetensors.torch
from torch import Tensor

from vggapps.vgg._moving import ordinary


@cache
@ordinary()
def calibrated(name: Literal["lpips", "dists"]) -> dict[str, Tensor]:
    """As published, float32: for LPIPS ``version.net.layer``, for DISTS ``alpha`` and ``beta``; to be read only."""
    with as_file(files("vggapps") / "data" / f"{name}.safetensors") as path:
        return safetensors.torch.load_file(path)
