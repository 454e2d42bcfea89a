"""Work for the page's device, as tests want it: deaf, endless, or held back until they say so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from threading import Event

import pytest
import torch

from vggapps.web.device import Device, Job, Updates
from vggapps.web.turns import Turns

SOON = 5  # seconds: generous, for what takes a hundredth of one


@pytest.fixture(name="device")
def a_device() -> Iterator[Device]:
    device = Device(waiting=100, seconds=60)
    yield device
    device.close()


@pytest.fixture(name="two")
def two_devices() -> Iterator[tuple[Device, Device]]:
    """The worker for long jobs and that for quick ones, as a page has them."""
    turns = Turns()
    long, quick = Device(waiting=100, seconds=60, turns=turns), Device(100, 60, turns, "quick")
    yield long, quick
    long.close()
    quick.close()


@pytest.fixture(name="gate")
def a_gate() -> Iterator[Event]:
    """Opens at the latest when the test ends, so that nothing waits for ever."""
    gate = Event()
    yield gate
    gate.set()


def until(true: Callable[[], object], seconds: float = SOON) -> bool:
    """Wait for it, a while."""
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(true())


def behind(gate: Event, began: Event | None = None) -> Callable[[Job], Iterator[Updates]]:
    """Work that listens to nobody until the gate opens."""

    def work(_: Job) -> Iterator[Updates]:
        if began:
            began.set()
        gate.wait(60)
        yield {"after": "the gate"}

    return work


def says(word: str) -> Callable[[Job], Iterator[Updates]]:
    return lambda _: iter([{"said": word}])


def torch_forever() -> Iterator[int]:
    """Numbers, a few operations of torch for each."""
    for n in count():
        (torch.rand(8, 8) @ torch.rand(8, 8)).sum()
        yield n


def endless_step() -> int:
    """One that never comes to its end."""
    while True:
        torch.rand(64, 64) @ torch.rand(64, 64)
