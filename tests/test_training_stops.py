"""What stops the training loop, and what it then keeps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from vggapps.errors import DivergedError, SettingsError
from vggapps.training import FitSettings, fit

SGD = FitSettings(epochs=3, optimizer="sgd", learning_rate=0.05, weight_decay=0.01, dtype="float32")
BATCHES = [(torch.randn(n, 4, generator=torch.Generator().manual_seed(n)), torch.arange(n) % 3) for n in (8, 8, 5)]


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(4, 3)


class Named(NamedTuple):
    inputs: Tensor
    targets: Tensor
    files: tuple[str, ...]
    unreadable: tuple[str, ...] = ()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_the_files_and_keeps_the_weights(bad: float) -> None:
    model = linear()
    files = tuple(f"{n}.jpg" for n in range(5))
    batches = [Named(*BATCHES[0], files), Named(BATCHES[1][0] * bad, BATCHES[1][1], files)]
    steps = fit(model, batches, nn.CrossEntropyLoss(), SGD)
    next(steps)
    kept = model.weight.detach().clone()
    with pytest.raises(DivergedError, match=r"epoch 1, step 2, with 0.jpg, 1.jpg, 2.jpg and 2 more") as error:
        next(steps)
    assert "lower learning_rate" in error.value.hint
    assert torch.equal(model.weight, kept)


def test_a_gradient_that_is_not_finite_stops_with_the_weights_kept() -> None:
    model = linear()
    before = model.weight.detach().clone()

    def loss(outputs: Tensor, _: Tensor) -> Tensor:
        return (outputs - outputs.detach()).abs().sqrt().sum()  # 0, with an infinite slope

    with pytest.raises(DivergedError, match="norm of the gradient became"):
        list(fit(model, BATCHES, loss, SGD))
    assert torch.equal(model.weight, before)


def test_the_state_of_a_past_step_is_refused() -> None:
    steps = fit(linear(), BATCHES, nn.CrossEntropyLoss(), SGD)
    first = next(steps)
    next(steps)
    with pytest.raises(RuntimeError, match="before the next step"):
        first.state()


def test_nothing_to_train_is_an_error() -> None:
    with pytest.raises(SettingsError, match="no batch"):
        fit(linear(), [], nn.CrossEntropyLoss(), SGD)
    with pytest.raises(SettingsError, match="no parameter"):
        fit(linear().requires_grad_(False), BATCHES, nn.CrossEntropyLoss(), SGD)
    with pytest.raises(SettingsError, match="warmup=1 has an effect only with another schedule"):
        FitSettings(schedule="plateau", warmup=1)


class Broken(list):
    """Batches with a picture that could not be read."""

    def epoch(self, number: int, start: int) -> Iterator[Named]:
        yield Named(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), (), ("a.jpg: it is damaged",))


def test_unreadable_pictures_are_reported_and_an_empty_batch_changes_nothing() -> None:
    model = linear()
    before = model.weight.detach().clone()
    settings = FitSettings(epochs=1, optimizer="sgd", learning_rate=0.1)
    (step,) = fit(model, Broken([0]), nn.CrossEntropyLoss(), settings)
    assert step.unreadable == ("a.jpg: it is damaged",)
    assert step.pictures == 0
    assert torch.equal(model.weight, before)
