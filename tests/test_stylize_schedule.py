"""The qualities of a painting: how many steps at which scale, and on which layers."""

from __future__ import annotations

import pytest
import torch

from vggapps.style._schedule import SCHEDULES, split_steps
from vggapps.style._transfer import _layers_at
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import PLANS

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def test_steps_are_split_from_coarse_to_fine_and_add_up() -> None:
    for quality, schedule in SCHEDULES.items():
        assert split_steps(quality, None, 512) == list(schedule.steps)
        for steps in (1, 2, 3, 7, 50, 120, 999):
            for side in (64, 512, 513, 2048, 8000):
                counts = split_steps(quality, steps, side)
                assert sum(counts) == steps
                assert min(counts) >= 0
                assert counts[-1] >= 1


@pytest.mark.parametrize("side", [384, 510, 700, 1024])
def test_the_deepest_layer_is_matched_at_the_coarsest_scales_only(side: int) -> None:
    vgg, photo = VGG(PLANS["vgg19"], head="none"), torch.zeros(1, 3, side // 2, side)
    weights = dict.fromkeys(STYLE, 1.0)
    longer_sides = [round(side / 2**n) for n in range(5)]
    deepest = [longest for longest in longer_sides if "relu5_1" in _layers_at((8, longest), photo, vgg, weights)]
    assert deepest == [longest for longest in longer_sides if longest < 180]
    assert _layers_at((8, side), photo, vgg, {"relu5_1": 1.0}) == {"relu5_1": 1.0}  # a score needs a layer


def test_a_better_quality_takes_more_steps_at_every_scale() -> None:
    for side in (64, 512, 2048):
        draft, normal, fine = (SCHEDULES[quality].at(side) for quality in ("draft", "normal", "fine"))
        assert all(a <= b <= c for a, b, c in zip(draft, normal, fine, strict=True))
        assert sum(draft) < sum(normal) < sum(fine)
