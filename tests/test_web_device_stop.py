"""Stopping what the page's worker does: who stops keeps what is there, who leaves frees it for the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest
import torch

from tests.web_work import SOON, a_device, a_gate, behind, endless_step, says, torch_forever, until  # noqa: F401
from vggapps.web.device import Device, Heartbeat, Job, Refused, Updates


def test_stopping_keeps_what_is_there(device: Device) -> None:
    def work(job: Job) -> Iterator[Updates]:
        made = -1
        for made in job.iterate(torch_forever()):
            yield {"made": made}
        yield {"kept": made, "reason": job.reason}

    shown: dict[str, Any] = {}
    for updates in device.submit("ann", work).follow():
        assert not isinstance(updates, Heartbeat) or not updates.ahead
        shown |= {} if isinstance(updates, Heartbeat) else updates
        if shown.get("made", 0) > 3:
            device.stop("ann")
    assert shown["kept"] == shown["made"]
    assert shown["reason"] == "stopped"


def test_a_session_stops_its_own_work_and_nobody_elses(device: Device, gate: Event) -> None:
    device.submit("ann", behind(gate))
    bob, ann = device.submit("bob", says("bob's")), device.submit("ann", says("ann's"))
    assert device.stop("nobody") == 0
    assert device.stop("ann") == 2
    gate.set()
    assert {"said": "bob's"} in [*bob.follow()]
    with pytest.raises(Refused):
        list(ann.follow())


def test_leaving_frees_the_device(device: Device) -> None:
    reasons = []

    def work(job: Job) -> Iterator[Updates]:
        for n in job.iterate(torch_forever()):
            yield {"n": n}
        reasons.append(job.reason)

    follower = device.submit("ann", work).follow()
    while isinstance(next(follower), Heartbeat):
        pass
    assert len(device) == 1
    follower.close()  # type: ignore[attr-defined]
    assert until(lambda: not len(device))
    assert reasons == ["left"]


def test_who_is_stopped_while_waiting_is_never_served(device: Device, gate: Event) -> None:
    ran: list[str] = []
    device.submit("ann", behind(gate))
    waiting = device.submit("bob", lambda _: iter([{"ran": ran.append("bob")}]))
    waiting.stop()
    gate.set()
    with pytest.raises(Refused, match="before there was anything"):
        list(waiting.follow())
    assert until(lambda: not len(device))
    assert not ran


def test_the_time_limit_ends_a_run_and_is_given_as_the_reason() -> None:
    device = Device(waiting=0, seconds=0.25)

    def work(job: Job) -> Iterator[Updates]:
        for _ in job.iterate(torch_forever()):
            pass
        yield {"reason": job.reason}

    began = time.monotonic()
    job = device.submit("ann", work)
    assert {"reason": "time"} in [*job.follow()]
    assert 0.25 <= time.monotonic() - began < SOON
    device.close()


def test_the_time_limit_counts_from_the_turn_not_from_the_waiting(gate: Event) -> None:
    device = Device(waiting=1, seconds=0.4)
    device.submit("ann", behind(gate))
    waiting = device.submit("bob", lambda job: iter([{"asked": job.should_end()}]))
    time.sleep(0.6)
    gate.set()
    assert {"asked": False} in [*waiting.follow()]
    device.close()


def test_what_takes_too_long_and_has_nothing_to_show_is_told_with_the_limit() -> None:
    device = Device(waiting=0, seconds=0.25)
    with pytest.raises(Refused, match=r"0\.25 seconds"):
        list(device.submit("ann", lambda job: iter([{"never": job.call(endless_step)}])).follow())
    device.close()


@pytest.mark.parametrize("how", ["iterate", "whole"])
def test_an_endless_loop_of_torch_is_left_at_once(device: Device, how: str) -> None:
    began, ended = Event(), Event()

    def steps() -> Iterator[int]:
        began.set()
        yield endless_step()

    def work(job: Job) -> Iterator[Updates]:
        try:
            if how == "whole":
                job.call(lambda: next(steps()))
            else:
                assert list(job.iterate(steps())) == []
        finally:
            ended.set()
        yield {"left": "in order"}

    job = device.submit("ann", work)
    assert began.wait(SOON)
    assert not ended.wait(0.05)
    stopped = time.monotonic()
    job.stop()
    assert ended.wait(SOON)
    assert time.monotonic() - stopped < 1
    if how == "whole":
        with pytest.raises(Refused, match="stopped before"):
            list(job.follow())
    else:
        assert {"left": "in order"} in [*job.follow()]


def test_one_whom_nobody_follows_has_left(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vggapps.web.device.LOST_AFTER", 1.0)
    gate = Event()
    first, forgotten, last = (device.submit(name, behind(gate)) for name in ("ann", "bob", "cid"))
    heard = iter(last.follow())
    following = Thread(target=lambda: [*first.follow()])
    following.start()
    assert until(lambda: next(heard).ahead == 1)
    assert forgotten.reason == "left"
    gate.set()
    following.join()
    assert {"after": "the gate"} in [*heard]


def test_items_that_need_no_torch_end_too(device: Device) -> None:
    def work(job: Job) -> Iterator[Updates]:
        job.stop()
        yield {"made": len(list(job.iterate(iter(range(1000)))))}

    assert {"made": 0} in [*device.submit("ann", work).follow()]


def test_whole_gives_what_was_made_when_nobody_asks(device: Device) -> None:
    job = device.submit("ann", lambda job: iter([{"sum": job.call(lambda: torch.ones(3).sum().item())}]))
    assert {"sum": 3.0} in [*job.follow()]


def test_closing_ends_what_runs_and_what_waits_and_the_thread() -> None:
    threads = threading.active_count()
    device = Device(waiting=9, seconds=60)
    began, reasons = Event(), []

    def work(job: Job) -> Iterator[Updates]:
        began.set()
        for _ in job.iterate(torch_forever()):
            pass
        reasons.append(job.reason)
        yield {}

    first, *others = [device.submit(str(n), work) for n in range(4)]
    assert began.wait(SOON)
    device.close()
    assert reasons == ["left"]  # of the first; the others never began
    assert len(device) == 0
    assert threading.active_count() == threads
    list(first.follow())
    for job in others:
        with pytest.raises(Refused):
            list(job.follow())


def test_a_hundred_visitors_leave_nothing_behind() -> None:
    device = Device(waiting=100, seconds=60)
    list(device.submit("first", says("hello")).follow())
    threads = threading.active_count()

    def broken(_: Job) -> Iterator[Updates]:
        raise RuntimeError

    for n in range(100):
        job = device.submit(str(n), [says("done"), broken, lambda j: j.iterate(torch_forever())][n % 3])  # type: ignore
        if n % 4 == 0:
            job.stop("left")
        elif n % 3 == 2:
            job.stop()
        try:
            list(job.follow())
        except (RuntimeError, Refused):
            assert n % 3 == 1 or job.reason
    assert until(lambda: not len(device))
    assert threading.active_count() == threads
    device.close()
    assert threading.active_count() == threads - 1
