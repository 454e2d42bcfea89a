"""The worker behind the page: one thing at a time, in order, and all updates reach their reader."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web_work import SOON, a_device, a_gate, behind, says, until  # noqa: F401
from vggapps.errors import VggappsError
from vggapps.web.device import HEARTBEAT, PREVIEW_INTERVAL, Device, Heartbeat, Job, Refused, Updates


def test_work_is_done_in_the_order_of_asking_and_never_two_at_once(device: Device) -> None:
    seen: list[tuple[str, int]] = []

    def work(number: int) -> Callable[[Job], Iterator[Updates]]:
        def run(_: Job) -> Iterator[Updates]:
            seen.append(("begins", number))
            time.sleep(0.002)
            yield {}
            time.sleep(0.002)
            seen.append(("ends", number))

        return run

    jobs = [device.submit(f"visitor {n % 3}", work(n)) for n in range(12)]
    readers = [Thread(target=lambda job=job: list(job.follow())) for job in reversed(jobs)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(SOON)
    assert seen == [(what, n) for n in range(12) for what in ("begins", "ends")]


def test_the_next_begins_when_the_one_before_has_ended_not_when_its_visitor_has_left(
    device: Device, gate: Event
) -> None:
    order, began, second = [], Event(), Event()

    def deaf(_: Job) -> Iterator[Updates]:
        began.set()
        gate.wait(60)
        order.append("the first has ended")
        yield {}

    def next_one(_: Job) -> Iterator[Updates]:
        order.append("the second begins")
        second.set()
        yield {}

    job = device.submit("ann", deaf)
    follower = job.follow()
    assert began.wait(SOON)
    assert isinstance(next(follower), Heartbeat)
    device.submit("bob", next_one)
    follower.close()  # type: ignore[attr-defined]
    assert job.reason == "left"
    assert not second.wait(0.3)
    gate.set()
    assert second.wait(SOON)
    assert order == ["the first has ended", "the second begins"]


def test_ahead_is_the_true_place_also_when_somebody_in_between_gives_up(device: Device, gate: Event) -> None:
    jobs = [device.submit(name, behind(gate)) for name in ("ann", "bob", "cid", "dan")]
    assert [device.position(job) for job in jobs] == [0, 1, 2, 3]
    assert len(device) == 4
    assert device.stop("bob") == 1
    assert [device.position(jobs[n]) for n in (0, 2, 3)] == [0, 1, 2]
    beat = next(jobs[3].follow())
    assert isinstance(beat, Heartbeat)
    assert beat.ahead == 2
    gate.set()
    assert until(lambda: not len(device))
    assert [device.position(job) for job in jobs] == [0] * 4


def test_a_visitor_hears_something_every_beat_while_nothing_happens(device: Device, gate: Event) -> None:
    device.submit("ann", behind(gate))
    times, beats = [time.monotonic()], []
    for beat in device.submit("bob", says("done")).follow():
        times.append(time.monotonic())
        if not isinstance(beat, Heartbeat):
            break
        beats.append(beat)
        if len(beats) == 4:
            gate.set()
    assert len(beats) >= 4
    assert max(b - a for a, b in pairwise(times)) < 5 * HEARTBEAT
    assert times[4] - times[0] > 3.5 * HEARTBEAT  # nor all at once
    waited = [beat.seconds for beat in beats[:4]]
    assert waited == sorted(waited)
    assert waited[-1] == pytest.approx(times[4] - times[0], abs=0.3)


@pytest.mark.parametrize("waiting", [0, 1, 3])
def test_so_many_may_wait_and_the_next_is_refused_in_a_sentence(waiting: int, gate: Event) -> None:
    device = Device(waiting, seconds=60)
    jobs = [device.submit(str(n), behind(gate)) for n in range(1 + waiting)]
    with pytest.raises(Refused, match="before you") as refused:
        device.submit("late", says("never"))
    assert isinstance(refused.value, VggappsError)
    assert refused.value.hint
    assert len(device) == 1 + waiting
    gate.set()
    for job in jobs:
        list(job.follow())
    assert {"said": "room again"} in [*device.submit("late", says("room again")).follow()]
    device.close()


def test_one_other_is_one() -> None:
    device, gate = Device(waiting=0, seconds=60), Event()
    job = device.submit("ann", behind(gate))
    with pytest.raises(Refused) as refused:
        device.submit("bob", says("never"))
    gate.set()
    list(job.follow())
    device.close()
    assert "1 others" not in refused.value.message


def test_what_breaks_reaches_its_visitor_after_what_was_shown_and_the_next_is_served(device: Device) -> None:
    def broken(_: Job) -> Iterator[Updates]:
        yield {"shown": 1}
        raise ZeroDivisionError("deep inside")

    job, after = device.submit("ann", broken), device.submit("bob", says("served"))
    follower = job.follow()
    assert next(updates for updates in follower if not isinstance(updates, Heartbeat)) == {"shown": 1}
    with pytest.raises(ZeroDivisionError, match="deep inside"):
        list(follower)
    assert {"said": "served"} in [*after.follow()]


NEWS = st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), min_size=1), min_size=1, max_size=12)


def test_news_that_nobody_has_read_are_one_later_over_earlier() -> None:
    device = Device(waiting=100, seconds=60)

    @given(early=NEWS, late=NEWS)
    @settings(max_examples=60, deadline=None, derandomize=True)
    def holds(early: list[dict[str, int]], late: list[dict[str, int]]) -> None:
        told, read = Event(), Event()

        def work(job: Job) -> Iterator[Updates]:
            job.show(early[0])
            yield from early[1:]
            told.set()
            read.wait(SOON)
            yield from late

        follower = device.submit("ann", work).follow()
        assert told.wait(SOON)
        first = next(follower)
        read.set()
        assert first == {key: value for one in early for key, value in one.items()}
        shown: dict[Any, int] = {}
        for updates in follower:
            shown |= {} if isinstance(updates, Heartbeat) else updates
        assert shown == {key: value for one in late for key, value in one.items()}

    holds()
    device.close()


def test_the_last_news_are_never_lost_however_slowly_they_are_read(device: Device) -> None:
    for delay in (0, 0.0001, 0.001, 0.003):
        for _ in range(20):
            job = device.submit("ann", lambda _: ({"n": n} for n in range(40)))
            numbers = []
            for updates in job.follow():
                numbers += [] if isinstance(updates, Heartbeat) else [updates["n"]]
                time.sleep(delay)
            assert numbers[-1] == 39
            assert numbers == sorted(set(numbers))


def test_pictures_are_wanted_when_the_one_before_has_been_seen_for_a_while(device: Device) -> None:
    wants = []
    seen, more = Event(), Event()

    def work(job: Job) -> Iterator[Updates]:
        wants.append(job.wants_preview)
        yield {"picture": 1}
        time.sleep(1.2 * PREVIEW_INTERVAL)
        wants.append(job.wants_preview)  # it is old, but nobody has looked yet
        seen.set()
        more.wait(SOON)
        wants.append(job.wants_preview)
        yield {"picture": 2}
        wants.append(job.wants_preview)  # it is new

    follower = device.submit("ann", work).follow()
    assert seen.wait(SOON)
    assert next(follower) == {"picture": 1}
    more.set()
    assert {"picture": 2} in [*follower]
    assert wants == [True, False, True, False]
