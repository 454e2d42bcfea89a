"""The training loop against torch's and torchvision's own parts, formulas, and runs that never stopped."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy
from torchvision.models import vgg as torchvision_vgg

from vggapps.training import FitSettings, fit
from vggapps.training._optimizers import rate_factor
from vggapps.vgg import VGG, initialize

SGD = FitSettings(epochs=3, optimizer="sgd", learning_rate=0.05, weight_decay=0.01, dtype="float32")
BATCHES = [(torch.randn(n, 4, generator=torch.Generator().manual_seed(n)), torch.arange(n) % 3) for n in (8, 8, 5)]


def small(seed: int = 0) -> nn.Sequential:
    """A network with dropout and batch norm, whose steps depend on random numbers and statistics."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3))


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(4, 3)


def copied(values: dict[str, Any]) -> dict[str, Any]:
    """Through a file, as a checkpoint."""
    file = io.BytesIO()
    torch.save(values, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_a_model_may_take_several_inputs() -> None:
    """A bilinear layer of (x, 1) is the linear layer of x."""
    other = linear()
    both = nn.Bilinear(4, 1, 3)
    both.weight.data.copy_(other.weight.data.unsqueeze(2))
    both.bias.data.copy_(other.bias.data)
    paired = [((x, torch.ones(len(x), 1)), y) for x, y in BATCHES]
    plain = replace(SGD, weight_decay=0)
    losses = [step.loss for step in fit(both, paired, nn.CrossEntropyLoss(), plain)]
    assert losses == pytest.approx([step.loss for step in fit(other, BATCHES, nn.CrossEntropyLoss(), plain)], rel=1e-5)


def test_sgd_steps_equal_those_of_torchvisions_network() -> None:
    ours = initialize(VGG("vgg11_bn", head="gap", classes=5), seed=1).double()
    body = torchvision_vgg.make_layers(torchvision_vgg.cfgs["A"], batch_norm=True)
    theirs = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 5)).double()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        other.data.copy_(mine.data)
    batches = [(torch.rand(3, 3, 32, 32, dtype=torch.float64), torch.tensor([0, 3, 4])) for _ in range(2)]
    settings = FitSettings(
        epochs=1, optimizer="sgd", learning_rate=0.01, weight_decay=5e-4, schedule="constant",
        dtype="float32",
    )  # fmt: skip
    losses = [step.loss for step in fit(ours, batches, nn.CrossEntropyLoss(), settings)]
    decayed = [p for p in theirs.parameters() if p.ndim > 1]
    others = [p for p in theirs.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": others}]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9)
    for (images, targets), loss in zip(batches, losses, strict=True):
        optimizer.zero_grad()
        expected = F.cross_entropy(theirs(ours.convention(images)), targets)
        expected.backward()
        optimizer.step()
        assert loss == pytest.approx(expected.item(), abs=1e-9)
    for mine, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)


