"""From coarse to fine: the margin beyond the border, and pictures of runs that are stopped early."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from vggapps.optimize._optimizers import LBFGS, Adam, Optimizer
from vggapps.optimize._pyramid import Scale, cropped, mirrored, pyramid
from vggapps.optimize._step import last

Score = Callable[[Tensor], tuple[Tensor, Mapping[str, Tensor]]]

STRIPES = (torch.arange(24) % 2).float().expand(1, 3, 16, 24)
SCALES = [Scale((4, 6), 3), Scale((8, 12), 3), Scale((16, 24), 3)]


def stripes(size: tuple[int, int]) -> Tensor:
    return adaptive_avg_pool2d(STRIPES, size)


def grey(size: tuple[int, int]) -> Tensor:
    return torch.full((1, 3, *size), 0.5)


def nothing(_size: tuple[int, int]) -> Score:
    return lambda image: (0 * image.sum(), {})


def brighter(_size: tuple[int, int]) -> Score:
    """White is best, but the three outermost pixels are not looked at."""

    def score(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        loss = (image[:, :, 3:-3, 3:-3] - 1).square().mean()
        return loss, {"dark": loss}

    return score


# Stopping early


@pytest.mark.parametrize("margin", [0, 3, 16])
def test_a_run_that_is_stopped_gives_a_picture_of_the_full_size_with_the_starts_detail(margin: int) -> None:
    for step in pyramid(stripes, SCALES, nothing, LBFGS(), margin=margin):
        assert step.full_size == (16, 24)
        assert step.image().shape[2:] == step.size
        torch.testing.assert_close(step.full_image(), STRIPES, atol=1e-4, rtol=0)


def test_what_has_been_painted_at_a_coarse_scale_is_in_the_enlarged_picture() -> None:
    def white(size: tuple[int, int]) -> Score:
        return lambda image: ((image - 1).square().mean(), {})

    step = next(step for step in pyramid(grey, SCALES, white, LBFGS()) if step.index == 3)
    assert step.size == (4, 6)
    assert step.image().mean() > 0.95
    torch.testing.assert_close(step.full_image().mean(), step.image().mean(), atol=1e-3, rtol=0)


def test_the_last_scales_picture_is_not_touched() -> None:
    step = last(pyramid(stripes, SCALES, brighter, LBFGS(), margin=4))
    assert torch.equal(step.full_image(), step.image())


def test_the_enlarged_picture_must_be_taken_before_the_next_step_too() -> None:
    steps = pyramid(stripes, SCALES, nothing, LBFGS())
    first = next(steps)
    next(steps)
    with pytest.raises(RuntimeError, match="before the next step"):
        first.full_image()


def test_one_channel_can_be_shown_as_three() -> None:
    def one(size: tuple[int, int]) -> Tensor:
        return stripes(size)[:, :1]

    for step in pyramid(one, SCALES, nothing, LBFGS(), margin=2, render=lambda leaves: leaves[0].expand(-1, 3, -1, -1)):
        torch.testing.assert_close(step.full_image(), STRIPES, atol=1e-4, rtol=0)


# The margin


@pytest.mark.parametrize("optimizer", [LBFGS, Adam])
def test_with_a_margin_what_is_not_looked_at_lies_outside_the_picture(optimizer: Callable[[], Optimizer]) -> None:
    scales = [Scale((8, 12), 30), Scale((16, 24), 30)]
    rim, whole = (last(pyramid(grey, scales, brighter, optimizer(), margin=margin)).image() for margin in (0, 3))
    assert rim[:, :, 0].mean() < 0.8
    assert whole.amin() > 0.95


def test_the_score_sees_the_margin_and_the_picture_has_none() -> None:
    seen = []

    def looking(size: tuple[int, int]) -> Score:
        def score(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
            seen.append((size, tuple(image.shape[2:])))
            return 0 * image.sum(), {}

        return score

    steps = list(pyramid(stripes, SCALES, looking, LBFGS(), margin=3))
    assert seen == [(scale.size, (scale.size[0] + 6, scale.size[1] + 6)) for scale in SCALES for _ in range(3)]
    assert [step.size for step in steps] == [size for size, _ in seen]


def test_a_margin_is_the_mirror_image_and_no_wider_than_there_is() -> None:
    image = torch.arange(6.0).view(1, 1, 1, 6)
    assert mirrored(image, 2)[0, 0].tolist() == [[2, 1, 0, 1, 2, 3, 4, 5, 4, 3]]
    assert mirrored(image, 9).shape == (1, 1, 1, 16)
    assert torch.equal(cropped(mirrored(image, 9), (1, 6)), image)


# Modes of torch


def test_a_run_begun_in_inference_mode_goes_on_in_it_and_learns_all_the_same() -> None:
    with torch.inference_mode():
        for step in pyramid(grey, SCALES, brighter, LBFGS(), margin=3):  # noqa: B007
            assert torch.is_inference_mode_enabled()
        assert step.image().amin() > 0.95
