"""A head that begins as a linear probe, against scikit-learn."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from tests.noise import PLAIN, Noise
from vggapps.errors import PictureError, SettingsError
from vggapps.features._splits import split
from vggapps.training import _probe
from vggapps.training._batches import PictureBatches
from vggapps.training._cached import tail_of
from vggapps.training._checkpointed import Checkpointed
from vggapps.training._network import freeze_to
from vggapps.training._pictures import Pictures
from vggapps.training._probe import fit_probe, start_from_probe
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Pooled


def batches(count: int = 11, broken: tuple[int, ...] = (), size: int = 4, **more: Any) -> PictureBatches:
    pictures = Pictures(tuple(f"picture {n}" for n in range(count)), tuple(n % 3 for n in range(count)), Noise(broken))
    return PictureBatches(pictures, PLAIN, size, classes=3, **more)


def network(plan: str = "4-6_bn", **options: Any) -> VGG:
    made = VGG(plan, **{"head": "gap", "classes": 3} | options)
    return initialize(made, seed=1).train()


def rows_of_classes(classes: int, each: int = 40) -> tuple[Tensor, Tensor]:
    """Rows of overlapping classes, whose columns have very different scales, one of them constant."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(classes * each) % classes
    rows = torch.randn(classes, 6, generator=generator)[targets] + torch.randn(len(targets), 6, generator=generator)
    rows = rows * torch.tensor([1e-3, 1.0, 1.0, 50.0, 1.0, 0.1]) + torch.tensor([0.0, 7.0, -1.0, 3.0, 0.0, 100.0])
    rows[:, 4] = 0.3
    return rows, targets


def by_scikit_learn(rows: Tensor, targets: Tensor, strength: float, weights: Tensor | None = None) -> Tensor:
    """Log-probabilities of the same rows."""
    numbers, weighted = rows.double().numpy(), None if weights is None else weights.numpy()
    count = len(rows) if weights is None else float(weights.sum())
    standardized = StandardScaler().fit(numbers, sample_weight=weighted).transform(numbers)
    is_binary = len(targets.unique()) == 2  # scikit-learn then fits w = w₁ - w₀, and |W|² = |w|² / 2
    model = LogisticRegression(C=(1 + is_binary) / (strength * count), max_iter=5000, tol=1e-9)
    model.fit(standardized, targets.numpy(), weighted)
    return torch.from_numpy(model.predict_log_proba(standardized))


def log_probabilities(probe: tuple[Tensor, Tensor], rows: Tensor) -> Tensor:
    return F.linear(rows.double(), *(part.double() for part in probe)).log_softmax(1)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("strength", [1e-3, 0.1])
def test_a_probe_is_scikit_learns(classes: int, strength: float) -> None:
    rows, targets = rows_of_classes(classes)
    state = torch.get_rng_state()
    weight, bias = fit_probe(rows, targets, classes, strength=strength)
    assert torch.equal(torch.get_rng_state(), state)
    assert (weight.dtype, bias.dtype, weight.shape, bias.shape) == (torch.float32,) * 2 + ((classes, 6), (classes,))
    wanted = by_scikit_learn(rows, targets, strength)
    torch.testing.assert_close(log_probabilities((weight, bias), rows), wanted, atol=1e-3, rtol=1e-3)
    assert not weight[:, 4].any()  # of the constant column
    torch.testing.assert_close(weight.sum(0) * rows.std(0), torch.zeros(6), atol=1e-5, rtol=0)  # the least |W|


