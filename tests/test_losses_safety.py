"""Losses stay finite, differentiable and the same number in every precision, layout and batch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.reference.narrow import D, network, perceptual, pictures
from tests.reference.published import pictures as published
from tests.reference.published import seeded, seeded_vgg_once
from vggapps.losses import DISTANCES, DISTS, LPIPS, PerceptualLoss
from vggapps.losses._feature_loss import FeatureLoss
from vggapps.losses._moments import Moments
from vggapps.losses._trunk import Trunk
from vggapps.losses.functional import sliced
from vggapps.vgg._network import VGG
from vggapps.vgg._normalize import PLAIN

DIRECTIONS = torch.randn(9, 8, generator=torch.Generator().manual_seed(3), dtype=D)
ARCHITECTURES = {"vgg": "vgg16", "alex": "alexnet", "squeeze": "squeezenet1_1"}
SMALLEST = {"lpips vgg": 16, "lpips alex": 31, "lpips squeeze": 17, "dists": 16}


def silent(vgg: Any) -> Any:
    """Without biases, so that a black picture has no features anywhere."""
    bare = copy.deepcopy(vgg).variant(convention=PLAIN)
    for name, parameter in bare.named_parameters():
        if name.endswith("bias"):
            parameter.data.zero_()
    return bare


def make(name: str, change: Callable[[Any], Any] = copy.deepcopy, **options: Any) -> FeatureLoss:
    """A distance of the table on the narrow network, or a metric on its seeded one; float64."""
    if name in DISTANCES:
        criterion = partial(sliced, directions=DIRECTIONS) if name == "sliced" else name
        return perceptual("conv3_2", criterion, backbone=change(network()), **options)
    if name == "dists":
        return DISTS(backbone=change(seeded_vgg_once("vgg16")), **options)
    net = name.split()[1]
    arch = ARCHITECTURES[net]
    backbone = seeded_vgg_once(arch) if net == "vgg" else Trunk(arch, seeded(arch), "seeded")  # type: ignore[arg-type]
    return LPIPS(net, backbone=change(backbone), **options)  # type: ignore[arg-type]


METRICS = list(SMALLEST)
SELF_DISTANT = ("contextual", "cobi", "id-mrf")  # a position never gives all its weight to itself
every = pytest.mark.parametrize("name", [*DISTANCES, *METRICS])
metric = pytest.mark.parametrize("name", METRICS)


def two(name: str, n: int = 2) -> tuple[Tensor, Tensor]:
    side = SMALLEST.get(name, 12)
    return pictures(1, n, side, side + 3), pictures(2, n, side, side + 3)


def with_gradient(loss: Callable[..., Tensor], x: Tensor, *more: Any) -> tuple[Tensor, Tensor]:
    x = x.detach().clone().requires_grad_()
    found = loss(x, *more).sum()
    (gradient,) = torch.autograd.grad(found, x)
    return found.detach(), gradient


@every
@pytest.mark.parametrize("dtype", [torch.float32, D])
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_equal_pictures_and_pictures_without_features_make_no_nan(name: str, dtype: torch.dtype) -> None:
    loss = make(name, silent, reduction="sum").to(dtype)
    x, y = (t.to(dtype) for t in two(name))
    black = torch.zeros_like(x)
    for a, b in ((x, x), (black, black), (black, y), (x, black)):
        with torch.autograd.detect_anomaly(check_nan=True):
            found, gradient = with_gradient(loss, a, b)
        assert found.isfinite()
        assert gradient.isfinite().all()
        if a is b and name not in SELF_DISTANT:
            nothing = 2.0 if name == "cosine" and a is black else 0.0  # two vectors of length 0 have no angle
            assert float(found) == pytest.approx(nothing, abs=2e-4)


@pytest.mark.parametrize("name", [name for name in (*DISTANCES, *METRICS) if name != "mmd"])
def test_gradients_are_those_of_the_value(name: str) -> None:
    """But of MMD, whose kernel's width is a constant for the gradient on purpose: test_losses_distribution.py."""
    loss = make(name, reduction="none")
    x, y = two(name)
    target = loss.prepare(y)
    assert torch.autograd.gradcheck(lambda t: loss(t, target), x.requires_grad_(), fast_mode=True, eps=1e-7, rtol=1e-3)


