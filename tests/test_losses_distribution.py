"""Comparisons of feature clouds: published values, slow twins, and what all of them keep to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import distribution as twins
from tests.reference.published import ENTRIES, FILE, D, close, pair, seeded_vgg_once
from vggapps.errors import SettingsError
from vggapps.losses import _distribution as distribution
from vggapps.losses._contextual import cobi, contextual, id_mrf, self_similarity
from vggapps.losses._distribution import histogram, mmd, relaxed_emd, sliced
from vggapps.losses._moments import moments
from vggapps.losses._wasserstein import wasserstein

Loss = Callable[..., Tensor]


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def maps(seed: int, height: int = 4, width: int = 3, n: int = 1, channels: int = 6) -> Tensor:
    return normal(seed, n, channels, height, width).square()


def gaussians(x: Tensor, y: Tensor, **options: Any) -> Tensor:
    return wasserstein(moments(x), moments(y), **options)


DIRECTIONS = normal(7, 5, 6)
UNIT = (DIRECTIONS / DIRECTIONS.norm(dim=1, keepdim=True)).numpy()
LOSSES: dict[str, tuple[Loss, Callable[..., float]]] = {
    "sliced": (partial(sliced, directions=DIRECTIONS), partial(twins.sliced, directions=UNIT)),
    "histogram": (histogram, twins.histogram),
    "mmd linear": (partial(mmd, kernel="linear"), twins.mmd_linear),
    "mmd polynomial": (partial(mmd, kernel="polynomial"), twins.mmd_polynomial),
    "mmd gaussian": (mmd, twins.mmd_gaussian),
    "relaxed emd": (relaxed_emd, twins.relaxed_emd),
    "relaxed emd euclidean": (partial(relaxed_emd, metric="euclidean"), twins.relaxed_emd_euclidean),
    "contextual": (contextual, twins.contextual),
    "cobi": (partial(cobi, spatial_weight=0.3, epsilon=0.01), partial(twins.cobi, spatial_weight=0.3, epsilon=0.01)),
    "id-mrf": (id_mrf, twins.id_mrf),
    "self-similarity": (self_similarity, twins.self_similarity),
    "wasserstein": (gaussians, twins.wasserstein),
}
NAMES = list(LOSSES)
SAME_SIZE = {"id-mrf", "self-similarity"}
# Those that say how like, where the best is not nought.
LIKENESS = {"contextual", "cobi", "id-mrf"}


def two(name: str, n: int = 1) -> tuple[Tensor, Tensor]:
    """A picture's map and its target's, of different sizes where the loss takes that."""
    return maps(1, n=n), maps(2, n=n) if name in SAME_SIZE else maps(2, 3, 5, n=n)


def with_gradients(loss: Loss, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x, y = (f.detach().clone().requires_grad_() for f in (x, y))
    found = loss(x, y)
    return found.detach(), *torch.autograd.grad(found.sum(), (x, y))


def published_gaussians(x: Tensor, y: Tensor) -> Tensor:
    """The published ridge is absolute."""
    return gaussians(x, y, epsilon=1e-4 / float(moments(y).covariance.diagonal(dim1=1, dim2=2).mean()))


PUBLISHED: dict[str, tuple[Loss, dict[str, float]]] = {
    "f.swd.relu2_1": (partial(sliced, directions=normal(7, 32, 128)), {"relu2_1": 1}),
    "f.mmd.linear": (partial(mmd, kernel="linear"), {"relu2_1": 1}),
    "f.mmd.poly2": (partial(mmd, kernel="polynomial"), {"relu2_1": 1}),
    "f.remd.relu2_1": (relaxed_emd, {"relu2_1": 1}),
    "f.cx.relu3_2": (contextual, {"relu3_2": 1}),
    "f.cx.relu4_2": (contextual, {"relu4_2": 1}),
    "f.cobi.relu3_2": (cobi, {"relu3_2": 1}),
    "f.cobi.relu3_2.authors": (partial(cobi, epsilon=1e-3, grid=255.0), {"relu3_2": 1}),
    "f.idmrf": (id_mrf, {"relu3_2": 1, "relu4_2": 2}),
    "f.selfsim.relu3_1": (self_similarity, {"relu3_1": 1}),
    "f.w2.relu1_1": (published_gaussians, {"relu1_1": 1}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values_and_gradients_in_the_picture(name: str) -> None:
    loss, layers = PUBLISHED[name]
    x, y = pair(name)
    x = x.clone().requires_grad_()
    found, target = (seeded_vgg_once("vgg19").features(picture, list(layers)) for picture in (x, y))
    total = sum(weight * loss(found[layer], target[layer]) for layer, weight in layers.items()).sum()
    assert float(total.detach()) == close(name)
    (gradient,) = torch.autograd.grad(total, x)
    assert float(gradient.norm()) == pytest.approx(ENTRIES[name]["grad_norm"], **tolerance("float64_grad_norm"))


def tolerance(kind: str) -> dict[str, float]:
    return {"rel": FILE["tolerance"][kind]["rtol"], "abs": FILE["tolerance"][kind]["atol"]}


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_its_formula_and_a_batch_is_its_pictures(name: str) -> None:
    loss, twin = LOSSES[name]
    x, y = two(name, n=3)
    x[1] *= 30  # neither scale nor mean of one picture may leak into another's
    found = loss(x, y)
    assert found.shape == (3,)
    assert found.tolist() == pytest.approx([twin(a, b) for a, b in zip(x.numpy(), y.numpy(), strict=True)], rel=1e-6)
    for i in range(3):
        torch.testing.assert_close(loss(x[i : i + 1], y[i : i + 1])[0], found[i], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mmd gaussian"])
def test_gradients_are_right(name: str) -> None:
    """The Gaussian kernel's width and the ridge are constants for the gradient, tested apart."""
    loss, _ = LOSSES[name]
    x, y = two(name, n=2)
    x.requires_grad_()
    assert torch.autograd.gradcheck(loss, (x, y.requires_grad_(name != "wasserstein")))


