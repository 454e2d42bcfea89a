"""Who gets a gradient of two pictures, and what measuring without one leaves alone."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.reference.narrow import network, perceptual, pictures
from tests.test_losses_safety import METRICS, make, two
from vggapps.errors import SettingsError
from vggapps.losses import DISTANCES, Bundle, PerceptualLoss, Regularizer, ShiftEnsemble, functional

X, Y = pictures(1), pictures(2)


def both(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x.clone().requires_grad_(), y.clone().requires_grad_()


WRAPPED = {
    "alone": lambda **options: perceptual(["relu2_1", "image"], **options),
    "style": lambda **options: perceptual("relu2_1", style_layers="relu1_1", style_criterion="sliced", **options),
    "resized, one by one": lambda **options: perceptual("relu2_1", resize=24, checkpoint=True, **options),
    "bundle": lambda **options: Bundle(
        {"a": perceptual(**options), "b": perceptual("relu1_1", "gram", **options), "pixels": nn.MSELoss()}
    ),
    "ensemble": lambda **options: ShiftEnsemble(perceptual(**options), shift=0, flip=False, views=2),
    "preset": lambda **options: PerceptualLoss.preset("spade", backbone=network(), **options),
    "ensemble of a bundle": lambda **options: ShiftEnsemble(Bundle({"a": perceptual(**options)}), shift=0, flip=False),
}


@pytest.mark.parametrize("name", [name for name in (*DISTANCES, *METRICS) if name != "mmd"])
def test_with_gradient_both_the_value_stays_and_each_picture_has_its_derivative(name: str) -> None:
    """But of MMD, whose kernel's width is a constant for the gradient on purpose."""
    x, y = both(*two(name))
    loss = make(name, reduction="none", gradient="both")
    one = make(name, reduction="none")
    found = loss(x, y)
    assert torch.equal(found, one(x, y.detach()))
    first, second = torch.autograd.grad(found.sum(), (x, y))
    (expected,) = torch.autograd.grad(one(x, y.detach()).sum(), x)
    torch.testing.assert_close(first, expected, rtol=1e-9, atol=1e-14)
    assert second.any()
    if name in METRICS:  # which are symmetric
        (swapped,) = torch.autograd.grad(one(y, x.detach()).sum(), y)
        torch.testing.assert_close(second, swapped, rtol=1e-6, atol=1e-12)
        return
    assert torch.autograd.gradcheck(lambda t: loss(x.detach(), t), y, fast_mode=True, eps=1e-7, rtol=1e-3)


@pytest.mark.filterwarnings(
    "ignore:The parameter 'pretrained':UserWarning", "ignore:Arguments other than a weight:UserWarning"
)
def test_the_gradients_of_lpips_are_those_of_its_package() -> None:
    lpips = pytest.importorskip("lpips")
    ours = make("lpips alex", gradient="both").double()
    theirs = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).double().eval()
    convolutions = [m for m in ours.network.modules() if isinstance(m, nn.Conv2d)]
    inside = [m for m in theirs.net.modules() if isinstance(m, nn.Conv2d)]
    for a, b in zip(inside, convolutions, strict=True):
        a.load_state_dict(b.state_dict())
    x, y = both(*two("lpips alex"))
    found = torch.autograd.grad(ours(x, y), (x, y))
    expected = torch.autograd.grad(theirs(2 * x - 1, 2 * y - 1).mean(), (x, y))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7 * float(b.abs().max()))


@pytest.mark.parametrize("name", WRAPPED)
def test_the_second_picture_gets_its_gradient_or_an_error(name: str) -> None:
    x, y = both(X, Y)
    with pytest.raises(SettingsError, match=r"both pictures require a gradient.*gradient='both'.*target\.detach\(\)"):
        WRAPPED[name]()(x, y)
    with pytest.raises(
        SettingsError, match=r"swap them: loss\(output, target\); or make the loss with gradient='both'"
    ):
        WRAPPED[name]()(X, y)
    with torch.no_grad():
        WRAPPED[name]()(x, y)
    loss = WRAPPED[name](gradient="both")
    torch.manual_seed(0)
    for found in torch.autograd.grad(loss(x, y), (x, y)):
        assert found.any()
    (found,) = torch.autograd.grad(loss(X, y), y)
    assert found.any()


