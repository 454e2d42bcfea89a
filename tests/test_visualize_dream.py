"""Dreams: gradients that tiles give are the whole picture's, guides pull where they should, and nothing drifts."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vggapps.errors import SettingsError, VggappsError
from vggapps.image import Picture, save_picture
from vggapps.objectives._objective import Activations
from vggapps.optimize._step import last
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan
from vggapps.visualization import _deepdream as dreaming
from vggapps.visualization._canvas import field_of
from vggapps.visualization._deepdream import Ascent, dream_steps, guided, octave_sizes
from vggapps.visualization._settings import DreamSettings
from vggapps.visualization._tiles import cover, tiled
from vggapps.visualization._zooming import nearer, zoom_steps
from vggapps.weights._load import load_vgg

NARROW = Plan("narrow", "N", ((4,), (6,), (8,), (8,), (8,)))
QUICK = DreamSettings(size=64, steps=3, octaves=2, jitter=4)


def network(**options: Any) -> VGG:
    return initialize(VGG(NARROW, head="none", **options), seed=1).freeze()


def noise(height: int = 48, width: int = 64, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mean_square(vgg: VGG, name: str, image: Tensor) -> Tensor:
    return -0.5 * vgg.features(image, [name])[name].square().mean()


class TestOctaves:
    def test_each_is_smaller_by_the_same_factor_and_the_last_is_the_picture(self) -> None:
        sizes = octave_sizes((300, 500), 4, 1.4, smallest=32)
        assert sizes[-1] == (300, 500)
        for small, large in itertools.pairwise(sizes):
            assert large[0] / small[0] == pytest.approx(1.4, rel=0.01)
            assert large[1] / small[1] == pytest.approx(1.4, rel=0.01)

    def test_those_that_show_a_layer_next_to_nothing_are_left_out_but_never_the_picture(self) -> None:
        assert octave_sizes((40, 80), 5, 2.0, smallest=16) == [(20, 40), (40, 80)]
        assert octave_sizes((10, 80), 5, 2.0, smallest=16) == [(10, 80)]

    def test_the_steps_go_through_them_and_end_at_the_wanted_size(self) -> None:
        steps = list(dream_steps(noise(48, 64), "relu2_1", QUICK, network=network()))
        assert [step.size for step in steps] == [(34, 46)] * 3 + [(48, 64)] * 3
        assert steps[-1].fraction == 1
        assert steps[-1].image().shape == (1, 3, 48, 64)


class TestAscent:
    def test_a_step_changes_numbers_by_the_rate_on_average_whatever_the_gradient(self) -> None:
        for scale in (1e-6, 1.0, 1e6):
            leaf = torch.full((1, 3, 32, 32), 0.5)
            slope = torch.ones(1, 3, 32, 32)
            slope[..., 16:] = -1
            Ascent(0.01, noise()).update([leaf], [scale * slope])
            assert (leaf - 0.5).abs().mean() == pytest.approx(0.01, rel=0.02)
            assert (leaf[..., :12] < 0.5).all()  # the loss is minimised

    def test_no_gradient_changes_nothing(self) -> None:
        leaf = noise()
        Ascent(0.01, leaf).update([leaf], [torch.zeros_like(leaf)])
        torch.testing.assert_close(leaf, noise())

    def test_colours_do_not_drift_and_contrast_ends_at_a_quarter_more(self) -> None:
        photo = 0.3 + 0.2 * noise()
        leaf, ascent = photo.clone(), Ascent(0.05, photo)
        for seed in range(50):
            ascent.update([leaf], [noise(seed=seed) - 0.9])  # always brighter, and rough
        assert (leaf.mean((2, 3)) - photo.mean((2, 3))).abs().max() < 0.01
        assert (leaf.std((2, 3)) <= 1.26 * photo.std((2, 3))).all()
        assert leaf.amin() >= 0
        assert leaf.amax() <= 1


class TestTiles:
    @pytest.mark.parametrize("size", [(40, 40), (97, 130), (33, 257), (64, 64)])
    def test_they_cover_every_pixel_once_at_another_place_each_time(self, size: tuple[int, int]) -> None:
        draws, places = generator(), set()
        for _ in range(8):
            counts = torch.zeros(size)
            for core, outer in cover(size, 40, 12, draws, stride=8):
                counts[core] += 1
                places.add((core[0].start, core[1].start))
                for inner, around, length in zip(core, outer, size, strict=True):
                    assert around.start % 8 == 0
                    assert around.start == 0 or inner.start - around.start >= 12
                    assert around.stop == length or around.stop - inner.stop >= 12
            assert (counts == 1).all()
        assert len(places) > 1 or max(size) <= 40

    @pytest.mark.parametrize("name", ["relu2_1", "conv3_1", "relu4_1"])
    def test_with_a_margin_of_a_whole_field_the_gradient_is_that_of_the_picture(self, name: str) -> None:
        vgg, image = network().double(), noise(160, 200).double().requires_grad_()
        _, field, stride = field_of({"": vgg}, [name])
        (wanted,) = torch.autograd.grad(mean_square(vgg, name, image), image)
        score = tiled(lambda piece, _: mean_square(vgg, name, piece), field, generator(), side=64, stride=stride)
        loss, terms = score(image)
        (found,) = torch.autograd.grad(loss, image)
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12 * float(wanted.abs().max()) + 1e-15)
        assert float(loss.detach()) == float(terms["objective"])

    def test_with_half_a_field_there_is_no_seam(self) -> None:
        """Of the real network: the gradient jumps across the borders of tiles no more than elsewhere."""
        vgg = load_vgg("vgg19", head="none", padding="replicate-first")
        picture = torch.nn.functional.interpolate(noise(24, 32), (192, 256), mode="bicubic").clamp(0, 1)
        image = picture.requires_grad_()
        (wanted,) = torch.autograd.grad(mean_square(vgg, "relu3_3", image), image)
        draws, draws_again = generator(3), generator(3)
        score = tiled(lambda piece, _: mean_square(vgg, "relu3_3", piece), 20, draws, side=96, stride=4)
        (found,) = torch.autograd.grad(score(image)[0], image)
        borders = {core[1].start for core, _ in cover((192, 256), 96, 20, draws_again, stride=4)} - {0}
        assert borders
        jumps = (found[..., 1:] - found[..., :-1]).abs().mean((0, 1, 2))
        usual = (wanted[..., 1:] - wanted[..., :-1]).abs().mean((0, 1, 2))
        for border in borders:
            assert float(jumps[border - 1] / usual[border - 1]) == pytest.approx(1, abs=0.05)
        assert (found - wanted).norm() / wanted.norm() < 0.05

    def test_a_dream_in_tiles_is_the_dream_in_one_piece(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = replace(QUICK, size=160, octaves=1, jitter=0)
        whole = last(dream_steps(noise(120, 160), "relu2_1", settings, network=network())).image()
        monkeypatch.setattr(
            dreaming, "tiled", lambda score, margin, *a, **k: tiled(score, 2 * margin, *a, side=48, **k)
        )
        pieces = last(dream_steps(noise(120, 160), "relu2_1", settings, network=network())).image()
        assert (whole - pieces).abs().max() < 1e-3
        assert not torch.equal(whole, noise(120, 160))


class TestGuide:
    def test_the_gradient_at_each_position_is_the_guides_vector_with_the_largest_product(self) -> None:
        vgg, guide = network(), noise(40, 56, seed=5)
        objective = guided("relu3_1", guide, {"": vgg})
        vectors = vgg.features(guide, ["relu3_1"])["relu3_1"][0].flatten(1).T
        a = torch.randn(1, 8, 5, 7, generator=generator(2)).requires_grad_()
        (found,) = torch.autograd.grad(objective.score(Activations({"relu3_1": a})).sum(), a)
        for row, column in itertools.product(range(5), range(7)):
            products = [float(vector @ a.detach()[0, :, row, column]) for vector in vectors]
            nearest = vectors[products.index(max(products))]
            torch.testing.assert_close(found[0, :, row, column] * 35, nearest)

    def test_many_positions_are_compared_in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        objective = guided("relu2_1", noise(32, 32, seed=5), {"": network()})
        seen = Activations({"relu2_1": torch.randn(2, 6, 9, 11, generator=generator())})
        at_once = objective.score(seen)
        monkeypatch.setattr(dreaming, "_POSITIONS", 7)
        torch.testing.assert_close(objective.score(seen), at_once)

    def test_it_needs_a_layer(self, tmp_path: Path) -> None:
        save_picture(noise(), tmp_path / "guide.png")
        with pytest.raises(SettingsError, match="a guide needs a layer"):
            dream_steps(noise(), "relu3_1:2", QUICK, network=network(), guide=str(tmp_path / "guide.png"))
        guided_ = last(dream_steps(noise(), "relu3_1", QUICK, network=network(), guide=str(tmp_path / "guide.png")))
        assert not torch.equal(guided_.image(), last(dream_steps(noise(), "relu3_1", QUICK, network=network())).image())


class TestDream:
    @pytest.mark.parametrize("text", ["relu3_1", "conv3_1:2 - 0.5*relu2_1:1", "conv4_1:3@center"])
    def test_what_is_asked_for_grows(self, text: str) -> None:
        from vggapps.objectives._text import parse

        vgg, image = network(), noise()
        found = last(dream_steps(image, text, QUICK, network=vgg)).image()
        objective = parse(text, vgg)
        before, after = (objective.score(Activations(vgg.features(one, objective.layers))) for one in (image, found))
        assert after > before
        assert torch.isfinite(found).all()

    def test_pictures_to_compare_with_move_and_are_cut_along(self, tmp_path: Path, monkeypatch: Any) -> None:
        save_picture(noise(), tmp_path / "same.png")
        monkeypatch.setattr(dreaming, "tiled", lambda *a, **k: tiled(*a, side=32, **k))
        text = f"likeness(relu2_1, {tmp_path / 'same.png'})"
        step = next(iter(dream_steps(noise(), text, replace(QUICK, octaves=1, strength=0), network=network())))
        assert step.loss == pytest.approx(0, abs=1e-3)  # but for the file's 8 bits

    def test_the_seed_decides_and_nothing_else_does(self) -> None:
        def made(seed: int) -> Tensor:
            torch.rand(3)  # torch's own generator counts for nothing
            return last(dream_steps(noise(), "relu3_1", QUICK, network=network(), seed=seed)).image()

        assert torch.equal(made(1), made(1))
        assert not torch.equal(made(1), made(2))

    def test_network_generator_and_picture_are_left_as_they_were(self) -> None:
        vgg, image, state = network(), noise(), torch.get_rng_state()
        before = {name: value.clone() for name, value in vgg.state_dict().items()}
        last(dream_steps(image, "relu3_1", QUICK, network=vgg))
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(image, noise())
        assert not any(module._forward_hooks or module.training for module in vgg.modules())
        assert all(torch.equal(value, before[name]) for name, value in vgg.state_dict().items())

    @pytest.mark.parametrize(
        ("image", "text", "words"),
        [
            (noise(), "relu91_1", "there is no layer"),
            (noise(), "relu3_1:8", "the last one is 7"),
            (noise(), "conv3_1:2@99,99", "positions and no 99,99"),
            (noise(4, 64), "relu4_1", "too narrow"),
            (noise()[0], "relu3_1", "1 x 3 x H x W"),
            ("no.jpg", "relu3_1", "no such file"),
        ],
    )
    def test_what_is_wrong_is_said_at_the_call(self, image: Any, text: str, words: str) -> None:
        with pytest.raises(VggappsError, match=words):
            dream_steps(image, text, QUICK, network=network())

    def test_a_picture_of_one_colour_stays_finite(self) -> None:
        found = last(dream_steps(Picture(torch.full((1, 3, 48, 64), 0.5)), "relu3_1", QUICK, network=network())).image()
        assert torch.isfinite(found).all()


class TestZoom:
    def test_a_frame_is_the_middle_of_the_one_before(self) -> None:
        places = torch.linspace(-1, 1, 101)  # of the first to the last column, as shares of half the width
        ramp = (0.5 + 0.3 * places).expand(1, 3, 41, 101)
        wanted = (0.5 + 0.285 * places).expand(1, 3, 41, 101)
        torch.testing.assert_close(nearer(ramp, 0.05)[..., 5:-5], wanted[..., 5:-5], rtol=0, atol=1e-3)

    def test_every_step_is_a_frame_and_long_films_keep_their_colours(self) -> None:
        photo = 0.3 + 0.3 * noise()
        steps = [(s.index, s.total, s.image()) for s in zoom_steps(photo, 12, "relu3_1", QUICK, network=network())]
        assert [(index, total) for index, total, _ in steps] == [(n, 12) for n in range(1, 13)]
        end = steps[-1][2]
        assert (end.mean((2, 3)) - photo.mean((2, 3))).abs().max() < 0.02
        assert float(end.std() / photo.std()) < 1.3
        assert not torch.equal(steps[-2][2], end)