def test_the_gaussian_kernels_gradient_takes_its_width_as_constant() -> None:
    x, y = maps(1, 2, 2, channels=3), maps(2, 1, 3, channels=3)
    _, of_x, of_y = with_gradients(mmd, x, y)
    a, b = x[0].numpy(), y[0].numpy()
    variance = twins.spread(a, b)
    for moved, gradient in ((a, of_x), (b, of_y)):
        slopes = np.zeros(moved.shape)
        for at in np.ndindex(moved.shape):
            kept, values = moved[at], []
            for step in (1e-5, -1e-5):
                moved[at] = kept + step
                values.append(twins.mmd_gaussian(a, b, variance))
            moved[at] = kept
            slopes[at] = (values[0] - values[1]) / 2e-5
        torch.testing.assert_close(gradient[0], torch.from_numpy(slopes), rtol=1e-5, atol=1e-9)


def hole(seed: int) -> Tensor:
    """One position without features among others."""
    features = maps(seed)
    features[:, :, 1, 1] = 0
    return features


AWKWARD = {
    "equal": (maps(1), maps(1)),
    "all zero": (torch.zeros(1, 6, 4, 3), torch.zeros(1, 6, 4, 3)),
    "zero picture": (torch.zeros(1, 6, 4, 3), maps(1)),
    "zero target": (maps(1), torch.zeros(1, 6, 4, 3)),
    "all the same": (torch.full((1, 6, 4, 3), 300.0), torch.full((1, 6, 4, 3), 300.0)),
    "one position": (maps(1, 1, 1), maps(2, 1, 1)),
    "one equal position": (maps(1, 1, 1), maps(1, 1, 1)),
    "a position without features": (hole(1), hole(2)),
    "an equal position without features": (hole(1), hole(1)),
}


