"""Explanations by slopes: against captum, against what they promise, and where they must not break."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from captum.attr import Deconvolution, GuidedBackprop, InputXGradient, IntegratedGradients, Saliency
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.explanation._gradients import (
    deconvnet,
    gradient,
    gradient_x_input,
    guided_backprop,
    integrated_gradients,
    smooth_grad,
)
from vggapps.explanation._question import ask
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._normalize import PLAIN
from vggapps.vgg._plan import Plan, Pooled

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8, 8)))
BATCH_NORM = Plan("narrow_bn", "N", NARROW.blocks, batch_norm=True)
D = torch.float64
METHODS = [gradient, gradient_x_input, guided_backprop, deconvnet, integrated_gradients, smooth_grad]
CAPTUM: dict[Callable[..., Tensor], Callable[[nn.Module], Callable[..., Tensor]]] = {
    gradient: lambda net: lambda x, **kw: Saliency(net).attribute(x, abs=False, **kw),
    gradient_x_input: lambda net: InputXGradient(net).attribute,
    guided_backprop: lambda net: GuidedBackprop(net).attribute,
    deconvnet: lambda net: Deconvolution(net).attribute,
    integrated_gradients: lambda net: IntegratedGradients(net).attribute,
}


class Cubes(nn.Module):
    """Its only score is Σx³."""

    def forward(self, x: Tensor) -> Tensor:
        return x.pow(3).sum((1, 2, 3))[:, None]


def network(head: Any = "gap", plan: Plan = NARROW, **options: Any) -> VGG:
    return initialize(VGG(plan, head=head, classes=5, **options), "glorot", seed=3).double().freeze()


def module(inplace: bool = False) -> nn.Module:
    """Somebody else's: a stem, a block inside, a pooling, a head."""
    block = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace), nn.Conv2d(8, 6, 3), nn.ReLU(inplace))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 7), nn.ReLU(inplace), nn.Linear(7, 5))
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace), nn.MaxPool2d(2), block, head)
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=D) * 0.3
    return net.eval()


def pictures(n: int = 2, height: int = 32, width: int = 48) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=D)


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
@pytest.mark.parametrize("method", CAPTUM, ids=lambda method: method.__name__)
@pytest.mark.parametrize("net", [module(), network(convention=PLAIN)], ids=["module", "vgg"])
def test_they_are_captums(method: Callable[..., Tensor], net: nn.Module) -> None:
    found = method(ask(net, [4, 1]), pictures())
    theirs = CAPTUM[method](net)(pictures().requires_grad_(), target=torch.tensor([4, 1]))
    assert theirs.abs().max() > 0
    torch.testing.assert_close(found, theirs.detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_relus_may_work_in_place_and_weights_may_learn(method: Callable[..., Tensor]) -> None:
    expected = method(ask(module(), 2), pictures())
    torch.testing.assert_close(method(ask(module(inplace=True), 2), pictures()), expected)
    vgg = network(plan=BATCH_NORM)
    expected = method(ask(vgg, 2), pictures())
    for name, child in list(vgg.named_children()):
        if isinstance(child, nn.ReLU):
            setattr(vgg, name, nn.ReLU(inplace=True))
    torch.testing.assert_close(method(ask(vgg.requires_grad_(True), 2), pictures()), expected)
    assert all(parameter.grad is None for parameter in vgg.parameters())


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_a_batch_is_what_its_pictures_are_alone(method: Callable[..., Tensor]) -> None:
    vgg, image = network(), pictures(3)
    alone = [method(ask(vgg, index), image[i : i + 1]) for i, index in enumerate((4, 0, 2))]
    torch.testing.assert_close(method(ask(vgg, [4, 0, 2]), image), torch.cat(alone))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_nothing_is_left_changed(method: Callable[..., Tensor]) -> None:
    net, image = module(), pictures()
    before, state, kept = list(net.modules()), torch.get_rng_state(), image.clone()
    with torch.no_grad():
        method(ask(net, 1), image)
    assert list(net.modules()) == before
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in net.modules())
    assert not any(m.training for m in net.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(image, kept)
    assert not image.requires_grad


@pytest.mark.parametrize("seed", [0, 1])
def test_integrated_gradients_sum_to_the_scores_change(seed: int) -> None:
    vgg = initialize(
        VGG(Plan("half", "A", ((32,), (64,), (128,) * 2, (256,) * 2, (256,) * 2)), head="gap", classes=5),
        "glorot",
        seed,
    ).freeze()
    image, question = pictures(1, 64, 48).float(), ask(vgg, 3)
    shares = integrated_gradients(question, image)
    mean = torch.tensor(vgg.convention.mean).view(1, 3, 1, 1).expand_as(image)
    change = question.score(image) - question.score(mean)
    assert (shares.sum() - change).abs() < 0.05 * change.abs()


def test_a_baseline_may_be_named() -> None:
    """From b to x the score Σx³ changes by Σ(x³ - b³), pixel by pixel."""
    image, grey = pictures(), torch.full((1, 3, 1, 1), 0.3, dtype=D)
    shares = integrated_gradients(ask(Cubes().eval(), 0), image, samples=2, baseline=grey)
    torch.testing.assert_close(shares, image**3 - grey**3)


def test_of_a_linear_network_gradient_times_input_is_each_pixels_share() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 6, 2).double()).eval()
    image = pictures(2, 4, 6)
    expected = image * net[1].weight[1].view(3, 4, 6)
    for method in (gradient_x_input, integrated_gradients):
        torch.testing.assert_close(method(ask(net, 1), image), expected.detach())


def test_smooth_grad_is_the_mean_slope_around_the_picture() -> None:
    """Of the score Σx³ it is 3 (x² + σ²), σ being a share of the picture's range."""
    image = pictures(1, 30, 50)
    found = smooth_grad(ask(Cubes().eval(), 0), image, samples=400, noise=0.2)
    sigma = 0.2 * (image.max() - image.min())
    torch.testing.assert_close(found.mean(), (3 * (image**2 + sigma**2)).mean(), rtol=0.005, atol=0)
    assert (found - 3 * (image**2 + sigma**2)).abs().max() < 0.4  # about four deviations of the mean of 400
    assert torch.equal(found, smooth_grad(ask(Cubes().eval(), 0), image, samples=400, noise=0.2))
    assert not torch.equal(found, smooth_grad(ask(Cubes().eval(), 0), image, samples=400, noise=0.2, seed=1))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_a_picture_that_says_nothing_gives_numbers_all_the_same(method: Callable[..., Tensor]) -> None:
    """Where all channels are silent, a head's root has an infinite slope, and there is nothing to scale by."""

    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)).sqrt()

    blind = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), Root()).double().eval()
    blind[0].bias.data.fill_(-9)
    assert method(ask(blind, 1), pictures()).isfinite().all()
    vgg = network("gap", pooled=Pooled(root=True))
    vgg.conv5_2.bias.data[3] = -9  # type: ignore[union-attr]
    assert method(ask(vgg, 1), pictures() * 0).isfinite().all()


def test_a_layers_response_can_be_asked_about() -> None:
    vgg, image = network("none"), pictures().requires_grad_()
    vgg.features(image, ["relu4_1"])["relu4_1"][:, 3].mean((1, 2)).sum().backward()
    torch.testing.assert_close(gradient(ask(vgg, "relu4_1:3"), image), image.grad)


def test_relus_that_are_functions_are_told() -> None:
    class Hidden(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.relu().mean((2, 3))

    with pytest.raises(SettingsError, match="has no ReLU modules"):
        guided_backprop(ask(Hidden().eval(), 0), pictures())
