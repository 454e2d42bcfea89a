"""Explanations by trying: against captum, against networks whose answer is known, and the masks' statistics."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from captum.attr import Occlusion
from torch import Tensor, nn

from vggapps.explanation._perturb import occlusion, random_masks, rise
from vggapps.explanation._question import ask
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8,)))
D = torch.float64
METHODS = [occlusion, lambda *a, **kw: rise(*a, samples=20, **kw)]


class Window(nn.Module):
    """Its only score is the brightness inside a rectangle."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, 10:30, 40:70].mean((1, 2, 3))[:, None]


class Deaf(nn.Module):
    """Whatever it is shown, it says the same."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([[3.0, 1.0]], dtype=x.dtype).expand(len(x), -1)


def pictures(n: int = 2, height: int = 40, width: int = 72) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=D)


@pytest.mark.parametrize(("patch", "stride"), [(8, 8), (16, 7), (7, 5), (40, 16)])
def test_occlusion_is_captums(patch: int, stride: int) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(36, 5))
    net = net.double().eval()
    found = occlusion(ask(net, [4, 1]), pictures(), patch, stride)
    theirs = Occlusion(net).attribute(
        pictures(),
        target=torch.tensor([4, 1]),
        sliding_window_shapes=(3, patch, patch),
        strides=(3, stride, stride),
    )
    torch.testing.assert_close(found.float(), theirs[:, :1], rtol=1e-4, atol=1e-6)


def test_what_hides_is_the_mean_colour_for_networks_of_ours() -> None:
    vgg = initialize(VGG(NARROW, head="gap", classes=3), seed=1).double().freeze()
    mean = torch.tensor(vgg.convention.mean, dtype=D).view(1, 3, 1, 1).expand(1, -1, 64, 64)
    for method in METHODS:
        torch.testing.assert_close(method(ask(vgg, 1), mean), torch.zeros(1, 1, 64, 64, dtype=D))


def test_of_a_bright_picture_a_window_is_found() -> None:
    inside = torch.zeros(1, 1, 48, 96, dtype=torch.bool)
    inside[..., 10:30, 40:70] = True
    white = torch.ones(1, 3, 48, 96)
    question = ask(Window().eval(), 0)
    lost = occlusion(question, white, patch=8, stride=2)
    assert (lost[~inside] == 0).sum() > 0.7 * (~inside).sum()  # patches reach seven pixels over the edge
    torch.testing.assert_close(lost[0, 0, 20, 55], torch.tensor(64 / 600))
    # A class's probability would always be one here, so it is the layer's own response that is asked about.
    net = nn.Sequential(Window(), nn.Linear(1, 2)).eval()
    net[1].weight.data[:], net[1].bias.data[:] = torch.tensor([[8.0], [0.0]]), torch.tensor([-4.0, 0.0])
    found = rise(ask(net, 0), white, samples=300)
    assert found[inside].mean() > 4 * found[~inside].abs().mean()
    assert inside.flatten()[found.argmax()]


def test_rise_is_its_formula() -> None:
    """Equation 6 with the sum of the masks for a divisor, less the mean confidence."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(36, 5))
    net, image = net.double().eval().requires_grad_(False), pictures(1)
    masks = torch.cat(list(random_masks((40, 72), 33, cells=5, seed=7))).double()
    said = [float(net(image * mask).softmax(1)[0, 2]) for mask in masks]
    expected = sum(c * m for c, m in zip(said, masks, strict=True)) / masks.sum(0) - sum(said) / 33  # type: ignore[arg-type]
    torch.testing.assert_close(rise(ask(net, 2), image, 33, cells=5, seed=7)[0], expected)


def test_a_network_that_pays_no_heed_gives_zero() -> None:
    for method in METHODS:
        torch.testing.assert_close(method(ask(Deaf().eval(), 0), pictures()), torch.zeros(2, 1, 40, 72, dtype=D))


@pytest.mark.parametrize("size", [(40, 72), (50, 33), (224, 224), (9, 300)])
def test_masks_show_each_pixel_half_of_the_time(size: tuple[int, int]) -> None:
    masks = torch.cat(list(random_masks(size, 1000)))
    assert masks.shape == (1000, 1, *size)
    assert masks.min() == 0
    assert masks.max() == 1
    # Of one of 1,000 independent cells the mean deviates by 0.016; 0.08 is five of that.
    assert (masks.mean(0) - 0.5).abs().max() < 0.08
    assert abs(float(masks.mean()) - 0.5) < 0.01


def test_masks_are_smooth_and_as_coarse_as_their_cells() -> None:
    masks = torch.cat(list(random_masks((70, 140), 200, cells=7)))
    step = torch.maximum(
        (masks[..., 1:] - masks[..., :-1]).abs().max(), (masks[..., 1:, :] - masks[..., :-1, :]).abs().max()
    )
    assert step == pytest.approx(1 / 10, abs=1e-5)  # from cell to cell, of 10 pixels, by straight lines
    near, far = (torch.corrcoef(torch.stack([masks[:, 0, 30, 60], masks[:, 0, 30, 60 + d]]))[0, 1] for d in (3, 40))
    assert near > 0.7
    assert far.abs() < 0.25


@pytest.mark.parametrize("method", METHODS)
def test_batches_make_no_difference(method: Callable[..., Tensor]) -> None:
    vgg = initialize(VGG(NARROW, head="gap", classes=3), seed=1).double().freeze()
    image = pictures()
    together = method(ask(vgg, [2, 0]), image)
    alone = [method(ask(vgg, index), image[i : i + 1], batch=3) for i, index in enumerate((2, 0))]
    torch.testing.assert_close(together, torch.cat(alone))
    assert together.abs().max() > 0


@pytest.mark.parametrize("method", METHODS)
def test_steps_are_shown_and_torchs_own_randomness_stays(method: Callable[..., Tensor]) -> None:
    state, seen = torch.get_rng_state(), []

    def watch(steps: range) -> range:
        seen.append(len(steps))
        return steps

    method(ask(Deaf().eval(), 0), pictures(), batch=4, watch=watch)
    patches = 2 * 4  # of 32 pixels at a stride of 16 on 40 × 72
    assert seen in ([patches / 4] * 2, [20 / 4] * 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_few_masks_that_never_show_a_pixel_do_no_harm() -> None:
    found = rise(ask(nn.Sequential(nn.Flatten(), nn.Linear(3 * 40 * 72, 2)).double().eval(), 0), pictures(), samples=1)
    assert found.isfinite().all()
