"""Losses that are copied from repository to repository, written out as they are found, and ours in their place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.reference.published import close, pair, seeded, seeded_vgg, value
from vggapps.losses import LPIPS, PerceptualLoss
from vggapps.vgg._normalize import PLAIN

D = torch.float64
MEAN, STD = (torch.tensor(v, dtype=D).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
TAPS = {"conv1_2": 3, "conv2_2": 8, "conv3_4": 17, "conv4_4": 26, "conv5_4": 35}  # modules up to there, of VGG-19


def plain(features: nn.Sequential) -> nn.Sequential:
    """Without in-place ReLUs, so that what is taken before one stays."""
    return nn.Sequential(*(nn.ReLU() if isinstance(m, nn.ReLU) else m for m in features))


def snippet(x: Tensor, y: Tensor) -> Tensor:
    """The class VGGPerceptualLoss: four slices of VGG-16, L1, both pictures at 224 × 224."""
    x, y = (F.interpolate((t - MEAN) / STD, (224, 224), mode="bilinear", align_corners=False) for t in (x, y))
    total = torch.zeros((), dtype=D)
    for start, stop in ((0, 4), (4, 9), (9, 16), (16, 23)):
        x, y = (plain(seeded("vgg16"))[start:stop](t) for t in (x, y))
        total = total + F.l1_loss(x, y)
    return total


def basicsr(x: Tensor, y: Tensor, weights: dict[str, float]) -> Tensor:
    """PerceptualLoss with layers before the nonlinearity, criterion L1, input normalised."""
    x, y = ((t - MEAN) / STD for t in (x, y))
    net = plain(seeded("vgg19"))
    return sum((w * F.l1_loss(net[: TAPS[n]](x), net[: TAPS[n]](y)) for n, w in weights.items()), torch.zeros(()))


def pix2pixhd(x: Tensor, y: Tensor) -> Tensor:
    """VGGLoss: five slices of VGG-19, weights 1/32 to 1, pictures in [-1, 1] as they are; times lambda_feat."""
    total = torch.zeros((), dtype=D)
    for (start, stop), weight in zip(
        ((0, 2), (2, 7), (7, 12), (12, 21), (21, 30)), (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0), strict=True
    ):
        x, y = (plain(seeded("vgg19"))[start:stop](t) for t in (x, y))
        total = total + weight * F.l1_loss(x, y.detach())
    return 10 * total


def leftthomas(x: Tensor, y: Tensor) -> Tensor:
    """GeneratorLoss of leftthomas/SRGAN: VGG-16 to pool5, no statistics, 0.006 of the squared error."""
    net = plain(seeded("vgg16"))[:31]
    return 0.006 * F.mse_loss(net(x), net(y))


def signed(t: Tensor) -> Tensor:
    return t * 2 - 1


def unchanged(t: Tensor) -> Tensor:
    return t


CASES: dict[
    str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[], PerceptualLoss], Callable[[Tensor], Tensor]]
] = {
    "snippet": (
        snippet,
        lambda: PerceptualLoss(
            ["relu1_2", "relu2_2", "relu3_3", "relu4_3"], backbone=seeded_vgg("vgg16"), resize=(224, 224)
        ),
        unchanged,
    ),
    "esrgan": (
        lambda x, y: basicsr(x, y, {"conv5_4": 1.0}),
        lambda: PerceptualLoss.preset("esrgan", backbone=seeded_vgg("vgg19")),
        unchanged,
    ),
    "real-esrgan": (
        lambda x, y: basicsr(x, y, {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}),
        lambda: PerceptualLoss.preset("real-esrgan", backbone=seeded_vgg("vgg19")),
        unchanged,
    ),
    "pix2pixhd": (
        pix2pixhd,
        lambda: PerceptualLoss.preset("pix2pixhd", backbone=seeded_vgg("vgg19"), range="-1..1"),
        signed,
    ),
    "leftthomas": (
        leftthomas,
        lambda: PerceptualLoss(
            {"pool5": 0.006}, criterion="l2", backbone=seeded_vgg("vgg16").variant(convention=PLAIN)
        ),
        unchanged,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_ours_gives_the_copys_numbers_and_gradient(name: str) -> None:
    copy, ours, given = CASES[name]
    x, y = (given(t) for t in pair("f.esrgan"))
    loss, found = ours(), []
    for function in (copy, loss):
        leaf = x.clone().requires_grad_()
        result = function(leaf, y)
        found.append((result.detach(), *torch.autograd.grad(result, leaf)))
    for theirs, own in zip(*found, strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-6, atol=1e-9)


def test_the_lpips_of_a_vqgan_trainer() -> None:
    """On pictures in [-1, 1], one number a picture."""
    x, y = (signed(t) for t in pair("lpips01.vgg.batch"))
    loss = LPIPS("vgg", backbone=seeded_vgg("vgg16"), range="-1..1", reduction="none").double()
    assert loss(x, y).tolist() == close("lpips01.vgg.batch")
    assert len(value("lpips01.vgg.batch")) == 2