@pytest.mark.parametrize("stop", [1, 3, 5, 8])
@pytest.mark.parametrize(
    "settings",
    [
        FitSettings(epochs=3, optimizer="adamw", ema=0.9, clip=0.1, dtype="float32"),
        FitSettings(epochs=3, optimizer="sgd", schedule="plateau", patience=1, accumulate=2, dtype="bfloat16"),
        FitSettings(epochs=3, optimizer="sgd", warmup=1, dtype="float32"),
    ],
    ids=["adamw-ema", "plateau-accumulate", "warmup"],
)
def test_a_resumed_run_has_the_bits_of_one_that_never_stopped(settings: FitSettings, stop: int) -> None:
    rows = TensorDataset(torch.randn(23, 4), torch.arange(23) % 3)

    def run(
        model: nn.Module, state: dict[str, Any] | None, last: int
    ) -> tuple[dict[str, Tensor], dict[str, Any], list]:
        loader = DataLoader(rows, batch_size=6, shuffle=True)  # its order comes from torch's default generator
        losses = []
        steps = fit(model, loader, nn.CrossEntropyLoss(), settings, state=state)
        for step in steps:
            losses.append(step.loss)
            if step.ends_epoch:
                step.report(0.5)
            if step.index == last:
                break
        return dict(step.network().state_dict()), copied(step.state()), losses

    stop = min(stop, settings.epochs * math.ceil(4 / settings.accumulate) - 1)
    whole, _, losses = run(small(), None, 99)
    _, state, first = run(small(), None, stop)
    torch.rand(7)  # another process has other random numbers
    resumed, _, rest = run(small(seed=5), state, 99)
    assert first + rest == losses
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_random_numbers_of_the_consumer_change_nothing_and_get_nothing_of_the_run() -> None:
    quiet = [step.loss for step in fit(small(), BATCHES, nn.CrossEntropyLoss(), SGD)]
    torch.manual_seed(1)
    expected = torch.rand(len(quiet))
    torch.manual_seed(1)
    model, drawn, loud = small(), [], []
    torch.manual_seed(1)
    for step in fit(model, BATCHES, nn.CrossEntropyLoss(), SGD):
        loud.append(step.loss)
        drawn.append(torch.rand(()))
    assert loud == quiet
    assert torch.equal(torch.stack(drawn), expected)


def test_accumulated_batches_are_one_batch_also_of_unequal_sizes() -> None:
    one, many = linear(), linear()
    whole = [(torch.cat([x for x, _ in BATCHES]), torch.cat([y for _, y in BATCHES]))]
    together = [s.loss for s in fit(one, whole, nn.CrossEntropyLoss(), SGD)]
    apart = [s.loss for s in fit(many, BATCHES, nn.CrossEntropyLoss(), replace(SGD, accumulate=3))]
    assert apart == pytest.approx(together, abs=1e-6)
    torch.testing.assert_close(many.weight, one.weight)


def test_warm_up_and_cosine_are_torchs_schedules() -> None:
    settings, per_epoch = FitSettings(epochs=6, warmup=2.0, schedule="cosine"), 5
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 1 / 10, 1.0, total_iters=9),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20),
        ],
        [10],
    )
    for step in range(30):
        assert rate_factor(settings, step, per_epoch) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        schedule.step()


def test_on_a_plateau_the_rate_is_divided_by_ten_three_times_and_no_more() -> None:
    settings = FitSettings(epochs=14, optimizer="sgd", learning_rate=0.01, schedule="plateau", patience=2)
    rates = []
    for step in fit(linear(), BATCHES[:1], nn.CrossEntropyLoss(), settings):
        rates.append(step.learning_rate)
        step.report(min(step.index, 4))  # improves up to the fourth epoch
    expected = [0.01] * 6 + [1e-3] * 2 + [1e-4] * 2 + [1e-5] * 4
    assert rates == pytest.approx(expected)


def test_gradients_above_the_limit_are_scaled_to_it() -> None:
    settings = FitSettings(
        epochs=1, optimizer="nesterov", learning_rate=1.0, schedule="constant", clip=0.01, dtype="float32"
    )
    model = linear()
    before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    F.cross_entropy(model(BATCHES[0][0]), BATCHES[0][1]).backward()
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    (step,) = fit(model, BATCHES[:1], nn.CrossEntropyLoss(), settings)
    assert step.gradient_norm == pytest.approx(norm)
    moved = torch.cat([p.detach().flatten() for p in model.parameters()]) - before
    assert float(moved.norm()) == pytest.approx(0.01 * 1.9, rel=1e-3)  # Nesterov's first step: 1 + 0.9 gradients


