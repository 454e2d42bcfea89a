"""Stopping in the middle of a step: at once, and what was whole before stays so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from threading import Event, Thread

import pytest
import torch
from torch import Tensor

from vggapps.optimize._engine import optimize
from vggapps.optimize._interrupt import Interrupted, interruptible
from vggapps.optimize._optimizers import LBFGS, Adam
from vggapps.optimize._step import Step

TARGET = torch.rand(1, 3, 8, 8)


def run(optimizer: LBFGS | Adam, steps: int = 6) -> Iterator[Step]:
    def score(image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss = (image - TARGET).square().sum()
        return loss, {"distance": loss}

    return optimize([torch.zeros(1, 3, 8, 8)], lambda leaves: leaves[0], score, optimizer, steps)


@pytest.mark.parametrize("optimizer", [LBFGS, Adam])
def test_to_be_interruptible_changes_no_number(optimizer: type[LBFGS] | type[Adam]) -> None:
    pictures = []
    for watched in (nullcontext(), interruptible(lambda: False)):
        with watched:
            *_, step = run(optimizer())
        pictures.append(step.image())
    assert torch.equal(*pictures)


@pytest.mark.parametrize("operations", range(0, 120, 9))
def test_wherever_a_step_is_stopped_the_last_whole_one_is_shown(operations: int) -> None:
    whole = [step.image() for step in run(LBFGS(), 9)]
    left = iter([False] * operations + [True] * 99)
    step, steps = None, run(LBFGS(), 9)
    with pytest.raises(Interrupted), interruptible(lambda: next(left)):
        for step in steps:  # noqa: B007
            pass
    if step is not None:
        assert step.index < 9
        assert torch.equal(step.image(), whole[step.index - 1])


def test_the_backward_pass_is_stopped_too() -> None:
    asked = False

    class Forward(torch.autograd.Function):
        @staticmethod
        def forward(_: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(_: object, grad: Tensor) -> Tensor:  # type: ignore[override]
            nonlocal asked
            asked = True
            return grad * 2

    x = torch.ones(3, requires_grad=True)
    with interruptible(lambda: asked):
        loss = Forward.apply(x).sum()  # type: ignore[no-untyped-call]
        with pytest.raises(Interrupted):
            loss.backward()
    assert asked
    assert x.grad is None


def test_another_thread_asks_and_is_heard_within_an_operation() -> None:
    stop, heard = Event(), Event()

    def work() -> None:
        with torch.inference_mode(), interruptible(stop.is_set):
            try:
                while True:
                    torch.rand(64, 64) @ torch.rand(64, 64)
            except Interrupted:
                heard.set()

    thread = Thread(target=work)
    thread.start()
    time.sleep(0.05)
    stop.set()
    assert heard.wait(5)
    thread.join()
    assert torch.rand(2).sum() >= 0  # and this thread was never watched
