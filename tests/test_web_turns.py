"""Long and quick jobs of the page take turns: quick ones need not wait, and long ones are not starved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Event
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web_work import SOON, a_gate, says, torch_forever, two_devices, until  # noqa: F401
from vggapps.web import turns as room
from vggapps.web.device import Device, Heartbeat, Job, Refused, Updates
from vggapps.web.explain import SLOW
from vggapps.web.turns import BURST, SLICE, Lane, Turns

TICK = 0.05  # seconds between two questions of the simulation
Two = tuple[Device, Device]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def may(turns: Turns, lane: Lane) -> bool:
    """Whether a job of the lane goes on without asking whether it must end, which one that waits does."""
    asked: list[None] = []
    turns.wait(lane, lambda: asked.append(None) is None)
    return not asked


def simulated(quick_jobs: list[tuple[int, int]]) -> list[tuple[bool, bool, bool]]:
    """A long job that never ends beside quick ones, of which each has its pause before it and its length in ticks.

    Returns:
        For each tick whether a quick job is there, whether the long job may compute, and whether the quick one may.
    """
    clock, ticks = Clock(), []
    turns = Turns(clock)
    with turns.running("long"):
        for pause, length in quick_jobs:
            for is_there in [False] * pause + [True] * length:
                with ExitStack() as stack:
                    if is_there:
                        stack.enter_context(turns.running("quick"))
                    ticks.append((is_there, may(turns, "long"), is_there and may(turns, "quick")))
                    clock.now += TICK
    return ticks


QUICK_JOBS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 80)), min_size=1, max_size=8)


@given(QUICK_JOBS)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_of_two_running_jobs_one_computes_and_of_one_that_one(quick_jobs: list[tuple[int, int]]) -> None:
    for is_there, long, quick in simulated(quick_jobs):
        assert long != quick if is_there else long


@given(QUICK_JOBS)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_a_long_job_has_half_of_any_few_seconds_however_many_quick_ones_come(quick_jobs: list[tuple[int, int]]) -> None:
    computes = [long for _, long, _ in simulated(quick_jobs)]
    for width in (int(2 * BURST / TICK), int(5 * BURST / TICK)):
        for start in range(max(1, len(computes) - width)):
            seconds = len(window := computes[start : start + width]) * TICK
            assert sum(window) * TICK >= (seconds - BURST) / 2 - 2 * TICK


@given(QUICK_JOBS)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_a_quick_job_waits_for_one_turn_at_a_time(quick_jobs: list[tuple[int, int]]) -> None:
    waits = 0
    for is_there, _, quick in simulated(quick_jobs):
        waits = waits + 1 if is_there and not quick else 0
        assert waits * TICK <= SLICE + 2 * TICK


def test_a_quick_job_after_a_while_without_any_begins_at_once() -> None:
    ticks = simulated([(0, 100), (int(BURST / TICK) + 1, int(BURST / TICK))])
    assert all(quick for _, _, quick in ticks[-int(BURST / TICK) :])


@pytest.mark.parametrize("lane", get_args(Lane))
def test_alone_nobody_waits(lane: Lane) -> None:
    turns, clock = Turns(clock := Clock()), clock
    with turns.running(lane):
        for _ in range(100):
            assert may(turns, lane)
            clock.now += TICK


def endless(numbers: list[int], began: Event) -> Callable[[Job], Iterator[Updates]]:
    """A long painting: it counts its steps, and keeps what is there when it is stopped."""

    def work(job: Job) -> Iterator[Updates]:
        began.set()
        numbers.extend(job.iterate(torch_forever()))
        yield {"steps": len(numbers), "reason": job.reason}

    return work


def test_a_quick_job_is_done_while_a_long_one_stands_still_and_then_goes_on(
    two: Two, gate: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "BURST", 60.0)  # so that a busy machine does not end the turn
    long, quick = two
    steps: list[int] = []
    seen = Event()
    painting = long.submit("ann", endless(steps, Event()))
    assert until(lambda: steps)

    def work(job: Job) -> Iterator[Updates]:
        job.call(lambda: torch.rand(3).sum())
        before = len(steps)
        seen.set()
        gate.wait(SOON)
        job.call(lambda: torch.rand(3).sum())
        yield {"steps meanwhile": len(steps) - before}

    classified = quick.submit("bob", work)
    assert seen.wait(SOON)
    gate.set()
    told = [updates for updates in classified.follow() if not isinstance(updates, Heartbeat)]
    assert told[0]["steps meanwhile"] <= 1  # the step whose last operation had begun
    assert not painting._future.done()
    done = len(steps)
    assert until(lambda: len(steps) > done)
    long.stop("ann")
    kept = [*painting.follow()][-1]
    assert kept == {"steps": len(steps), "reason": "stopped"}


def test_quick_jobs_without_end_do_not_starve_a_long_one(two: Two) -> None:
    long, quick = two
    steps: list[int] = []
    began = Event()
    quick_steps: list[int] = []
    previews = quick.submit("bob", endless(quick_steps, Event()))
    painting = long.submit("ann", endless(steps, began))
    assert until(lambda: len(steps) > 20 and len(quick_steps) > 20, 2 * SOON)
    for job in (painting, previews):
        job.stop()
        assert any("steps" in updates for updates in job.follow() if not isinstance(updates, Heartbeat))


@pytest.mark.parametrize("lane", [0, 1])
def test_a_job_that_is_held_up_is_stopped_too(two: Two, lane: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BURST", 60.0 if lane == 0 else 0.0)  # the one that never gets its turn is stopped
    began = [Event(), Event()]
    steps: list[list[int]] = [[], []]
    jobs = [two[n].submit(f"visitor {n}", endless(steps[n], began[n])) for n in (0, 1)]
    assert all(event.wait(SOON) for event in began)
    assert until(lambda: steps[1 - lane])
    two[lane].stop(f"visitor {lane}")
    assert any("steps" in updates for updates in jobs[lane].follow() if not isinstance(updates, Heartbeat))
    assert not jobs[1 - lane]._future.done()


def test_the_time_for_which_a_job_is_held_up_is_not_its_own(monkeypatch: pytest.MonkeyPatch, gate: Event) -> None:
    monkeypatch.setattr(room, "BURST", 60.0)
    turns = Turns()
    long, quick = Device(0, 0.5, turns), Device(0, 60, turns, "quick")
    began, steps = Event(), [0]
    painting = long.submit("ann", endless(steps, began))
    assert began.wait(SOON)
    follower = quick.submit("bob", lambda _: iter([{"waited": gate.wait(1.0)}])).follow()
    assert {"waited": False} in [*follower]
    assert painting.reason == ""
    kept = [*painting.follow()][-1]
    assert kept == {"reason": "time", "steps": len(steps)}
    long.close()
    quick.close()


def test_a_job_that_fails_gives_its_turn_back(two: Two) -> None:
    def broken(_: Job) -> Iterator[Updates]:
        raise ZeroDivisionError

    long, quick = two
    with pytest.raises(ZeroDivisionError):
        list(quick.submit("bob", broken).follow())
    began = Event()
    painting = long.submit("ann", endless([], began))
    assert began.wait(SOON)
    painting.stop("left")


def test_each_worker_has_its_own_queue(two: Two, gate: Event) -> None:
    long, quick = two
    long.submit("ann", lambda _: iter([{"waited": gate.wait(SOON)}]))
    waiting = long.submit("bob", says("painted"))
    assert {"said": "classified"} in [*quick.submit("bob", says("classified")).follow()]
    assert long.position(waiting) == 1
    assert long.stop("bob") == 1
    with pytest.raises(Refused):
        list(waiting.follow())


def test_methods_that_take_many_passes_are_long_jobs() -> None:
    """Counted: for how many pictures the network computes its classes."""
    from tests.reference.narrow import NARROW
    from vggapps.explanation import METHODS, explain_batch
    from vggapps.vgg._network import VGG, initialize

    network = initialize(VGG(NARROW, head="gap", classes=5), seed=1).freeze()
    passes: list[int] = []
    network.fc8.register_forward_hook(lambda _, inputs, __: passes.append(len(inputs[0])))  # type: ignore[union-attr]
    many = set()
    for name in METHODS:
        passes.clear()
        explain_batch(network, torch.rand(1, 3, 64, 64), 0, name)
        assert passes
        if sum(passes) > 4:
            many.add(name)
    assert many == SLOW