def test_a_symmetric_losss_gradients_are_each_others() -> None:
    x, y = both(X, Y)
    loss = perceptual(["relu2_1", "relu3_1"], "l2", gradient="both")
    first, second = torch.autograd.grad(loss(x, y), (x, y))
    swapped = torch.autograd.grad(loss(y, x), (y, x))
    torch.testing.assert_close((first, second), (swapped[1], swapped[0]))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_both_gradients_are_near_float32s_under_autocast(half: torch.dtype) -> None:
    loss = perceptual(["relu2_1", "relu3_1"], "l2", gradient="both").float()
    x, y = both(X.float(), Y.float())
    expected = torch.autograd.grad(loss(x, y), (x, y))
    with torch.autocast("cpu", half):
        found = torch.autograd.grad(loss(x, y), (x, y))
    for a, b in zip(found, expected, strict=True):
        assert torch.cosine_similarity(a.flatten(), b.flatten(), dim=0) > 0.97
        assert float(a.norm()) == pytest.approx(float(b.norm()), rel=0.1)


def test_an_output_as_second_picture_may_run_wild_as_the_first_may() -> None:
    x, y = both(X, 2 * Y - 1)
    with pytest.warns(UserWarning, match="looks like -1"):
        perceptual(gradient="both")(x, y)


def test_a_prepared_target_is_a_constant_whatever_it_was_made_of() -> None:
    loss = perceptual(gradient="both")
    x, y = both(X, Y)
    target = loss.prepare(y)
    assert not target.first.requires_grad
    loss(x, target).backward()
    assert y.grad is None


def test_a_mask_that_learns_has_its_gradient_through_both_pictures_moments() -> None:
    mask = torch.rand(1, 1, 37, 46, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    loss = perceptual("relu2_1", "mean-std")
    far_over_the_tolerance = 1e4
    assert torch.autograd.gradcheck(
        lambda m: far_over_the_tolerance * loss(X, Y, mask=m), mask.requires_grad_(), fast_mode=True, eps=1e-7
    )


# what measuring leaves alone


MEASURED: dict[str, Any] = {
    "sliced": lambda: perceptual("relu2_1", "sliced"),
    "sliced, few": lambda: perceptual("relu2_1", partial(functional.sliced, directions=3)),
    "ensemble": lambda: ShiftEnsemble(perceptual(), shift=3),
}


@pytest.mark.parametrize("name", MEASURED)
def test_measuring_leaves_torchs_generator_alone_and_gives_the_same_twice(name: str) -> None:
    loss = MEASURED[name]()
    before = torch.get_rng_state()
    found = loss(X, Y)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    assert torch.equal(loss(X, Y), found)
    with torch.no_grad():
        assert torch.equal(loss(X.clone().requires_grad_(), Y), found)


@pytest.mark.parametrize("name", MEASURED)
def test_training_draws_from_torchs_generator_anew(name: str) -> None:
    loss, x = MEASURED[name](), X.clone().requires_grad_()
    torch.manual_seed(7)
    first, second = loss(x, Y), loss(x, Y)
    assert first != second
    torch.manual_seed(7)
    assert torch.equal(loss(x, Y), first)


@pytest.mark.parametrize("learns", [False, True])
def test_sliced_compiles_whole_with_and_without_a_gradient(learns: bool) -> None:
    loss = partial(functional.sliced, directions=5)
    x, y = (t.float().requires_grad_(learns) for t in (X.clone(), Y.clone()))
    torch._dynamo.reset()  # what other tests have compiled of the same lines counts towards its limit
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    assert compiled(x, y).isfinite().all()
    if not learns:
        torch.testing.assert_close(compiled(x, y), loss(x, y))


def test_a_regularizer_and_pixels_need_no_word_for_the_second_picture() -> None:
    x, y = both(X, Y)
    bundle = Bundle({"pixels": nn.MSELoss(), "smooth": Regularizer(functional.total_variation)})
    first, second = torch.autograd.grad(bundle(x, y), (x, y))
    torch.testing.assert_close(second, 2 * (Y - X) / X.numel())
    assert first.any()
