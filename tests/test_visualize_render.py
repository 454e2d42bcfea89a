"""Gradient ascent: it reaches what it is told to, wakes what is silent, and leaves networks as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.image import save_picture
from vggapps.objectives._networks import compute_activations
from vggapps.objectives._objective import channel, class_score, neuron
from vggapps.objectives._text import parse
from vggapps.optimize._step import last
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan
from vggapps.visualization._canvas import field_of
from vggapps.visualization._render import Redirected, parameterization_of, redirected, visualize_steps
from vggapps.visualization._settings import VisualizeSettings
from vggapps.visualization._visualized import Visualized, score_pictures
from vggapps.weights._load import load_vgg

NARROW = Plan("narrow", "N", ((4,), (6,), (8,), (8,), (8,)))
SMALL = {"size": 32, "steps": 6}


def network(head: str = "none") -> VGG:
    return initialize(VGG(NARROW, head=head, classes=3)).freeze()  # type: ignore[arg-type]


def hooks(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in module.modules())


class TestTheRun:
    @pytest.mark.parametrize("parameterization", ["fourier", "maco", "laplacian", "pixel", "cppn"])
    def test_a_channel_responds_more_than_to_noise_in_every_parameterization(self, parameterization: str) -> None:
        vgg = network()
        steps = list(visualize_steps("conv3_1:2", network=vgg, parameterization=parameterization, size=32, steps=20))
        assert steps[-1].loss < steps[0].loss - 0.01 * abs(steps[0].loss)

    def test_each_picture_of_a_batch_becomes_what_it_would_become_alone(self) -> None:
        vgg = network()
        texts = ["conv3_1:2", "conv3_1:5", "conv2_1:1 - conv2_1:3"]
        together = last(visualize_steps(texts, network=vgg, parameterization="pixel", **SMALL)).image()
        assert together.shape == (3, 3, 32, 32)
        own = score_pictures(together, [channel("conv3_1", 2), channel("conv3_1", 5)][:1], {"": vgg})
        first, second = own.scores[:2]
        assert first > second  # the first picture was made for that channel, the second for another

    def test_more_pictures_than_fit_into_a_batch_are_made_one_batch_after_another(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vggapps.visualization._render.PIXELS", 2 * 40 * 40)
        texts = [f"conv1_1:{i % 4}" for i in range(5)]
        steps = list(visualize_steps(texts, network=network(), size=32, steps=2, jitter=4))
        assert [step.index for step in steps] == [1, 2, 3, 4, 5, 6]
        assert steps[-1].fraction == 1

    def test_pictures_that_have_not_begun_are_grey(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vggapps.visualization._render.PIXELS", 40 * 40)
        steps = visualize_steps(["conv1_1:0", "conv1_1:1"], network=network(), size=32, steps=2, jitter=4)
        first = next(steps).image()
        assert first.shape == (2, 3, 32, 32)
        assert torch.equal(first[1], torch.full((3, 32, 32), 0.5))
        assert not torch.equal(first[0], first[1])

    def test_the_same_seed_gives_the_same_picture_another_seed_another(self) -> None:
        vgg = network()
        made = [last(visualize_steps("conv2_1:1", network=vgg, seed=seed, **SMALL)).image() for seed in (3, 3, 4)]
        assert torch.equal(made[0], made[1])
        assert not torch.equal(made[0], made[2])

    def test_it_can_start_from_a_picture(self, tmp_path: Path) -> None:
        image = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(1))
        save_picture(image, tmp_path / "start.png")
        run = visualize_steps(
            "conv2_1:1", network=network(), start=str(tmp_path / "start.png"), size=32, jitter=4, steps=1,
            parameterization="pixel",
        )  # fmt: skip
        step = last(run)
        # One step of Adam moves every pixel by its rate.
        assert float((step.image() - image[:, :, 4:36, 4:36]).abs().max()) < 0.03

    def test_the_default_canvas_is_what_the_layer_sees_and_the_jitter_its_stride(self) -> None:
        vgg = load_vgg("vgg19", weights=None, head="none")
        assert field_of({"": vgg}, ["conv4_3"]) == (100, 100, 8)
        assert field_of({"": vgg}, ["conv3_1", "conv2_1"]) == (64, 24, 4)
        assert next(visualize_steps("conv4_3:1", network=vgg, steps=1)).size == (100, 100)
        assert next(visualize_steps("conv1_1:1", network=vgg, steps=1)).size == (64, 64)

    def test_what_makes_no_sense_is_told_at_the_call(self) -> None:
        vgg = network()
        with pytest.raises(SettingsError, match="no layer 'conv9'"):
            visualize_steps("conv9:1", network=vgg)
        with pytest.raises(SettingsError, match="no objective"):
            visualize_steps([], network=vgg)
        with pytest.raises(SettingsError, match="give one objective"):
            visualize_steps(["conv1_1:0", "conv1_1:1"], network=vgg, pictures=2)
        with pytest.raises(SettingsError, match="can't start from a picture"):
            visualize_steps("conv1_1:0", network=vgg, parameterization="maco", start="x.png")
        with pytest.raises(SettingsError, match="positions and no 99,0"):
            visualize_steps("conv1_1:0@99,0", network=vgg, size=32)
        with pytest.raises(SettingsError, match="steps is 0"):
            visualize_steps("conv1_1:0", network=vgg, steps=0)


class TestTheParameterization:
    @pytest.mark.parametrize(
        ("objective", "settings", "kind"),
        [
            ("class:1", {}, "maco"),
            ("class:1 - 0.5*class:2", {}, "maco"),
            ("class:1 + 5*diversity(conv1_1)", {}, "maco"),
            ("conv1_1:1", {}, "fourier"),
            ("class:1", {"parameterization": "fourier"}, "fourier"),
            ("conv1_1:1", {"parameterization": "maco"}, "maco"),
            ("class:1", {"start": "photo.png"}, "fourier"),
            ("conv1_1:1", {"spectrum": "photos"}, "maco"),
        ],
    )
    def test_classes_have_the_frequencies_of_photographs_unless_told_otherwise(
        self, objective: str, settings: dict[str, str], kind: str
    ) -> None:
        found = parse(objective, network("gap"))
        assert parameterization_of(VisualizeSettings(**settings), found) == kind  # type: ignore[arg-type]

    def test_each_picture_is_made_the_way_that_its_recipe_tells(self) -> None:
        vgg = network("gap")
        texts = ["class:1", "class:2", "conv1_1:1"]
        both = last(visualize_steps(texts, network=vgg, size=32, steps=2, jitter=4)).image()
        made = score_pictures(both, [parse(text, vgg) for text in texts], {"": vgg})
        told = made.recipe(VisualizeSettings())["pictures"]
        assert [one["parameterization"] for one in told] == ["maco", "maco", "fourier"]
        # Pictures with the frequencies of photographs begin as noise, others as grey.
        assert [bool(picture.std() > 0.1) for picture in both] == [True, True, False]

    def test_a_spectrum_that_would_be_ignored_is_refused(self) -> None:
        with pytest.raises(SettingsError, match="does not use a spectrum"):
            visualize_steps("conv1_1:1", network=network(), parameterization="fourier", spectrum="photos")


class TestNetworks:
    def test_nothing_deeper_than_the_objective_runs(self) -> None:
        vgg = network()

        def never(*_: object) -> None:
            raise AssertionError("a layer of block 4 ran")

        vgg.conv4_1.register_forward_hook(never)
        last(visualize_steps("conv3_1:0", network=vgg, **SMALL))

    def test_hooks_weights_and_mode_are_as_before(self) -> None:
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3)).eval()
        weights = [p.clone() for p in module.parameters()]
        for _ in range(10):
            last(visualize_steps(["2:0", "1:3"], network=module, size=16, steps=2))
        assert hooks(module) == 0
        assert not module.training
        assert all(torch.equal(a, b) for a, b in zip(weights, module.parameters(), strict=True))
        assert all(p.grad is None for p in module.parameters())

    def test_any_modules_class_scores(self) -> None:
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        steps = list(visualize_steps(class_score(2), network=module.eval(), size=16, steps=20))
        assert steps[-1].loss < steps[0].loss

    def test_several_networks_at_once(self) -> None:
        networks = {"": network(), "vgg16": initialize(VGG(NARROW, head="none"), seed=9).freeze()}
        texts = ["conv3_1:2 + vgg16/conv3_1:2"]
        image = last(visualize_steps(texts, network=networks, size=32, steps=20)).image()
        layers = ["conv3_1", "vgg16/conv3_1"]

        def both(picture: Tensor) -> float:
            found = compute_activations(networks, picture, layers).features
            return sum(float(found[layer][0, 2].mean()) for layer in layers)

        alone = last(visualize_steps("conv3_1:2", network=networks, size=32, steps=20)).image()
        assert both(image) > max(both(alone), both(torch.full_like(image, 0.5)))

    def test_pictures_of_a_caricature_are_seen_from_the_same_places(self, tmp_path: Path) -> None:
        save_picture(torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(1)), tmp_path / "a.png")
        run = visualize_steps(
            f"likeness(conv1_1, {tmp_path / 'a.png'})", network=network(), start=str(tmp_path / "a.png"),
            parameterization="pixel", size=32, jitter=4, steps=1,
        )  # fmt: skip
        assert last(run).loss == pytest.approx(0, abs=1e-5)  # at the start it is the picture, wherever it is seen from


class TestSilence:
    """A unit that nothing excites gets no gradient through its ReLU, and its picture would stay grey."""

    def dead(self) -> nn.Module:
        conv = nn.Conv2d(3, 2, 3)
        with torch.no_grad():
            conv.bias.fill_(-20.0)
            conv.weight.fill_(1.0)
        return nn.Sequential(conv, nn.ReLU()).eval()

    def test_a_redirected_relu_is_a_relu_for_what_is_alive(self) -> None:
        x = torch.randn(2, 3, 4, 4, requires_grad=True)
        weight = torch.randn(2, 3, 4, 4)
        ours, theirs = (torch.autograd.grad((f(x) * weight).sum(), x)[0] for f in (Redirected(), torch.relu))
        assert torch.equal(Redirected()(x), x.relu())
        assert torch.equal(ours, theirs)

    def test_only_silent_pictures_get_the_gradient_of_what_they_could_wake(self) -> None:
        x = torch.stack([torch.tensor([1.0, -1.0]), torch.tensor([-1.0, -2.0])]).requires_grad_()
        (gradient,) = torch.autograd.grad((Redirected()(x) * torch.tensor([-1.0, 1.0])).sum(), x)
        assert gradient.tolist() == [[-1, 0], [-1, 0]]

    def test_a_dead_channel_comes_to_life_behind_its_relu(self) -> None:
        module = self.dead()
        image = last(visualize_steps("1:0", network=module, size=16, steps=40)).image()
        assert float(module(image)[0, 0].detach().max()) > 0

    def test_weights_are_shared_and_the_network_is_not_touched(self) -> None:
        vgg = network()
        twin = redirected(vgg)
        assert isinstance(twin.relu1_1, Redirected)
        assert isinstance(vgg.relu1_1, nn.ReLU)
        assert twin.conv1_1.weight is vgg.conv1_1.weight


class TestJudging:
    def test_scores_are_those_of_the_finished_picture(self) -> None:
        vgg = network()
        pictures = torch.rand(2, 3, 32, 32)
        made = score_pictures(pictures, [channel("conv2_1", 1), neuron("conv3_1", 2)], {"": vgg})
        seen = vgg.features(pictures, ["conv2_1", "conv3_1"])
        expected = [float(seen["conv2_1"][0, 1].mean()), float(seen["conv3_1"][1, 2, 4, 4])]
        assert made.scores == pytest.approx(expected, rel=1e-5)
        assert made.natural == (None, None)  # nobody has shown photographs to this network

    def test_several_pictures_make_a_labelled_sheet_and_its_list(self) -> None:
        pictures = torch.rand(3, 3, 32, 32)
        made = score_pictures(pictures, [channel("conv2_1", i) for i in range(3)], {"": network()})
        sheet, listed = made.picture(), made.manifest()
        assert [tile["objective"] for tile in listed["tiles"]] == ["conv2_1:0", "conv2_1:1", "conv2_1:2"]
        assert listed["size"] == [sheet.size[1], sheet.size[0]]
        left, top, right, bottom = listed["tiles"][1]["box"]
        shown: Tensor = sheet.rgb[:, :, top:bottom, left:right]
        assert shown.shape[2] == 128  # small ones are enlarged
        assert torch.allclose(shown.mean((2, 3)), pictures[1:2].mean((2, 3)), atol=0.01)

    def test_what_excites_less_than_photographs_is_marked(self) -> None:
        about = tuple(channel("conv2_1", i) for i in range(3))
        made = Visualized(torch.rand(3, 3, 32, 32), about, (1.0,) * 3, (0.23, 2.31, None), "vgg19")
        assert [tile["label"] for tile in made.manifest()["tiles"]] == ["0\nx0.23, unfinished", "1\nx2.3", "2"]
        assert made.unfinished() == 1
