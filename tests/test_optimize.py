"""The engine: one loop, one evaluation a step, nothing held open between steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from vggapps.errors import DivergedError, SettingsError
from vggapps.optimize._engine import optimize
from vggapps.optimize._optimizers import LBFGS, Adam, Optimizer
from vggapps.optimize._precondition import favour_large
from vggapps.optimize._pyramid import Scale, plan_scales, pyramid, upsample
from vggapps.optimize._step import last

TARGET = torch.linspace(0.2, 0.8, 3 * 8 * 8).view(1, 3, 8, 8)


def distance(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
    """A badly conditioned bowl around TARGET: curvatures from 1 to 100."""
    stretch = torch.logspace(0, 2, image.numel()).view_as(image)
    half = (stretch * (image - TARGET).square()).sum() / 2
    return half * 2, {"one": half, "other": half}


def identity(leaves: list[Tensor]) -> Tensor:
    return leaves[0]


def start() -> list[Tensor]:
    return [torch.full((1, 3, 8, 8), 0.5)]


@pytest.mark.parametrize("optimizer", [LBFGS(), Adam(0.05)], ids=["lbfgs", "adam"])
def test_the_minimum_is_found(optimizer: Optimizer) -> None:
    step = last(optimize(start(), identity, distance, optimizer, 80))
    assert (step.image() - TARGET).abs().max() < 0.02


def test_lbfgs_takes_the_steps_of_torchs_lbfgs_from_the_second_on() -> None:
    """Only the first step's length differs: ours is a largest change, torch's is min(1, 1/‖g‖₁)."""
    torch.manual_seed(1)
    matrix = torch.randn(6, 6, dtype=torch.float64)
    matrix = matrix @ matrix.T + torch.eye(6, dtype=torch.float64)

    def value(x: Tensor) -> Tensor:
        return x @ matrix @ x / 2 + (x**4).sum() / 10

    x0 = torch.randn(6, dtype=torch.float64)
    theirs = x0.clone().requires_grad_()
    gradient = torch.autograd.grad(value(theirs), theirs)[0]
    first = float(gradient.abs().max() * min(1.0, 1 / gradient.abs().sum()))
    torchs = torch.optim.LBFGS([theirs], lr=1, max_iter=1, history_size=4, tolerance_grad=0, tolerance_change=0)

    def closure() -> Tensor:
        torchs.zero_grad()
        loss = value(theirs)
        loss.backward()
        return loss

    ours, optimizer = x0.clone().requires_grad_(), LBFGS(4, first_step=first)
    for _ in range(12):
        torchs.step(closure)
        optimizer.update([ours], torch.autograd.grad(value(ours), [ours]))
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_lbfgs_first_step_changes_no_number_by_more_than_it_says() -> None:
    leaf = torch.zeros(5, requires_grad=True)
    LBFGS(first_step=0.02).update([leaf], [torch.tensor([3.0, -1e6, 0.0, 1.0, 2.0])])
    assert float(leaf.detach().abs().max()) == pytest.approx(0.02)


def test_one_step_is_one_evaluation_and_terms_add_up() -> None:
    calls = 0

    def counted(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        nonlocal calls
        calls += 1
        return distance(image)

    for step in optimize(start(), identity, counted, LBFGS(), 7):
        assert step.evaluations == step.index == calls
        assert sum(step.terms.values()) == pytest.approx(step.loss)
        assert step.fraction == pytest.approx(step.index / 7)
    assert calls == 7


def test_no_gradient_mode_is_held_open_between_steps() -> None:
    with torch.no_grad():
        for _ in optimize(start(), identity, distance, LBFGS(), 2):
            assert not torch.is_grad_enabled()
    for _ in optimize(start(), identity, distance, LBFGS(), 2):
        assert torch.is_grad_enabled()


def test_a_picture_must_be_taken_before_the_next_step() -> None:
    steps = optimize(start(), identity, distance, LBFGS(), 3)
    first = next(steps)
    first.image()
    second = next(steps)
    with pytest.raises(RuntimeError, match="before the next step"):
        first.image()
    second.image()


def test_the_last_picture_outlives_the_loop() -> None:
    step = last(optimize(start(), identity, distance, LBFGS(), 3))
    assert step.image().shape == (1, 3, 8, 8)


def test_pictures_are_clamped_copies() -> None:
    leaves = [torch.full((1, 3, 8, 8), 1.5)]
    step = next(optimize(leaves, identity, distance, LBFGS(first_step=1e-6), 1))
    image = step.image()
    assert image.max() == 1
    image.zero_()
    assert step.image().max() == 1


def test_the_average_is_the_mean_of_a_short_run() -> None:
    """Weights 1, 1/2, 1/3 until 1 - average: after three steps of 0.8 it is the plain mean of three iterates."""
    leaves = start()
    iterates = [leaves[0].detach().clone() for _ in optimize(leaves, identity, distance, Adam(0.01), 3)]
    averaged = last(optimize(start(), identity, distance, Adam(0.01), 3, average=0.8)).image()
    torch.testing.assert_close(averaged, torch.stack(iterates).mean(0))


def test_a_loss_that_is_no_number_names_the_term_and_keeps_the_last_good_picture() -> None:
    calls = 0

    def breaks(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        nonlocal calls
        calls += 1
        good, _ = distance(image)
        bad = good * (math.nan if calls == 3 else 1)
        return good + bad, {"good": good, "bad": bad}

    steps = optimize(start(), identity, breaks, LBFGS(), 9)
    next(steps)
    step = next(steps)
    before = step.image()
    with pytest.raises(DivergedError, match=r"step 3 of 9 \(bad\)"):
        next(steps)
    torch.testing.assert_close(step.image(), before)
    assert torch.isfinite(step.image()).all()


def test_closing_is_cancelling() -> None:
    steps = optimize(start(), identity, distance, LBFGS(), 100)
    next(steps)
    steps.close()
    assert list(steps) == []


def test_no_steps_is_an_error_that_says_so() -> None:
    with pytest.raises(SettingsError, match="at least one step"):
        last(iter([]))


# Coarse to fine


def test_rungs_halve_the_size() -> None:
    assert plan_scales((384, 512), (60, 40, 20), 64) == [
        Scale((96, 128), 60),
        Scale((192, 256), 40),
        Scale((384, 512), 20),
    ]


def test_rungs_never_go_below_the_smallest_side_and_lose_no_step() -> None:
    assert plan_scales((96, 128), (60, 40, 20), 64) == [Scale((48, 64), 100), Scale((96, 128), 20)]
    assert plan_scales((20, 30), (60, 40, 20), 64) == [Scale((20, 30), 120)]


def test_rungs_of_a_panorama_stay_wide_enough() -> None:
    assert plan_scales((40, 512), (60, 40, 20), 64, 16) == [Scale((20, 256), 100), Scale((40, 512), 20)]


def test_rungs_without_steps_are_left_out() -> None:
    assert plan_scales((384, 512), (0, 1, 1), 64) == [Scale((192, 256), 1), Scale((384, 512), 1)]


def flat(size: tuple[int, int]) -> Tensor:
    return torch.full((1, 3, *size), 0.5)


def bowl(size: tuple[int, int]):  # type: ignore[no-untyped-def]
    ramp = torch.linspace(0.1, 0.9, size[1]).expand(1, 3, *size)

    def score(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        loss = (image - ramp).square().mean()
        return loss, {"bowl": loss}

    return score


@pytest.mark.parametrize("optimizer", [LBFGS(), Adam(0.05)], ids=["lbfgs", "adam"])
def test_a_pyramid_ends_at_the_full_size_and_counts_through(optimizer: Optimizer) -> None:
    scales = [Scale((4, 6), 30), Scale((8, 12), 20), Scale((16, 24), 10)]
    steps = list(pyramid(flat, scales, bowl, optimizer))
    assert [s.index for s in steps] == list(range(1, 61))
    assert {s.total for s in steps} == {60}
    assert [s.evaluations for s in steps] == list(range(1, 61))
    assert all(a.fraction < b.fraction and a.seconds <= b.seconds for a, b in pairwise(steps))
    # The work is counted in pixels: the first scale is 30 steps of a sixteenth of the last one's area.
    assert steps[29].fraction == pytest.approx(30 / 16 / (30 / 16 + 20 / 4 + 10))
    assert steps[-1].fraction == pytest.approx(1)
    assert steps[-1].image().shape == (1, 3, 16, 24)
    torch.testing.assert_close(steps[-1].image(), torch.linspace(0.1, 0.9, 24).expand(1, 3, 16, 24), atol=0.04, rtol=0)


def test_detail_of_the_start_comes_in_where_a_scale_can_show_it() -> None:
    """With nothing to do, the result is the start at full size, stripes of one pixel and all."""
    full = (torch.arange(24) % 2).float().expand(1, 3, 16, 24)

    def start(size: tuple[int, int]) -> Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(full, size)

    def nothing(_size: tuple[int, int]):  # type: ignore[no-untyped-def]
        return lambda image: (0 * image.sum(), {})

    steps = pyramid(start, [Scale((4, 6), 2), Scale((8, 12), 2), Scale((16, 24), 2)], nothing, LBFGS())
    torch.testing.assert_close(last(steps).image(), full, atol=1e-4, rtol=0)


def test_lbfgs_memory_carried_to_a_larger_picture_is_that_pictures_curvature() -> None:
    """On a mean-square bowl one step with carried memory lands at the minimum, as it does without a change of size."""
    optimizer = LBFGS()
    small = list(pyramid(flat, [Scale((8, 8), 4)], bowl, optimizer))
    assert small[-1].loss < 1e-9
    optimizer.resample(lambda t: upsample(t, (16, 16)), 4.0)
    leaf = torch.full((1, 3, 16, 16), 0.3, requires_grad=True)
    loss, _ = bowl((16, 16))(leaf)
    optimizer.update([leaf], torch.autograd.grad(loss, [leaf]))
    after, _ = bowl((16, 16))(leaf)
    assert after < 1e-3 * loss


def test_adams_moments_are_carried() -> None:
    adam = Adam(0.01)
    leaf = torch.zeros(1, 1, 2, 2, requires_grad=True)
    adam.update([leaf], [torch.ones(1, 1, 2, 2)])
    adam.resample(lambda t: upsample(t, (4, 4)), 4.0)
    large = torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
    adam.update([large], [torch.full((1, 1, 4, 4), 0.25)])
    # The same gradient again, in the larger picture's units: a full step of the learning rate, as the second would be.
    torch.testing.assert_close(large.detach(), torch.full((1, 1, 4, 4), 0.49))


def test_cudnn_is_tuned_while_a_step_is_computed_and_as_it_was_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    seen = []

    def score(image: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        seen.append(torch.backends.cudnn.benchmark)
        return image.sum(), {"sum": image.sum()}

    for _ in optimize([torch.zeros(1, 3, 2, 2)], lambda leaves: leaves[0], score, Adam(), 2):
        assert not torch.backends.cudnn.benchmark
    assert seen == [True, True]


def test_a_precondition_is_a_change_of_variables() -> None:
    """L-BFGS with H0 = P is plain L-BFGS in u, where x = P^(1/2) u, for any symmetric positive definite P."""
    torch.manual_seed(2)
    bowl, root = (torch.randn(6, 6, dtype=torch.float64) for _ in range(2))
    bowl, root = (m @ m.T + torch.eye(6, dtype=torch.float64) for m in (bowl, root))

    def gradient(x: Tensor) -> Tensor:
        return bowl @ x + x**3 / 5

    u = torch.randn(6, dtype=torch.float64)
    x = root @ u
    largest = (root @ root @ gradient(x)).abs().max() / (root @ gradient(x)).abs().max()
    plain = LBFGS(4, first_step=0.02)
    preconditioned = LBFGS(4, first_step=0.02 * float(largest), precondition=lambda g: root @ root @ g)
    for _ in range(10):
        plain.update([u], [root @ gradient(root @ u)])
        preconditioned.update([x], [gradient(x)])
        torch.testing.assert_close(x, root @ u, rtol=1e-9, atol=1e-11)


def test_favouring_large_areas_divides_by_frequency() -> None:
    """A wave of 1/8 cycles per pixel is an eigenvector; a constant is left as it is."""
    columns = torch.arange(32, dtype=torch.float64)
    wave = (2 * torch.pi * columns / 8).cos().expand(1, 3, 24, 32)
    torch.testing.assert_close(favour_large(wave, corner=0.05), wave / (1 + 0.125 / 0.05))
    torch.testing.assert_close(favour_large(torch.ones(1, 1, 5, 7), corner=0.05), torch.ones(1, 1, 5, 7))
