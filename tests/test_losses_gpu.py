"""Losses on a GPU: the same numbers, cheaper ones that are near, everything moved, and no waiting for the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from tests.reference.published import pair, seeded_vgg
from vggapps.errors import SettingsError
from vggapps.losses import DISTS, LPIPS, PerceptualLoss
from vggapps.losses._feature_loss import FeatureLoss

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]

LOSSES: dict[str, Callable[..., FeatureLoss]] = {
    "LPIPS": lambda: LPIPS(backbone=seeded_vgg("vgg16").float()),
    "DISTS": lambda: DISTS(backbone=seeded_vgg("vgg16").float()),
    "content and style": lambda: PerceptualLoss(
        "relu3_3", style_layers=["relu1_2", "relu2_2"], style_criterion="gram", backbone=seeded_vgg("vgg16").float()
    ),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


@pytest.fixture(autouse=True)
def float32_is_float32() -> Iterator[None]:
    """Without TF32, whose 10 bits are no float32."""
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept


def pictures(device: str = "cpu") -> tuple[Tensor, Tensor]:
    x, y = pair("lpips01.vgg.wave_n.wave")
    return x.float().to(device), y.float().to(device)


def value_and_gradient(loss: FeatureLoss, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    value = loss(x, y)
    (gradient,) = torch.autograd.grad(value, x)
    return value.detach().cpu(), gradient.cpu()


@every_loss
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_value_and_gradient_are_the_processors(name: str, memory: torch.memory_format) -> None:
    loss = LOSSES[name]()
    wanted, steepest = value_and_gradient(loss, *pictures())
    x, y = (t.to(memory_format=memory) for t in pictures("cuda"))
    found, gradient = value_and_gradient(loss.to("cuda"), x, y)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-3)
    assert (gradient - steepest).norm() < 1e-3 * steepest.norm()


@every_loss
def test_bfloat16_convolutions_give_a_near_float32(name: str) -> None:
    loss = LOSSES[name]().to("cuda")
    exact, _ = value_and_gradient(loss, *pictures("cuda"))
    with torch.autocast("cuda", torch.bfloat16):
        rough, gradient = value_and_gradient(loss, *pictures("cuda"))
    assert rough.dtype == torch.float32
    assert gradient.isfinite().all()
    assert rough.item() == pytest.approx(exact.item(), rel=0.05)


@every_loss
def test_to_takes_along_network_constants_and_targets(name: str) -> None:
    loss = LOSSES[name]()
    x, y = pictures()
    target, wanted = loss.prepare(y), loss(x, y).item()
    loss.to("cuda")
    with pytest.raises(SettingsError, match="the target is on cpu"):
        loss(x.cuda(), target)
    assert loss(x.cuda(), target.to("cuda")).item() == pytest.approx(wanted, rel=1e-3)
    with pytest.raises(SettingsError, match=r"the picture is on cpu, the loss on cuda:0 .*loss\.to"):
        loss(x, y)


@every_loss
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_after_the_first_call_the_host_never_waits(name: str) -> None:
    """A call that reads a number back would stop the host until the GPU has come as far."""
    loss = LOSSES[name]().to("cuda")
    x, y = pictures("cuda")
    leaf = x.clone().requires_grad_()
    loss(leaf, y).backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss(leaf, y).backward()
        loss(leaf, loss.prepare(y)).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
