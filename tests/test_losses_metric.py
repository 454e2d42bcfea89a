"""A loss as a torchmetrics metric: the mean over pictures, however they come."""

from __future__ import annotations

import gc
import importlib
import pickle
import sys
import weakref
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection, MetricTracker

from vggapps.errors import SettingsError
from vggapps.losses import ShiftEnsemble
from vggapps.losses import _metric as metric
from vggapps.losses._metric import AsMetric


def each(x: Tensor, y: Tensor) -> Tensor:
    """Squared error, one number a picture."""
    return (x - y).square().mean((1, 2, 3))


class Weighted(nn.Module):
    """A loss with weights and statistics of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 1, 1))
        self.register_buffer("mean", torch.zeros(3, 1, 1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return each(self.weight * (x - self.mean), self.weight * (y - self.mean))


LOSSES = {
    "one a picture": each,
    "one a picture, n x 1 x 1 x 1": lambda x, y: each(x, y).view(-1, 1, 1, 1),
    "their mean": lambda x, y: each(x, y).mean(),
    "a module's mean": nn.MSELoss(),
    "a module's of weights": Weighted(),
}


def two(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.rand(2, n, 3, 8, 8, generator=generator)
    return x, y


@pytest.mark.parametrize("name", LOSSES)
def test_unequal_batches_have_the_mean_over_all_pictures(name: str) -> None:
    """As torchmetrics' own mean squared error has, which counts every pixel."""
    ours, theirs = AsMetric(LOSSES[name]), MeanSquaredError()
    for n, seed in ((3, 1), (1, 2), (5, 3)):
        ours.update(*two(n, seed))
        theirs.update(*two(n, seed))
    assert ours.compute().dtype == torch.float64
    assert float(ours.compute()) == pytest.approx(float(theirs.compute()), rel=1e-6)


def test_a_modules_sum_counts_once() -> None:
    ours = AsMetric(nn.MSELoss(reduction="sum"))
    for n, seed in ((3, 1), (1, 2)):
        ours.update(*two(n, seed))
    slow = [float(((a - b) ** 2).sum()) for n, seed in ((3, 1), (1, 2)) for a, b in zip(*two(n, seed), strict=True)]
    assert float(ours.compute()) == pytest.approx(sum(slow) / 4, rel=1e-6)


@pytest.mark.parametrize("loss", [nn.MSELoss(reduction="none"), lambda x, y: each(x, y).mean(0, keepdim=True)])
def test_what_is_neither_one_number_nor_one_a_picture_is_refused(loss: nn.Module) -> None:
    with pytest.raises(SettingsError, match=r"the loss returns .* values for 4 pictures"):
        AsMetric(loss).update(*two(4))


def test_calling_it_gives_the_batchs_value_and_goes_on_counting() -> None:
    ours = AsMetric(each)
    for n, seed in ((3, 1), (2, 2)):
        assert float(ours(*two(n, seed))) == pytest.approx(float(each(*two(n, seed)).mean()), rel=1e-6)
    everything = torch.cat([each(*two(3, 1)), each(*two(2, 2))])
    assert float(ours.compute()) == pytest.approx(float(everything.mean()), rel=1e-6)
    ours.reset()
    ours.update(*two(2, 2))
    assert float(ours.compute()) == pytest.approx(float(each(*two(2, 2)).mean()), rel=1e-6)


def test_states_of_two_processes_merge() -> None:
    both, one, other = AsMetric(each), AsMetric(each), AsMetric(each)
    for metrics, n, seed in (((both, one), 3, 1), ((both, other), 1, 2)):
        for m in metrics:
            m.update(*two(n, seed))
    one.merge_state(other)
    assert float(one.compute()) == pytest.approx(float(both.compute()), rel=1e-12)
    assert int(one.pictures) == 4


def test_in_a_collection_two_losses_that_begin_alike_stay_two() -> None:
    """A collection would go on with one state for both, since the first batch has no error of either kind."""
    ours = MetricCollection({"squared": AsMetric(nn.MSELoss()), "absolute": AsMetric(nn.L1Loss())})
    theirs = {"squared": MeanSquaredError(), "absolute": MeanAbsoluteError()}
    x, y = two(3)
    for batch in ((x, x), (x, y)):
        ours.update(*batch)
        for one in theirs.values():
            one.update(*batch)
    found = ours.compute()
    for name, one in theirs.items():
        assert float(found[name]) == pytest.approx(float(one.compute()), rel=1e-6)


@pytest.mark.parametrize("method", ["update", "forward"])
def test_neither_graphs_nor_pictures_are_kept(method: str) -> None:
    ours = AsMetric(each)
    x, y = two(2)
    x.requires_grad_()
    getattr(ours, method)(x, y)
    assert not ours.compute().requires_grad
    kept = weakref.ref(x)
    del x
    gc.collect()
    assert kept() is None


