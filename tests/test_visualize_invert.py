"""Inversions: the priors and descents are the papers' formulas, and shallow layers know their picture."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from vggapps.errors import VggappsError
from vggapps.objectives import load_networks
from vggapps.optimize._step import last
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan
from vggapps.visualization import _priors as priors
from vggapps.visualization._inversion import errors, invert_steps
from vggapps.visualization._settings import InvertSettings, Method

NARROW = Plan("narrow", "N", ((8,), (8,), (8,), (8,), (8,)))
METHODS: tuple[Method, ...] = get_args(Method)
MEAN = (123.68, 116.779, 103.939)


def network() -> VGG:
    return initialize(VGG(NARROW, head="none", padding="replicate-first"), seed=1).freeze()


def noise(height: int = 48, width: int = 64, seed: int = 0) -> Tensor:
    coarse = torch.rand(1, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def levels(image: Tensor) -> list[list[list[float]]]:
    """Channel, row, column: from 0 to 255 less the mean."""
    return [[[255 * v - MEAN[c] for v in row] for row in image[0, c].tolist()] for c in range(3)]


TINY = torch.rand(1, 3, 3, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


class TestPriors:
    def slow_variation(self, x: list[list[list[float]]]) -> float:
        total = 0.0
        for channel in x:
            for i in range(3):
                for j in range(3):
                    total += (channel[i + 1][j] - channel[i][j]) ** 2 if i < 2 else 0
                    total += (channel[i][j + 1] - channel[i][j]) ** 2 if j < 2 else 0
        return total

    def test_the_variation_is_the_sum_over_rows_columns_and_channels(self) -> None:
        x = torch.tensor(levels(TINY), dtype=torch.float64)[None]
        assert float(priors.variation(x)) == pytest.approx(self.slow_variation(x[0].tolist()))

    def test_the_variation_does_not_care_for_the_order_of_channels_but_for_that_of_rows(self) -> None:
        assert float(priors.variation(TINY[:, [2, 0, 1]])) == pytest.approx(float(priors.variation(TINY)))
        assert float(priors.variation(TINY[:, :, [1, 0, 2]])) != pytest.approx(float(priors.variation(TINY)))
        assert float(priors.variation(TINY.mT)) == pytest.approx(float(priors.variation(TINY)))

    @pytest.mark.parametrize(("stride", "weight"), [(1, 1), (2, 1), (4, 10), (8, 10), (16, 100)])
    def test_those_of_2014(self, stride: int, weight: int) -> None:
        x = levels(TINY)
        found = priors.terms_2014(TINY, stride)
        squares = 27 * 68**2
        powers = sum(v**6 for channel in x for row in channel for v in row)
        assert float(found["range"]) == pytest.approx(8e-10 / 2 * powers / squares)
        assert float(found["variation"]) == pytest.approx(weight / 2 * self.slow_variation(x) / squares)

    @pytest.mark.parametrize(("stride", "weight"), [(1, 300), (2, 300), (4, 100), (8, 20), (16, 20), (32, 1)])
    def test_those_of_2016(self, stride: int, weight: int) -> None:
        x = levels(TINY)
        found = priors.terms_2016(TINY, stride)
        lengths = [math.sqrt(sum(x[c][i][j] ** 2 for c in range(3))) for i in range(3) for j in range(3)]
        assert float(found["range"]) == pytest.approx(sum((n / 80) ** 6 for n in lengths) / 9 / weight)
        assert float(found["variation"]) == pytest.approx((6.5 / 80) ** 2 * self.slow_variation(x) / 9 / weight)


class TestDescents:
    """Against the papers' updates written for one number in 0-255, with a slope that follows it."""

    SIZE = (5, 7)

    def run(self, descent: priors.Descent, steps: int, slope: float) -> list[float]:
        leaf, seen = torch.full((1, 3, *self.SIZE), 0.5, dtype=torch.float64), []
        for _ in range(steps):
            x = 255 * leaf - torch.tensor(MEAN, dtype=torch.float64).view(3, 1, 1)
            descent.update([leaf], [255 * slope * x])  # the slope towards x, by the chain rule
            seen.append(255 * float(leaf[0, 0, 0, 0]) - MEAN[0])
        return seen

    def test_that_of_2014_has_three_rates_and_loses_its_momentum_between_them(self) -> None:
        slope = 1e-7
        x, momentum, before, wanted = 127.5 - MEAN[0], 0.0, 0.0, []
        for k in range(16):
            rate = 0.004 * (1 if k < 4 else 0.1 if k < 12 else 0.01)
            momentum = (momentum if rate == before else 0.0) * 0.9 - rate * 68**2 * 3 * 35 * slope * x
            x, before = x + momentum, rate
            wanted.append(x)
        assert self.run(priors.descent_2014(self.SIZE, 16), 16, slope) == pytest.approx(wanted)

    def test_that_of_2016_is_adagrad_with_a_memory(self) -> None:
        slope = 1e-4
        x, momentum, before, squares, wanted = 127.5 - MEAN[0], 0.0, 0.0, 0.0, []
        for k in range(14):
            rate = 20 * 35 * 0.05 * 80**2 / 6 * (1 if k < 12 else 0.1)
            momentum, squares = (momentum, squares) if rate == before else (0.0, 0.0)
            squares = 0.9 * squares + (slope * x) ** 2
            momentum = 0.9 * momentum - slope * x / (1 / rate + math.sqrt(squares))
            x, before = x + momentum, rate
            wanted.append(x)
        assert self.run(priors.descent_2016(self.SIZE, 8, 14, 12), 14, slope) == pytest.approx(wanted)

    def test_in_2016_no_pixel_is_longer_than_160(self) -> None:
        leaf = torch.rand(1, 3, *self.SIZE) * 9 - 4
        priors.descent_2016(self.SIZE, 1, 2, 1).update([leaf], [torch.zeros_like(leaf)])
        x = 255 * leaf - torch.tensor(MEAN).view(3, 1, 1)
        assert x.norm(dim=1).max() <= 160 * (1 + 1e-5)
        assert (x.norm(dim=1) > 159).any()

    def test_the_starts_are_as_large_as_photographs(self) -> None:
        for start in (priors.start_2014, priors.start_2016):
            x = 255 * start((64, 64), torch.Generator().manual_seed(1)) - torch.tensor(MEAN).view(3, 1, 1)
            assert float(x.std()) == pytest.approx(
                {"start_2014": 68, "start_2016": 80 / 0.9 / 3}[start.__name__], rel=0.02
            )
            assert abs(float(x.mean())) < 2