def test_averaged_weights_follow_the_formula() -> None:
    model, history = linear(), []
    average = None
    settings = FitSettings(epochs=4, optimizer="sgd", learning_rate=0.5, ema=0.25)
    for step in fit(model, BATCHES, nn.CrossEntropyLoss(), settings):
        history.append(model.weight.detach().clone())
        decay = min(0.25, step.index / (9 + step.index))
        average = history[-1] if average is None else decay * average + (1 - decay) * history[-1]
        assert step.network() is not model
    torch.testing.assert_close(step.network().weight, average)


def test_weights_decay_and_biases_do_not() -> None:
    model = nn.Linear(2, 2)
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    settings = FitSettings(epochs=1, optimizer="adamw", learning_rate=0.1, weight_decay=0.5, schedule="constant")
    list(fit(model, [(torch.zeros(1, 2), torch.zeros(1, 2))], lambda y, _: 0 * y.sum(), settings))
    assert torch.allclose(model.weight, torch.full((2, 2), 0.95))
    assert torch.equal(model.bias, torch.ones(2))


def test_layers_have_the_rates_they_are_given() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    for layer in model:
        nn.init.ones_(layer.weight)
    settings = FitSettings(epochs=1, optimizer="sgd", learning_rate=0.1, schedule="constant")
    rate = {"0.weight": 0.01, "1.weight": 1.0}.__getitem__
    (step,) = fit(model, [(torch.ones(1, 1), torch.zeros(1, 1))], lambda y, _: y.sum(), settings, rate_of=rate)
    assert model[0].weight.item() == pytest.approx(1 - 0.001)
    assert model[1].weight.item() == pytest.approx(1 - 0.1)
    assert step.learning_rate == pytest.approx(0.1)


def test_frozen_normalization_layers_keep_their_statistics() -> None:
    model = small()
    model[1].requires_grad_(False)
    list(fit(model, BATCHES, nn.CrossEntropyLoss(), SGD))
    assert torch.equal(model[1].running_mean, torch.zeros(6))
    model[1].requires_grad_(True)
    list(fit(model, BATCHES, nn.CrossEntropyLoss(), SGD))
    assert not torch.equal(model[1].running_mean, torch.zeros(6))


def test_metrics_start_anew_each_epoch() -> None:
    model, seen = linear(), []
    accuracy = MulticlassAccuracy(3, average="micro")
    for step in fit(model, BATCHES, nn.CrossEntropyLoss(), SGD, metrics={"top1": accuracy}):
        seen.append(step.metrics["top1"])
        if step.ends_epoch:
            assert step.metrics["top1"] * 21 == pytest.approx(round(step.metrics["top1"] * 21), abs=1e-4)
    assert seen[0] * 8 == pytest.approx(round(seen[0] * 8))
    assert seen[3] * 8 == pytest.approx(round(seen[3] * 8))


def test_bfloat16_trains_float32_weights_and_the_loss_is_float32() -> None:
    both = []
    for dtype in ("float32", "bfloat16"):
        model = initialize(VGG("8-8_bn", head="gap", classes=2), seed=0)
        seen: list[torch.dtype] = []

        def loss(outputs: Tensor, targets: Tensor, seen: list[torch.dtype] = seen) -> Tensor:
            seen.append(outputs.dtype)
            return F.cross_entropy(outputs, targets)

        batches = [(torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(2)), torch.arange(8) % 2)] * 3
        settings = FitSettings(epochs=2, optimizer="sgd", learning_rate=0.1, dtype=dtype)
        both.append([step.loss for step in fit(model, batches, loss, settings)])
        assert set(seen) == {torch.float32}
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert both[1] == pytest.approx(both[0], abs=0.02)


def test_steps_count_epochs_and_know_the_time_left() -> None:
    steps = list(fit(linear(), BATCHES, nn.CrossEntropyLoss(), SGD))
    assert [s.epoch for s in steps] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [s.ends_epoch for s in steps] == [False, False, True] * 3
    assert [s.pictures for s in steps[:3]] == [8, 8, 5]
    assert steps[-1].fraction == 1
    assert steps[-1].seconds_left == 0
