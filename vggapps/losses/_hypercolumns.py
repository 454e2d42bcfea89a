"""Several layers' features at the same places, joined."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# A hypercolumn is taken at each knot of a grid of this many rows and columns: STROTSS's 1,024 positions.
_GRID = 32


def hypercolumns(maps: Sequence[Float[Tensor, "n _ _ _"]]) -> Float[Tensor, "n c g g"]:
    """Features of all layers at the same places, a regular grid of 32 × 32 (STROTSS draws as many at random)."""
    knots = (torch.arange(_GRID, device=maps[0].device, dtype=torch.float32) + 0.5) / _GRID * 2 - 1
    grid = torch.stack(torch.meshgrid(knots, knots, indexing="xy"), 2)[None]
    columns = []
    for map_ in maps:
        map_ = map_.to(torch.promote_types(map_.dtype, torch.float32))
        places = grid.to(map_.dtype).expand(len(map_), -1, -1, -1)
        columns.append(F.grid_sample(map_, places, padding_mode="border", align_corners=False))
    return torch.cat(columns, 1)