class TestInvert:
    @pytest.mark.parametrize("method", METHODS)
    def test_the_features_come_nearer_than_any_noise_is(self, method: Method) -> None:
        vgg = network()
        steps = list(invert_steps(noise(), "conv2_1", method=method, size=64, steps=60, network=vgg))
        assert steps[-1].terms["features"] < 0.2 * steps[0].terms["features"]
        assert steps[-1].terms["features"] < 0.2
        assert steps[-1].image().shape == (1, 3, 48, 64)
        assert steps[-1].size == (48, 64)
        for step in steps:
            assert set(step.terms) == {"features", "range", "variation"}
            assert sum(step.terms.values()) == pytest.approx(step.loss, rel=1e-5)

    @pytest.mark.parametrize("method", METHODS)
    def test_the_features_term_is_the_relative_error(self, method: Method) -> None:
        vgg, steps = network(), invert_steps(noise(), "relu2_1", method=method, size=64, steps=9, network=network())
        for _ in range(7):
            shown = next(steps).image()
        if method != "fourier":
            shown = shown.clamp(0, 1)
        then = next(steps).terms["features"]
        a, b = (vgg.features(one, ["relu2_1"])["relu2_1"] for one in (shown, noise()))
        if method == "fourier":  # the others' pictures go beyond [0, 1] on their way
            assert then == pytest.approx(float((a - b).square().sum() / b.square().sum()), rel=1e-3)
        assert errors(noise(), shown, ["relu2_1"], {"": vgg})["relu2_1"] == pytest.approx(
            float((a - b).square().sum() / b.square().sum()), rel=1e-4
        )

    def test_the_real_networks_first_layer_knows_the_picture(self) -> None:
        settings = InvertSettings(size=64)
        image = noise(48, 64)
        networks = load_networks(["conv1_1"], settings)
        step = last(invert_steps(image, "conv1_1", settings, network=networks))
        decibels = -10 * math.log10(float((step.image() - image).square().mean()))
        assert decibels > 25
        assert step.terms["features"] < 0.01

    @pytest.mark.parametrize("method", METHODS)
    def test_the_seed_decides_and_the_network_is_left_alone(self, method: Method) -> None:
        vgg, state = network(), torch.get_rng_state()

        def made(seed: int) -> Tensor:
            return last(
                invert_steps(noise(32, 48), "conv4_1", method=method, size=48, steps=4, seed=seed, network=vgg)
            ).image()

        assert torch.equal(made(1), made(1))
        assert not torch.equal(made(1), made(2))
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(a, b) for a, b in zip(vgg.parameters(), network().parameters(), strict=True))
        assert not any(module._forward_hooks for module in vgg.modules())

    def test_several_layers_are_one_run_whose_last_step_has_them_all(self) -> None:
        names = ["conv1_1", "conv3_1", "conv2_1"]
        steps = [(s.index, s.total, s.fraction, len(s.image())) for s in _several(names, network())]
        assert [index for index, *_ in steps] == list(range(1, 10))
        assert {total for _, total, *_ in steps} == {9}
        assert [count for *_, count in steps] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
        assert steps[-1][2] == 1
        alone = last(invert_steps(noise(), "conv2_1", size=64, steps=3, network=network())).image()
        assert torch.equal(last(_several(names, network())).image()[2:], alone)

    @pytest.mark.parametrize(
        ("image", "layer", "options", "words"),
        [
            (noise(), "conv91_1", {}, "there is no layer"),
            (noise(), [], {}, "no layer to invert"),
            (noise(8, 64), "conv5_1", {}, "too narrow"),
            (noise()[0], "conv1_1", {}, "1 x 3 x H x W"),
            ("no.jpg", "conv1_1", {}, "no such file"),
            (noise(), "conv1_1", {"method": "mv2015"}, "did you mean"),
        ],
    )
    def test_what_is_wrong_is_said_at_the_call(
        self, image: Any, layer: Any, options: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(VggappsError, match=words):
            invert_steps(image, layer, size=64, network=network(), **options)


def _several(names: list[str], vgg: VGG) -> Any:
    return invert_steps(noise(), names, size=64, steps=3, network=vgg)