def test_shares_of_classes_are_weights_of_rows() -> None:
    rows, targets = rows_of_classes(3)
    shares = F.one_hot(targets, 3) * 0.75 + F.one_hot(targets.roll(1), 3) * 0.25
    weights = torch.tensor([0.75, 0.25]).repeat_interleave(len(rows))
    wanted = by_scikit_learn(rows.repeat(2, 1), torch.cat([targets, targets.roll(1)]), 0.1, weights)
    found = log_probabilities(fit_probe(rows, shares, 3, strength=0.1), rows)
    torch.testing.assert_close(found, wanted[: len(rows)], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("noise", [1.0, 1.5, 3.0])
def test_the_penalty_is_the_best_one_on_a_held_out_fifth(noise: float) -> None:
    generator = torch.Generator().manual_seed(1)
    targets = torch.arange(60) % 3
    rows = torch.randn(3, 20, generator=generator)[targets] + noise * torch.randn(60, 20, generator=generator)
    standardized = StandardScaler().fit_transform(rows.double().numpy())
    fit, held = split(targets, 0.2, seed=3)
    losses = {}
    for strength in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        model = LogisticRegression(C=1 / (strength * len(fit)), max_iter=5000, tol=1e-9)
        model.fit(standardized[fit], targets[fit].numpy())
        losses[strength] = -model.predict_log_proba(standardized[held])[range(len(held)), targets[held]].mean()
    best = min(losses, key=losses.__getitem__)
    found, wanted = fit_probe(rows, targets, 3, seed=3), fit_probe(rows, targets, 3, strength=best)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_copies_of_a_row_count_as_one_when_the_penalty_is_chosen() -> None:
    generator = torch.Generator().manual_seed(1)
    targets = torch.arange(60) % 3
    rows = torch.randn(3, 20, generator=generator)[targets] + 3 * torch.randn(60, 20, generator=generator)
    once = log_probabilities(fit_probe(rows, targets, 3), rows)
    often = log_probabilities(fit_probe(rows.repeat(4, 1), targets.repeat(4), 3), rows)
    torch.testing.assert_close(often, once, atol=1e-4, rtol=1e-4)


def test_few_rows_and_absent_classes_give_a_probe() -> None:
    rows = torch.eye(3)[:2]
    weight, bias = fit_probe(rows, torch.tensor([0, 2]), 4)
    assert F.linear(rows, weight, bias).argmax(1).tolist() == [0, 2]
    rows, targets = rows_of_classes(3)
    weight, bias = fit_probe(rows, targets, 4)
    assert weight.isfinite().all()
    assert bias.isfinite().all()
    assert log_probabilities((weight, bias), rows)[:, 3].max() < -5


def map_of(net: VGG, layer: str, images: Tensor) -> Tensor:
    with torch.no_grad():
        return deepcopy(net).eval().features(images, [layer])[layer]


@pytest.mark.parametrize("pooled", [Pooled(), Pooled(summary="avg+max", root=True), Pooled(layer="relu2_1")])
def test_a_head_starts_as_the_probe_of_its_rows(pooled: Pooled) -> None:
    net = network(pooled=pooled)
    freeze_to(net, "pool1")
    net.bn1_1.eval()
    before = {name: value.clone() for name, value in net.state_dict().items() if not name.startswith("fc8")}
    modes = {name: module.training for name, module in net.named_modules()}
    made = batches(40, broken=(0, 1, 2, 3, 17), shuffle=False)
    accuracy = start_from_probe(net, made, dtype="float32", seed=2)
    parts = list(made)
    assert not len(parts[0].images)
    rows = torch.cat([map_of(net, "gap", part.images) for part in parts[1:]])
    targets = torch.cat([part.targets for part in parts])
    weight, bias = fit_probe(rows, targets, 3, seed=2)
    torch.testing.assert_close(net.fc8.weight.detach(), weight)
    torch.testing.assert_close(net.fc8.bias.detach(), bias)
    assert accuracy == (F.linear(rows, weight, bias).argmax(1) == targets).float().mean()
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())
    assert modes == {name: module.training for name, module in net.named_modules()}
    assert all(parameter.requires_grad for parameter in net.fc8.parameters())


def test_the_tail_and_a_checkpointed_network_start_from_the_same_probe() -> None:
    nets = [network() for _ in range(3)]
    made = batches(30, shuffle=False)
    maps = [(map_of(nets[1], "pool1", part.images), part.targets) for part in made]
    start_from_probe(nets[0], made, dtype="float32")
    start_from_probe(tail_of(nets[1], "pool1"), maps, dtype="float32")
    start_from_probe(Checkpointed(nets[2]), made, dtype="float32")
    for net in nets[1:]:
        torch.testing.assert_close(net.fc8.weight, nets[0].fc8.weight)


def test_processes_share_the_rows_of_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(parts: list[Any], mine: Any) -> None:
        parts[:] = [mine, others]

    made = list(batches(30, shuffle=False))
    whole, net = network(), network()
    start_from_probe(whole, made, dtype="float32")
    others = ([map_of(net, "gap", part.images) for part in made[3:]], [part.targets for part in made[3:]])
    monkeypatch.setattr(_probe.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(_probe.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(_probe.dist, "all_gather_object", gather)
    start_from_probe(net, made[:3], dtype="float32")
    torch.testing.assert_close(net.fc8.weight, whole.fc8.weight)


def test_a_probe_needs_pictures_and_a_linear_head() -> None:
    for options in ({"head": "none"}, {"pooled": Pooled(hidden=5)}, {"pooled": Pooled(hidden=5, radial=True)}):
        with pytest.raises(SettingsError, match="head gap without a hidden layer"):
            start_from_probe(network(**options), batches())
    with pytest.raises(PictureError, match="none of the pictures can be read"):
        start_from_probe(network(), batches(4, broken=(0, 1, 2, 3)))