@every
def test_a_batch_is_its_pictures(name: str) -> None:
    loss = make(name, reduction="none")
    x, y = two(name, 3)
    x[1] *= 0.1  # neither scale nor mean of one picture may leak into another's
    found, gradient = with_gradient(loss, x, y)
    singles = [with_gradient(loss, a, b) for a, b in zip(x.split(1), y.split(1), strict=True)]
    torch.testing.assert_close(found, torch.stack([value for value, _ in singles]).sum(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradient, torch.cat([g for _, g in singles]), rtol=1e-6, atol=1e-12)


@every
def test_layout_does_not_matter_and_inputs_stay_as_they_are(name: str) -> None:
    loss = make(name)
    x, y = two(name)
    before = x.clone(), y.clone()
    expected, slope = with_gradient(loss, x, y)
    torch.testing.assert_close(
        with_gradient(loss, x.to(memory_format=torch.channels_last), y), (expected, slope), rtol=1e-8, atol=1e-12
    )
    torch.testing.assert_close(with_gradient(loss, x.mT.contiguous().mT, y), (expected, slope), rtol=1e-8, atol=1e-12)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


def test_a_mask_stays_as_it_is() -> None:
    mask = torch.ones(2, 1, 37, 46)
    perceptual(["image", "relu2_1"], resize=30)(pictures(1), pictures(2), mask=mask)
    assert mask.shape == (2, 1, 37, 46)
    assert (mask == 1).all()


# half precision


@pytest.fixture(scope="module")
def installed() -> VGG:
    return PerceptualLoss().network  # type: ignore[return-value]


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("criterion", ["l1", "l2", "gram-gatys", "mean-covariance", "wasserstein", "contextual"])
def test_autocast_is_finite_and_near_float32_on_oxfords_large_features(
    installed: VGG, half: torch.dtype, criterion: str
) -> None:
    """Whose squares, and sums of squares, float16 could not hold."""
    x, y = (published()[name].float()[:, :, :40, :40] for name in ("wave_n", "ramp"))
    loss = PerceptualLoss(["relu2_1", "relu4_1"], backbone=installed, criterion=criterion)
    assert max(float(f.max()) for f in installed.features(y, loss.layers).values()) > 2000
    expected, slope = with_gradient(loss, x, y)
    x.requires_grad_()
    with torch.autocast("cpu", half):
        found, target = loss(x, y), loss.prepare(y)
        (within,) = torch.autograd.grad(found, x, retain_graph=True)
    (after,) = torch.autograd.grad(found, x)  # as torch advises
    assert found.dtype == torch.float32
    assert float(found.detach()) == pytest.approx(float(expected), rel=0.02)
    least = 0.01 if criterion == "contextual" else 1e-4  # whose own products autograd takes in half precision then
    assert (within - after).norm() < least * after.norm()
    assert torch.cosine_similarity(after.flatten(), slope.flatten(), dim=0) > 0.98
    assert float(after.norm()) == pytest.approx(float(slope.norm()), rel=0.05)
    for m in target.measured.values():
        assert (m.second if isinstance(m, Moments) else m).dtype == torch.float32


@metric
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_metrics_are_near_float32_under_autocast_and_in_half_precision(name: str, half: torch.dtype) -> None:
    loss = make(name).float()
    x, y = (published()[picture].float() for picture in ("noise1", "blur1"))
    expected = float(loss(x, y))
    with torch.autocast("cpu", half):
        assert float(loss(x, y)) == pytest.approx(expected, rel=0.03)
    lower = loss.to(half)
    found = lower(x, y)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(expected, rel=0.03)
    assert {constant.dtype for constant in lower.constants.values()} == {torch.float32}
    assert all(torch.equal(c, make(name).constants[key].float()) for key, c in lower.constants.items())


# memory


def kept(loss: FeatureLoss, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, int]:
    """Value, gradient, and how many bytes the backward pass was given, weights apart."""
    weights = {p.data_ptr() for p in loss.network.parameters()}
    sizes: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        if t.data_ptr() not in weights:
            sizes[t.data_ptr()] = t.numel() * t.element_size()
        return t

    target = loss.prepare(y)
    x = x.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        found = loss(x, target).sum()
    (gradient,) = torch.autograd.grad(found, x)
    return found.detach(), gradient, sum(sizes.values())


def test_checkpoint_gives_the_same_and_keeps_less(installed: VGG) -> None:
    x, y = (pictures(seed, 4, 32, 32).float() for seed in (1, 2))
    options = {"backbone": installed, "criterion": "l2", "reduction": "none"}
    loss, small = (PerceptualLoss({"relu3_1": 1, "image": 1e4}, checkpoint=c, **options) for c in (False, True))
    value, gradient, whole = kept(loss, x, y)
    value2, gradient2, less = kept(small, x, y)
    torch.testing.assert_close(value2, value)
    assert (gradient2 - gradient).norm() < 1e-5 * gradient.norm()
    assert less < whole / 2
    mask = torch.rand(4, 1, 32, 32)
    torch.testing.assert_close(small(x, y, mask=mask), loss(x, y, mask=mask))