def test_the_sum_is_float64() -> None:
    """A million steps of a hundred-millionth on top of 1 are lost in float32."""
    ours = AsMetric(lambda x, y: x.mean((1, 2, 3)))
    for level in (1.0, *[1e-8] * 100):
        x = torch.full((1, 1, 1, 1), level)
        ours.update(x, x)
    assert float(ours.compute()) * 101 - 1 == pytest.approx(1e-6, rel=1e-4)


def test_a_process_without_pictures_has_states_that_gather_with_the_others() -> None:
    idle, busy = AsMetric(each), AsMetric(each)
    busy.update(*two(2))
    assert {k: v.dtype for k, v in idle.metric_state.items()} == {k: v.dtype for k, v in busy.metric_state.items()}


def test_the_weights_of_its_loss_are_in_no_checkpoint_and_no_optimizer() -> None:
    ours = AsMetric(Weighted())
    ours.update(*two(2))
    assert not ours.state_dict()
    assert not list(ours.parameters())
    ours.load_state_dict({})
    model = nn.ModuleDict({"metric": ours})
    assert not model.state_dict()


def test_the_loss_moves_along() -> None:
    loss = Weighted()
    model = nn.ModuleDict({"metric": AsMetric(loss)})
    model.to("meta")
    assert {t.device.type for t in (loss.weight, loss.mean, model["metric"].total)} == {"meta"}


def test_a_model_in_half_precision_still_counts_finely() -> None:
    ours = AsMetric(each)
    nn.ModuleDict({"metric": ours}).to(torch.bfloat16)
    batches = [two(99, seed) for seed in range(3)]  # bfloat16 has no 297
    for batch in batches:
        ours.update(*batch)
    expected = torch.cat([each(*batch) for batch in batches]).double().mean()
    assert float(ours.compute()) == pytest.approx(float(expected), rel=1e-6)


def test_higher_is_better_is_told_to_who_looks_for_the_best() -> None:
    assert AsMetric(each).higher_is_better is False
    tracker = MetricTracker(AsMetric(lambda x, y: x.mean((1, 2, 3)), higher_is_better=True), maximize=None)
    for level in (0.2, 0.9, 0.4):
        tracker.increment()
        tracker.update(torch.full((2, 3, 4, 4), level), torch.zeros(2, 3, 4, 4))
    assert tracker.best_metric() == pytest.approx(0.9)


def test_copies_and_pickles_go_on_counting() -> None:
    ours = AsMetric(Weighted(), higher_is_better=True)
    ours.update(*two(3, 1))
    for copy in (deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        copy.update(*two(1, 2))
        everything = torch.cat([each(*two(3, 1)), each(*two(1, 2))])
        assert float(copy.compute()) == pytest.approx(float(everything.mean()), rel=1e-6)
        assert copy.higher_is_better is True


def test_a_mask_is_handed_on() -> None:
    def masked(x: Tensor, y: Tensor, *, mask: Tensor | None = None) -> Tensor:
        weights = torch.ones_like(x) if mask is None else mask.expand_as(x)
        return (weights * (x - y).square()).sum((1, 2, 3)) / weights.sum((1, 2, 3))

    x, y = two(3)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    ours = AsMetric(masked)
    ours.update(x, y, mask)
    assert float(ours.compute()) == pytest.approx(float(each(x[..., :4], y[..., :4]).mean()), rel=1e-6)
    assert float(ours(x, y, mask=mask)) == pytest.approx(float(ours.compute()), rel=1e-6)
    for loss, name in ((each, "each"), (nn.MSELoss(), "MSELoss")):
        with pytest.raises(SettingsError, match=f"{name} takes no mask .leave it out"):
            AsMetric(loss).update(x, y, mask)


def test_it_is_plotted_as_torchmetrics_own_are() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    ours = AsMetric(each)
    values = [ours(*two(2, seed)) for seed in range(3)]
    _, axes = ours.plot(values)
    assert axes.lines[0].get_ydata().tolist() == pytest.approx([float(value) for value in values])
    _, axes = ours.plot()
    assert axes.lines[0].get_ydata()[0] == pytest.approx(float(ours.compute()))
    matplotlib.pyplot.close("all")


def test_views_of_a_sum_are_a_sum() -> None:
    """As the mean over views of a loss is, whose reduction it has."""
    x, y = two(2)
    x, y = x.mean((2, 3), keepdim=True).expand_as(x), y.mean((2, 3), keepdim=True).expand_as(y)  # all views alike
    loss = nn.MSELoss(reduction="sum")
    found = AsMetric(ShiftEnsemble(loss, shift=0, views=2, flip=False))
    found.update(x, y)
    assert float(found.compute()) == pytest.approx(float(loss(x, y)) / 2, rel=1e-6)


def test_without_torchmetrics_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    monkeypatch.delitem(sys.modules, metric.__name__)
    with pytest.raises(SettingsError, match=r"pip install 'vggapps\[metrics\]'"):
        importlib.import_module(metric.__name__)
