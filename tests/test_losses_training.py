"""Losses inside somebody's training: frozen whatever happens, copied, parallel, compiled, exported."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from tests.reference.narrow import network, perceptual, pictures
from tests.reference.published import seeded, seeded_vgg
from vggapps.losses import DISTS, LPIPS, Bundle
from vggapps.losses._feature_loss import FeatureLoss
from vggapps.losses._trunk import Trunk


def lpips() -> LPIPS:
    return LPIPS("alex", backbone=Trunk("alexnet", copy.deepcopy(seeded("alexnet")).float(), "seeded"))


LOSSES: dict[str, Callable[[], nn.Module]] = {
    "l1": lambda: perceptual("relu3_1").float(),
    "gram": lambda: perceptual("relu2_2", "gram").float(),
    "two": lambda: Bundle({"l1": perceptual("relu2_1"), "w2": perceptual("relu1_1", "wasserstein")}).float(),
    "LPIPS": lpips,
    "DISTS": lambda: DISTS(backbone=seeded_vgg("vgg16")).float(),
}
every = pytest.mark.parametrize("name", LOSSES)
X, Y = (pictures(seed, 4, 32, 32).float() for seed in (1, 2))


class Parent(nn.Module):
    """A model that carries its loss along, as trainers like it."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.net, self.loss = nn.Conv2d(3, 3, 3, padding=1), loss
        nn.init.zeros_(self.net.bias)
        nn.init.dirac_(self.net.weight)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        made: Tensor = self.net(x)
        return made.mean() if y is None else self.loss(made, y)


def networks(loss: nn.Module) -> list[nn.Module]:
    return [module.network for module in loss.modules() if isinstance(module, FeatureLoss)]


def state(loss: nn.Module) -> list[Tensor]:
    return [tensor.clone() for network in networks(loss) for tensor in network.state_dict().values()]


@every
def test_whatever_the_parent_does_the_loss_stays_as_it_is(name: str) -> None:
    parent = Parent(LOSSES[name]())
    assert list(parent.loss.parameters()) == list(parent.loss.buffers()) == []
    assert parent.loss.state_dict() == {}
    assert set(parent.state_dict()) == {"net.weight", "net.bias"}
    before, value = state(parent.loss), parent.loss(X, Y)
    parent.train().requires_grad_(True)
    assert not any(module.training for network in networks(parent.loss) for module in network.modules())
    assert not any(p.requires_grad for network in networks(parent.loss) for p in network.parameters())
    optimizer = torch.optim.AdamW(parent.parameters(), lr=0.1, weight_decay=0.5)
    parent(X, Y).backward()
    optimizer.step()
    assert parent.net.weight.grad.any()
    assert all(p.grad is None for network in networks(parent.loss) for p in network.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, state(parent.loss), strict=True))
    assert torch.equal(parent.loss(X, Y), value)
    parent.load_state_dict(parent.state_dict())  # strictly
    parent.double()
    assert parent.loss(X.double(), Y.double()).dtype == torch.float64


def test_an_averaged_model_averages_what_learns() -> None:
    parent = Parent(LOSSES["gram"]())
    averaged = AveragedModel(parent)
    for _ in range(2):
        averaged.update_parameters(parent)
        with torch.no_grad():
            parent.net.weight += 0.01
    torch.testing.assert_close(averaged.module.net.weight, parent.net.weight - 0.015)
    assert averaged(X, Y) != parent(X, Y)


def test_losses_on_one_network_move_together_without_harm() -> None:
    vgg = network()
    first, second = (perceptual(backbone=vgg) for _ in range(2))
    expected = second(X, Y)
    nn.ModuleList([first, second]).to(torch.float32)
    torch.testing.assert_close(second(X, Y), expected.float(), check_dtype=False)


# several processes


def train(rank: int, store: str, results: str) -> None:
    """With the loss inside and outside of what is parallel: two steps on half of a batch, one between without it."""
    torch.set_num_threads(1)
    limit = timedelta(seconds=60)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2, timeout=limit)
    own, gradients = slice(2 * rank, 2 * rank + 2), []
    for inside in (True, False):
        parent = Parent(LOSSES["two"]())
        model = DistributedDataParallel(parent if inside else parent.net)
        for y in (Y, None, Y):
            model.zero_grad()
            if inside:
                total = model(X[own], None if y is None else y[own])
            else:
                made = model(X[own])
                total = made.mean() if y is None else parent.loss(made, y[own])
            total.backward()
            gradients.append(parent.net.weight.grad.clone())
    if rank == 1:
        torch.save(gradients, results)
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="this torch is built without torch.distributed")
def test_two_processes_get_the_gradient_of_one(tmp_path: Path) -> None:
    results = tmp_path / "gradients.pt"
    torch.multiprocessing.spawn(train, (str(tmp_path / "store"), str(results)), nprocs=2)
    parent = Parent(LOSSES["two"]())
    for gradient, y in zip(torch.load(results), (Y, None, Y) * 2, strict=True):
        (expected,) = torch.autograd.grad(parent(X, y), parent.net.weight)
        assert (gradient - expected).norm() < 1e-5 * expected.norm()


# compilers

# torch's own makes an instance of an autograd.Function, which it calls outdated itself.
outdated = pytest.mark.filterwarnings("ignore:.*autograd.*Function.*:DeprecationWarning")


def compiled(function: Any) -> Any:
    torch._dynamo.reset()  # what other tests have compiled of the same lines counts towards its limit
    return torch.compile(function, fullgraph=True, backend="aot_eager")


@every
@outdated
def test_a_compiled_loss_is_one_graph_with_the_same_value_and_gradient(name: str) -> None:
    loss, x = LOSSES[name](), X.clone().requires_grad_()
    found, expected = compiled(loss)(x, Y), loss(x, Y)
    torch.testing.assert_close(found, expected)
    gradient, slope = (torch.autograd.grad(total, x)[0] for total in (found, expected))
    assert (gradient - slope).norm() < 1e-5 * slope.norm()


@outdated
def test_a_compiled_loss_takes_a_prepared_target() -> None:
    loss = LOSSES["two"]()
    torch.testing.assert_close(compiled(loss)(X, loss.prepare(Y)), loss(X, Y))


def test_a_compiled_loss_takes_a_mask_and_gives_a_map() -> None:
    loss, mask = perceptual("relu2_1").float(), torch.rand(4, 1, 32, 32)
    torch.testing.assert_close(compiled(loss)(X, Y, mask=mask), loss(X, Y, mask=mask))
    torch.testing.assert_close(compiled(partial(loss, map=True))(X, Y), loss(X, Y, map=True))


@every
def test_an_exported_loss_gives_the_same(name: str) -> None:
    loss = LOSSES[name]()
    program = torch.export.export(loss, (X, Y))
    torch.testing.assert_close(program.module()(X, Y), loss(X, Y))
    torch.testing.assert_close(program.module()(Y, X), loss(Y, X))