@pytest.mark.parametrize("case", AWKWARD)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_values_and_gradients_are_finite_and_bounded_where_formulas_are_not(name: str, case: str) -> None:
    loss, _ = LOSSES[name]
    x, y = (f.float() for f in AWKWARD[case])
    with torch.autograd.detect_anomaly(check_nan=True):
        found, *gradients = with_gradients(loss, x, y)
    assert found.isfinite().all()
    for gradient in gradients:
        assert gradient.isfinite().all()
        assert float(gradient.abs().max()) < 1e4 * max(1.0, float(found))
    if torch.equal(x, y) and name not in LIKENESS:
        assert float(found) == pytest.approx(0, abs=1e-6)
        assert all(float(gradient.abs().max()) < 1e-5 for gradient in gradients)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_features_are_compared_in_float32(name: str, dtype: torch.dtype) -> None:
    loss, _ = LOSSES[name]
    x, y = (f.to(dtype) for f in two(name))
    found, *gradients = with_gradients(loss, x, y)
    expected, *exact = with_gradients(loss, x.float(), y.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    for gradient, full in zip(gradients, exact, strict=True):
        assert gradient.dtype == dtype
        assert (gradient.float() - full).norm() < 0.02 * full.norm()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "wasserstein"])
def test_autocast_does_not_reach_in(name: str) -> None:
    loss, _ = LOSSES[name]
    x, y = (f.float() for f in two(name))
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(x, y)
    torch.testing.assert_close(found, loss(x, y))


@pytest.mark.parametrize("entries", [1, 40, 10**6])
@pytest.mark.parametrize("name", NAMES)
def test_strips_give_what_the_whole_matrix_gives(name: str, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    loss, _ = LOSSES[name]
    x, y = two(name, n=2)
    whole = with_gradients(loss, x, y)
    monkeypatch.setattr(distribution, "ENTRIES_AT_ONCE", entries)
    for found, expected in zip(with_gradients(loss, x, y), whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "entries"),
    [*((name, 10**6) for name in NAMES), ("contextual", 90), ("relaxed emd", 90), ("mmd gaussian", 90)],
)
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's compiler does
def test_every_loss_compiles_in_one_piece(name: str, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "ENTRIES_AT_ONCE", entries)
    loss, _ = LOSSES[name]
    x, y = two(name)
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for found, expected in zip(with_gradients(compiled, x, y), with_gradients(loss, x, y), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_target_repeated_as_a_whole_is_the_same_target() -> None:
    x, y = maps(1), maps(2)
    for loss in (histogram, partial(sliced, directions=DIRECTIONS)):
        torch.testing.assert_close(loss(x, torch.cat([y, y, y], 2)), loss(x, y))


def test_histogram_is_sliced_along_the_axes() -> None:
    torch.testing.assert_close(histogram(*two("")), sliced(*two(""), directions=torch.eye(6)))


def test_directions_are_drawn_anew_as_many_as_channels() -> None:
    x, y = two("")

    def drawn(seed: int, **options: Any) -> Tensor:
        return sliced(x, y, generator=torch.Generator().manual_seed(seed), **options)

    assert torch.equal(drawn(3), drawn(3, directions=6))
    assert torch.equal(drawn(3, directions=5), sliced(x, y, directions=normal(3, 5, 6)))
    assert torch.equal(sliced(x, y), sliced(x, y))  # to measure: the same directions each time
    x.requires_grad_()
    assert not torch.equal(sliced(x, y), sliced(x, y))


def test_moving_a_cloud_costs_the_way_squared() -> None:
    """In each direction its part of the way: a c-th of the square on average over all."""
    x, way = maps(1), normal(3, 1, 6, 1, 1)
    assert float(histogram(x + way, x)) == pytest.approx(float(way.square().mean()))
    many = sliced(x + way, x, directions=20000, generator=torch.Generator().manual_seed(0))
    assert float(many) == pytest.approx(float(way.square().mean()), rel=0.03)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: mmd(x, x, kernel="gausian"), "did you mean 'gaussian'"),
        (lambda x: relaxed_emd(x, x, metric="cosin"), "did you mean 'cosine'"),
        (lambda x: sliced(x, x, directions=torch.ones(2, 5)), "6 channels"),
        (lambda x: sliced(x, x, directions=0), "at least one"),
        (lambda x: histogram(x, maps(1, channels=5)), "1 × 6 and 1 × 5.*same layer"),
        (lambda x: contextual(x, maps(1, n=2)), "1 × 6 and 2 × 6.*number of pictures"),
    ],
)
def test_what_does_not_fit_is_told(call: Callable[[Tensor], Tensor], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        call(maps(1))
