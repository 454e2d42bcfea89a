"""A dream that goes on and on: each frame is the last one, a little nearer and dreamt on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.objectives._networks import Networks, networks_of
from vggapps.objectives._objective import Objective
from vggapps.optimize._chain import chained
from vggapps.optimize._step import Step, last
from vggapps.visualization._deepdream import ascend, objective_of
from vggapps.visualization._photo import Source, photo
from vggapps.visualization._settings import DreamSettings

NEARER = 0.05  # of each side is lost from frame to frame, as in the notebook
FEWER = 5  # the later frames have this part of a dream's steps: they begin with one that has been dreamt


def zoom_steps(
    image: Source,
    frames: int,
    objective: str | Objective = "relu5_1",
    settings: DreamSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    **overrides: Any,
) -> Iterator[Step]:
    """A dream that moves inwards, frame by frame.

    Args:
        image: see :func:`~vggapps.visualization.dream_steps`, as the others.
        frames: how many.
        objective: what grows.
        settings: the first frame's; the later ones have a fifth of its steps.
        network: what is looked at.

    Returns:
        One step for each frame, whose ``image()`` is the frame.

    Raises:
        VggappsError: anything wrong with the arguments, before the first step is taken.
    """
    settings = replace(settings or DreamSettings(), **overrides)
    networks = networks_of(network, [objective], settings)
    start = photo(image, settings.size)
    runs = _frames(start, objective_of(objective, settings, networks), settings, networks)
    return chained(islice(runs, frames), [1] * frames, [1.0] * frames)


def _frames(
    start: Tensor, objective: Objective, settings: DreamSettings, networks: Networks
) -> Iterator[Iterator[Step]]:
    """Each frame as a run of one step."""
    frame = start
    for index in count(1):
        step = last(ascend(frame, objective, settings, networks, like=start))
        yield iter([replace(step, index=1, total=1, fraction=1.0)])
        if index == 1:
            settings = replace(settings, steps=max(1, settings.steps // FEWER))
        settings = replace(settings, seed=settings.seed + 1)
        frame = nearer(step.image())


def nearer(image: Float[Tensor, "1 3 h w"], by: float = NEARER) -> Float[Tensor, "1 3 h w"]:
    """The middle of a picture, enlarged to its size: ``by`` of each side is lost."""
    theta = torch.tensor([[[1 - by, 0, 0], [0, 1 - by, 0]]], dtype=image.dtype)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(0, 1)
