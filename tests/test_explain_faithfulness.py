"""Measures of explanations on networks whose answers are known, sparse systems solved otherwise, and weights forgot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.sparse
import scipy.stats
import torch
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.explanation import _faithfulness as faithfulness
from vggapps.explanation._faithfulness import (
    average_drop,
    completeness,
    deletion,
    impute,
    increase,
    insertion,
    measure_faithfulness,
    road,
)
from vggapps.explanation._gradients import gradient, gradient_x_input
from vggapps.explanation._question import Question, ask
from vggapps.explanation._sanity import randomization_test, spearman
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8, 8)))


def pictures(n: int = 1, height: int = 24, width: int = 33, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


def total() -> Question:
    """A network that says how bright a picture is on average; the empty one is black."""
    conv = nn.Conv2d(3, 1, 1, bias=False)
    conv.weight.data.fill_(1)
    return ask(nn.Sequential(conv).eval().requires_grad_(False), "0:0")


def vgg() -> VGG:
    return initialize(VGG(NARROW, head="gap", classes=5), "glorot", seed=3).freeze()


@pytest.mark.parametrize("steps", [1, 7, 28])
def test_deletion_and_insertion_are_areas_under_the_curve(steps: int) -> None:
    image = pictures(2)
    brightness = image.sum(1, keepdim=True)
    found = deletion(total(), image, brightness, steps)
    blurred = image.numpy().copy()
    for axis in (2, 3):
        blurred = scipy.ndimage.gaussian_filter1d(blurred, 5, axis=axis, radius=5, mode="mirror")
    inserted = insertion(total(), image, brightness, steps)
    for i in range(2):
        order = np.argsort(-brightness[i].numpy().ravel(), kind="stable")
        values, soft = brightness[i].numpy().ravel(), blurred[i].sum(0).ravel()
        down, up = [], []
        for k in range(steps + 1):
            first = order[: int(np.ceil(k / steps * len(order) - 1e-6))]
            mixed = soft.copy()
            mixed[first] = values[first]
            up.append(mixed.mean())
            mixed = values.copy()
            mixed[first] = 0
            down.append(mixed.mean())
        assert float(found[i]) == pytest.approx((sum(down) - (down[0] + down[-1]) / 2) / steps, rel=1e-4)
        assert float(inserted[i]) == pytest.approx((sum(up) - (up[0] + up[-1]) / 2) / steps, rel=1e-4)


def test_the_best_order_is_better_than_chance_and_chance_than_the_worst() -> None:
    image = pictures() * torch.linspace(0, 1, 33)  # dark at the left, or neighbours would fill in all that is lost
    best = image.sum(1, keepdim=True)
    chance = torch.rand(best.shape, generator=torch.Generator().manual_seed(5))
    removed = [float(deletion(total(), image, map)) for map in (best, chance, -best)]
    assert removed[0] < removed[1] < removed[2]
    put_in = [float(insertion(total(), image, map)) for map in (best, chance, -best)]
    assert put_in[0] > put_in[1] > put_in[2]
    combined = [float(torch.sub(*road(total(), image, map)[::-1])) for map in (best, chance, -best)]
    assert combined[0] > combined[1] > combined[2]
    assert combined[0] == pytest.approx(-combined[2], abs=1e-3)


def solved(image: Tensor, known: Tensor) -> Tensor:
    """ROAD's system, equation by equation, by scipy's direct solver."""
    height, width = known.shape
    holes = [(y, x) for y in range(height) for x in range(width) if not known[y, x]]
    number = {place: k for k, place in enumerate(holes)}
    system, right = scipy.sparse.lil_matrix((len(holes), len(holes))), np.zeros((len(holes), 3))
    for (y, x), k in number.items():
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                place = (y + dy, x + dx)
                if (dy or dx) and 0 <= place[0] < height and 0 <= place[1] < width:
                    weight = 1 / 12 if dy and dx else 1 / 6
                    system[k, k] += weight
                    if place in number:
                        system[k, number[place]] -= weight
                    else:
                        right[k] += weight * image[:, place[0], place[1]].double().numpy()
    result = image.clone()
    values = scipy.sparse.linalg.spsolve(system.tocsc(), right)
    for (y, x), k in number.items():
        result[:, y, x] = torch.from_numpy(values[k])
    return result


@pytest.mark.parametrize("size", [(32, 32), (37, 50), (64, 21), (9, 5)])
def test_holes_are_filled_in_as_the_sparse_system_says(size: tuple[int, int]) -> None:
    image = pictures(3, *size)
    known = torch.rand(3, 1, *size, generator=torch.Generator().manual_seed(1)) > 0.5
    known[1, :, 2:-1, 1:] = False  # a hole as large as the picture, to its corner
    known[2] = False
    known[2, :, 0, 0] = known[2, :, -1, -1] = True
    found = impute(image, known)
    for i in range(3):
        torch.testing.assert_close(found[i], solved(image[i], known[i, 0]), atol=1e-3, rtol=0)
    assert torch.equal(found * known, image * known)


def test_filling_in_is_quick_however_large_the_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []
    cycle = faithfulness._cycle

    def counted(residue: Tensor, grids: Any) -> Tensor:
        rounds.append(residue.shape[2])
        return cycle(residue, grids)

    monkeypatch.setattr(faithfulness, "_cycle", counted)
    for side in (32, 224):
        known = torch.zeros(1, 1, side, side, dtype=torch.bool)
        known[..., 0] = True
        ramp = torch.linspace(0, 1, side).expand(1, 3, side, side)
        impute(ramp, known)
        assert rounds.count(side) < 30


def test_what_is_known_stays_and_what_nobody_knows_is_grey() -> None:
    image = pictures(2)
    assert torch.equal(impute(image, torch.ones(2, 1, 24, 33, dtype=torch.bool)), image)
    known = torch.zeros(2, 1, 24, 33, dtype=torch.bool)
    known[1, :, 4, 4] = True
    found = impute(image, known)
    torch.testing.assert_close(found[0], torch.full_like(found[0], 0.5))
    torch.testing.assert_close(found[1], image[1, :, 4, 4][:, None, None].expand_as(found[1]), atol=1e-3, rtol=0)


def test_roads_noise_comes_from_the_seed() -> None:
    image, map = pictures(1, 64, 96), pictures(1, 64, 96, seed=2)[:, :1]
    first, second, other = (torch.stack(road(ask(vgg(), 1), image, map, seed)) for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    torch.testing.assert_close(first, other, atol=0.05, rtol=0.05)


def test_drop_and_increase_are_of_the_picture_times_the_map() -> None:
    image = pictures(2)
    heat = torch.rand(2, 1, 24, 33) - 0.3
    y = image.sum(1).mean((1, 2))
    lit = heat.clamp(min=0) / heat.amax((2, 3), keepdim=True)
    o = (image * lit).sum(1).mean((1, 2))
    torch.testing.assert_close(average_drop(total(), image, heat), 100 * (y - o) / y)
    assert not increase(total(), image, heat).any()
    torch.testing.assert_close(average_drop(total(), image, torch.zeros(2, 1, 3, 4)), torch.full((2,), 100.0))
    torch.testing.assert_close(average_drop(total(), image, torch.ones(2, 1, 3, 4)), torch.zeros(2))
    # A network that says how dark a picture is likes what the map hides.
    dark = total()
    dark.network.get_parameter("0.weight").data.neg_()
    assert increase(dark, image, heat).all()


def test_completeness_is_the_part_of_the_change_that_is_not_explained() -> None:
    image = pictures(2)
    whole = gradient_x_input(total(), image)
    torch.testing.assert_close(completeness(total(), image, whole), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(completeness(total(), image, whole / 4), torch.full((2,), 0.75))
    assert completeness(total(), 0 * image, 0 * whole).isfinite().all()


def test_all_measures_of_a_picture_and_its_map() -> None:
    image = pictures(1, 64, 96)
    pixels = measure_faithfulness(ask(vgg(), [1]), image, pictures(1, 64, 96, seed=4))
    regions = measure_faithfulness(ask(vgg(), [1]), image, torch.rand(1, 1, 4, 6))
    assert set(pixels) - set(regions) == {"completeness"}
    assert pixels["road"] == pytest.approx((pixels["road-lerf"] - pixels["road-morf"]) / 2, abs=1e-6)
    assert all(0 <= regions[name] <= 1 for name in ("deletion", "insertion", "road-morf", "road-lerf", "increase"))
    nothing = measure_faithfulness(ask(vgg(), 1), image, torch.zeros(1, 3, 64, 96))
    assert all(np.isfinite(value) for value in nothing.values())
    with pytest.raises(SettingsError, match="1 maps of 2 pictures"):
        measure_faithfulness(ask(vgg(), 1), pictures(2), torch.zeros(1, 1, 4, 6))


def test_several_pictures_with_their_own_classes_are_measured_as_one_by_one() -> None:
    image, map = pictures(2, 64, 96), pictures(2, 4, 6, seed=1)[:, :1]
    for measure in (deletion, insertion, average_drop, lambda *a: torch.stack(road(*a))):
        alone = [measure(ask(vgg(), index), image[i : i + 1], map[i : i + 1]) for i, index in enumerate((4, 0))]
        torch.testing.assert_close(measure(ask(vgg(), [4, 0]), image, map), torch.cat(alone, -1))


def test_rank_correlation_is_scipys() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randint(20, (3, 1, 9, 12), generator=generator).float() for _ in range(2))  # many are equal
    expected = [scipy.stats.spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(x, y, strict=True)]
    torch.testing.assert_close(spearman(x, y), torch.tensor(expected, dtype=torch.float32))
    assert spearman(x, torch.ones_like(x)).tolist() == [0, 0, 0]


def edges(question: Question, image: Tensor) -> Tensor:
    """A method that looks at no network."""
    return (image[..., 1:, 1:] - image[..., :-1, :-1]).abs().mean(1, keepdim=True)


def test_a_method_that_heeds_no_weights_is_found_out_and_the_gradient_is_not() -> None:
    network, image = vgg(), pictures(2, 64, 96)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    blind = randomization_test(ask(network, [1, 2]), image, edges)
    assert [step.layer for step in blind] == ["head", *(f"block {k}" for k in (5, 4, 3, 2, 1))]
    for step in blind:
        torch.testing.assert_close(step.spearman, torch.ones(2))
        torch.testing.assert_close(step.ssim, torch.ones(2))
    honest = randomization_test(ask(network, [1, 2]), image, gradient)
    assert honest[-1].spearman.max() < 0.3
    assert honest[-1].ssim.max() < 0.5
    assert all(step.spearman.max() < 0.9 for step in honest[1:])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    again, other = (randomization_test(ask(network, [1, 2]), image, gradient, seed)[-1].spearman for seed in (0, 1))
    assert torch.equal(again, honest[-1].spearman)
    assert not torch.equal(other, again)


def test_one_part_after_the_other_forgets_the_last_first() -> None:
    seen: list[nn.Module] = []

    def watch(question: Question, image: Tensor) -> Tensor:
        seen.append(question.network)
        return image

    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(484, 5)).eval()
    assert [step.layer for step in randomization_test(ask(network, 0), pictures(1, 13, 13), watch)] == ["3", "0"]
    _, half, whole = [dict(other.named_parameters()) for other in seen]
    original = dict(network.named_parameters())
    assert half["0.weight"] is original["0.weight"]
    for name in ("0.weight", "3.weight"):
        assert not torch.equal(whole[name], original[name])
        assert torch.equal(whole[name].flatten().sort().values, original[name].flatten().sort().values)
    assert torch.equal(whole["3.weight"], half["3.weight"])
