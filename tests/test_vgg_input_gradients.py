"""The memory-saving backward pass of a frozen network: the same numbers as autograd's own, from less memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vggapps.vgg._input_gradients import input_gradient_steps
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan

PLAN = Plan("small", "S", ((4, 6), (8,), (8, 8)))
LAYERS = [("relu3_2",), ("conv1_2", "relu3_1"), ("relu1_1", "pool1", "relu2_1"), ("pool3", "conv2_1", "relu1_2")]


def network(**options: Any) -> VGG:
    torch.manual_seed(1)
    vgg = initialize(VGG(PLAN, head="none", **options), seed=3).double()
    for name, parameter in vgg.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.3)
    return vgg.freeze()


def plainly(vgg: VGG, x: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
    """Module by module, as autograd does it."""
    found, x = {}, vgg.convention(x)
    for name, module in vgg.named_children():
        x = module(x)
        found[name] = x
    return {name: found[name] for name in layers}


@pytest.mark.parametrize("layers", LAYERS, ids=",".join)
@pytest.mark.parametrize(
    "options", [{}, {"padding": "replicate"}, {"padding": "reflect"}, {"pooling": "average"}], ids=str
)
@pytest.mark.parametrize("size", [(16, 24), (19, 21)])
def test_features_and_gradients_are_autograds(layers: tuple[str, ...], options: dict[str, Any], size: tuple) -> None:
    vgg = network(**options)
    x = torch.rand(2, 3, *size, dtype=torch.float64, requires_grad=True)
    ours, theirs = vgg.features(x, layers), plainly(vgg, x, layers)
    for name in layers:
        torch.testing.assert_close(ours[name], theirs[name])
    weights = {name: torch.randn_like(f) for name, f in theirs.items()}
    a, b = (torch.autograd.grad(sum((f[n] * weights[n]).sum() for n in layers), x)[0] for f in (ours, theirs))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("layers", LAYERS, ids=",".join)
def test_without_gradients_the_features_are_the_same(layers: tuple[str, ...]) -> None:
    vgg = network()
    x = torch.rand(2, 3, 19, 21, dtype=torch.float64)
    with torch.no_grad():
        ours = vgg.features(x, layers)
    for name, feature in plainly(vgg, x, layers).items():
        torch.testing.assert_close(ours[name], feature)


def test_of_equal_numbers_the_first_gets_the_gradient() -> None:
    """As with torch's pooling, and none where a ReLU has made them all zero."""
    x = torch.tensor([[3.0, 3.0, 0.0, 0.0], [3.0, 3.0, 0.0, 0.0]], requires_grad=True)
    modules = nn.ModuleDict({"pool1": network().pool1})
    ((_, pool),) = input_gradient_steps(modules.items(), ())
    pool(x[None, None]).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]


def test_second_derivatives_are_right() -> None:
    vgg = network()
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda t: vgg.features(t, ["relu2_1"])["relu2_1"].square(), x)


def kept(vgg: VGG, x: Tensor, run: Any) -> int:
    """Bytes that autograd keeps for the backward pass, without the weights."""
    sizes: dict[int, int] = {}
    own = {p.data_ptr() for p in vgg.parameters()}

    def pack(t: Tensor) -> Tensor:
        if t.data_ptr() not in own:
            sizes[t.data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        result = run(vgg, x, ("relu3_2",))
    del result
    return sum(sizes.values())


def test_less_than_a_third_is_kept_for_the_backward_pass() -> None:
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    lean_bytes, plain_bytes = (kept(network().float(), x, run) for run in (VGG.features, plainly))
    assert 0 < lean_bytes < plain_bytes / 3


def test_layers_with_hooks_and_layers_in_place_of_ours_still_run() -> None:
    vgg, seen = network(), []
    vgg.conv1_1.register_forward_hook(lambda *_: seen.append("hook"))
    vgg.relu1_2 = nn.LeakyReLU(0.5)
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    (ours,), (theirs,) = (run(vgg, x, ("relu3_2",)).values() for run in (VGG.features, plainly))
    torch.testing.assert_close(ours, theirs)
    assert len(seen) == 2


def test_a_network_that_learns_gets_its_gradients() -> None:
    vgg = network().requires_grad_()
    vgg.features(torch.rand(1, 3, 16, 16, dtype=torch.float64), ["relu3_2"])["relu3_2"].sum().backward()
    assert all(p.grad is not None for p in vgg.parameters())


def test_gradients_of_many_pictures_at_once_by_vmap() -> None:
    vgg = network()
    x = torch.rand(3, 1, 3, 16, 16, dtype=torch.float64)

    def size(t: Tensor) -> Tensor:
        return vgg.features(t, ["relu3_1"])["relu3_1"].square().sum()

    torch.testing.assert_close(
        torch.func.vmap(torch.func.grad(size))(x), torch.stack([torch.func.grad(size)(t) for t in x])
    )


def test_under_autocast_the_gradient_is_the_pictures_dtype_and_near() -> None:
    vgg = network().float()
    x = torch.rand(1, 3, 32, 32, requires_grad=True)
    found = []
    for low in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            features = vgg.features(x, ["relu3_2"])["relu3_2"]
        assert features.dtype == (torch.bfloat16 if low else torch.float32)
        (gradient,) = torch.autograd.grad(features.float().square().sum(), x)
        assert gradient.dtype == torch.float32
        found.append(gradient)
    assert torch.nn.functional.cosine_similarity(*(g.flatten() for g in found), dim=0) > 0.99
