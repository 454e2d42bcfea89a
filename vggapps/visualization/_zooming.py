"""Zooming dreams: each frame starts from the enlarged centre of the frame before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.objectives._networks import Networks, networks_of
from vggapps.objectives._objective import Objective
from vggapps.optimize._chain import chained
from vggapps.optimize._step import Step, last
from vggapps.visualization._canvas import Source, load_photo
from vggapps.visualization._deepdream import ascend, objective_of
from vggapps.visualization._settings import DreamSettings

NEARER = 0.05  # share of each side that is cropped per frame, as in the notebook
FEWER = 5  # later frames, which start from a dream, have steps / FEWER


def zoom_steps(
    image: Source,
    frames: int,
    objective: str | Objective = "relu5_1",
    settings: DreamSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    **overrides: Any,
) -> Iterator[Step]:
    """A dream that zooms in, frame by frame.

    Args:
        image: see :func:`~vggapps.visualization.dream_steps`, also for ``overrides``.
        frames: number of frames.
        objective: what to amplify.
        settings: of the first frame; later frames have a fifth of its steps.
        network: loaded by default.

    Returns:
        One step for each frame; its ``image()`` is the frame.

    Raises:
        VggappsError: invalid arguments, before the first step.
    """
    settings = replace(settings or DreamSettings(), **overrides)
    networks = networks_of(network, [objective], settings)
    start = load_photo(image, settings.size)
    runs = _frames(start, frames, objective_of(objective, settings, networks), settings, networks)
    return chained(runs, [1] * frames, [1.0] * frames)


def _frames(
    start: Tensor, frames: int, objective: Objective, settings: DreamSettings, networks: Networks
) -> Iterator[Iterator[Step]]:
    """Each frame as a run of one step."""
    later = replace(settings, steps=max(1, settings.steps // FEWER))
    step = last(ascend(start, objective, settings, networks, like=start))
    yield iter([replace(step, index=1, total=1, fraction=1.0)])
    for index in range(1, frames):
        now = replace(later, seed=settings.seed + index)
        step = last(ascend(nearer(step.image()), objective, now, networks, like=start))
        yield iter([replace(step, index=1, total=1, fraction=1.0)])


def nearer(image: Float[Tensor, "1 3 h w"], by: float = NEARER) -> Float[Tensor, "1 3 h w"]:
    """The centre of a picture without the share ``by`` of each side, enlarged to the full size."""
    theta = torch.tensor([[[1 - by, 0, 0], [0, 1 - by, 0]]], dtype=image.dtype)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(0, 1)
