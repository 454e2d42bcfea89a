"""Other people's networks: looked at, left as they are, and told clearly what can't be."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.explanation import explain_batch
from vggapps.image import save_picture
from vggapps.objectives import class_score, compute_activations, parse
from vggapps.optimize._step import last
from vggapps.visualization import (
    dream_steps,
    exemplars,
    filter_sheet,
    guided,
    invert_steps,
    maps_of,
    maxima,
    sample,
    score_pictures,
    visualize_steps,
    visualize_vectors,
    zoom_steps,
)
from vggapps.visualization._canvas import field_of
from vggapps.visualization._report import report, visualize_channels
from vggapps.visualization._settings import VisualizeSettings

SMALL = VisualizeSettings(size=16, steps=2)
PHOTO = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(1))


def normalized(colours: int = 3) -> nn.Sequential:
    """As most networks are: convolutions with batch normalization, dropout, then classes."""
    return nn.Sequential(
        nn.Conv2d(colours, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5),
    )  # fmt: skip


def fixed(side: int = 32, colours: int = 3) -> nn.Sequential:
    """A small classifier whose linear layer takes pictures of one size."""
    return nn.Sequential(
        nn.Conv2d(colours, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.Flatten(),
        nn.Linear(4 * ((side - 4) // 2 - 2) ** 2, 10),
    ).eval()  # fmt: skip


@pytest.fixture
def photo(tmp_path: Path) -> str:
    return str(save_picture(PHOTO, tmp_path / "photo.png"))


LOOKS: dict[str, Callable[[nn.Module, str], Any]] = {
    "visualize": lambda net, _: last(visualize_steps("4:1", SMALL, network=net)),
    "visualize a class": lambda net, _: last(visualize_steps("class:1", SMALL, network=net)),
    "dream": lambda net, photo: last(dream_steps(photo, "4", network=net, size=40, steps=1, octaves=1)),
    "zoom": lambda net, photo: list(zoom_steps(photo, 2, "4", network=net, size=40, steps=1, octaves=1)),
    "guided": lambda net, _: guided("4", PHOTO, {"": net}),
    "invert": lambda net, photo: last(invert_steps(photo, "4", network=net, size=40, steps=1)),
    "exemplars": lambda net, photo: exemplars(net, "4", [photo], top=1),
    "report": lambda net, photo: _report(net, photo),
    "maps": lambda net, _: maps_of(net, "4", PHOTO),
    "visualize_vectors": lambda net, _: list(visualize_vectors([torch.ones(4)], "4", net, SMALL)),
    "atlas": lambda net, photo: sample(net, "4", [photo]),
    "maxima": lambda net, photo: maxima(net, [photo], ["4"]),
    "score_pictures": lambda net, _: score_pictures(PHOTO, [parse("4:1", net)], {"": net}),
    "see": lambda net, _: compute_activations({"": net}, PHOTO, ["4"]),
    "field": lambda net, _: field_of({"": net}, ["4"]),
    "explain": lambda net, _: explain_batch(net, PHOTO, 1, "gradient"),
}


def _report(net: nn.Module, photo: str) -> str:
    found = exemplars(net, "4", [photo], [1], top=1)
    return report(net, "4", found, list(visualize_channels(net, "4", [1], SMALL)))


def state_of(net: nn.Module) -> list[Any]:
    hooks = [
        len(hooked)
        for m in net.modules()
        for hooked in (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks)
    ]
    numbers = {name: value.clone() for name, value in net.state_dict().items()}
    return [numbers, [m.training for m in net.modules()], hooks, [(p.requires_grad, p.grad) for p in net.parameters()]]


def assert_same(before: list[Any], after: list[Any]) -> None:
    assert all(torch.equal(value, after[0][name]) for name, value in before[0].items())
    assert before[1:] == after[1:]


class TestTheCallersNetwork:
    @pytest.mark.parametrize("part", ["whole", "only its normalization", "only its dropout"])
    @pytest.mark.parametrize("look", [name for name in LOOKS if name != "field"])
    def test_in_training_mode_it_is_refused_and_not_changed(self, look: str, part: str, photo: str) -> None:
        net = normalized()
        if part != "whole":
            net.eval()
            net[1 if "normalization" in part else 6].train()
        before = copy.deepcopy(state_of(net))
        with pytest.raises(SettingsError, match="training mode"):
            LOOKS[look](net, photo)
        assert_same(before, state_of(net))

    @pytest.mark.parametrize("look", LOOKS)
    def test_in_inference_mode_it_stays_as_it_is(self, look: str, photo: str) -> None:
        net = normalized().eval()
        before = copy.deepcopy(state_of(net))
        LOOKS[look](net, photo)
        assert_same(before, state_of(net))

    @pytest.mark.parametrize("look", ["visualize", "dream", "invert", "exemplars", "maps", "atlas", "field"])
    def test_also_when_it_fails(self, look: str, photo: str) -> None:
        class Broken(nn.Module):
            def forward(self, _: Tensor) -> Tensor:
                raise KeyError("a fault of the caller's own")

        net = normalized().eval()
        net[4] = Broken().eval()
        before = copy.deepcopy(state_of(net))
        with pytest.raises(KeyError):
            LOOKS[look](net, photo)
        assert_same(before, state_of(net))

    def test_the_mode_of_what_it_means_nothing_to_does_not_matter(self) -> None:
        net = normalized().eval()
        net[9] = nn.Linear(4, 7)  # new modules are in training mode
        assert last(visualize_steps("class:6", SMALL, network=net)).image().shape == (1, 3, 16, 16)

    @pytest.mark.parametrize("look", LOOKS)
    def test_it_may_be_of_any_precision(self, look: str, photo: str) -> None:
        if look == "explain":
            pytest.skip("takes the picture as it is given")
        LOOKS[look](normalized().eval().double(), photo)

    def test_it_may_have_no_numbers(self) -> None:
        net = nn.Sequential(nn.AvgPool2d(2), nn.ReLU()).eval()
        red, green, _ = last(visualize_steps("0:1", network=net, size=16, steps=20)).image().mean((0, 2, 3))
        assert green > red


class TestGrey:
    @pytest.mark.parametrize("look", [name for name in LOOKS if name != "explain"])
    def test_networks_for_grey_pictures_are_looked_at(self, look: str, photo: str) -> None:
        LOOKS[look](normalized(colours=1).eval(), photo)

    def test_they_see_the_luminance(self) -> None:
        net = normalized(colours=1).eval()
        red, green, blue = PHOTO.unbind(1)
        grey = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]  # ITU-R BT.601
        assert torch.allclose(maps_of(net, "0", PHOTO), net[0](grey)[0], atol=1e-6)

    def test_what_is_made_for_them_has_no_colours(self, photo: str) -> None:
        net = normalized(colours=1).eval()
        for step in (
            visualize_steps("4:1", SMALL, network=net),
            invert_steps(photo, "4", network=net, size=40, steps=2),
        ):
            image = last(step).image()
            assert torch.equal(image[:, 0], image[:, 1])
            assert torch.equal(image[:, 0], image[:, 2])
            assert image.std() > 0

    def test_a_channel_of_theirs_is_made_to_respond(self) -> None:
        net = normalized(colours=1).eval()
        steps = list(visualize_steps("4:1", network=net, size=16, steps=20))
        assert steps[-1].loss < steps[0].loss

    def test_a_module_that_takes_colours_and_drops_them_itself_gets_colours(self) -> None:
        class Mean(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                assert x.shape[1] == 3
                return x.mean(1, keepdim=True)

        net = nn.Sequential(Mean(), nn.Conv2d(1, 4, 3)).eval()
        assert torch.allclose(maps_of(net, "1", PHOTO), net(PHOTO)[0])

    def test_their_filters_are_drawn(self) -> None:
        assert filter_sheet(normalized(colours=1)).size[0] > 0

    def test_of_networks_for_more_colours_it_is_said(self, photo: str) -> None:
        for look in ("visualize", "dream", "invert", "exemplars", "maps", "atlas"):
            with pytest.raises(SettingsError, match="4 channels") as error:
                LOOKS[look](normalized(colours=4).eval(), photo)
            assert "RGB" in error.value.hint


class TestSizes:
    @pytest.mark.parametrize("colours", [1, 3])
    @pytest.mark.parametrize("side", [28, 32, 96])
    def test_the_size_that_a_fixed_input_has_is_found(self, side: int, colours: int) -> None:
        made = last(visualize_steps("class:3", network=fixed(side, colours), steps=2)).image()
        assert made.shape == (1, 3, side, side)

    def test_what_is_none_of_the_usual_is_asked_for(self) -> None:
        net = fixed(50)
        with pytest.raises(SettingsError, match="224 x 224 px: mat1 and mat2") as error:
            visualize_steps("class:3", network=net)
        assert "size=" in error.value.hint
        assert last(visualize_steps("class:3", network=net, size=50, steps=2)).size == (50, 50)

    def test_a_wrong_size_is_one_clear_line_everywhere(self, photo: str) -> None:
        looks: list[Callable[[nn.Module], Any]] = [
            lambda net: visualize_steps("class:3", network=net, size=64),
            lambda net: dream_steps(photo, class_score(3), network=net, size=40),
            lambda net: invert_steps(photo, "5", network=net, size=40),
            lambda net: exemplars(net, "5", [photo]),
            lambda net: sample(net, "5", [photo]),
            lambda net: maps_of(net, "5", PHOTO),
        ]
        for look in looks:
            with pytest.raises(SettingsError, match="mat1 and mat2") as error:
                look(fixed())
            assert "\n" not in str(error.value)

    def test_the_canvas_is_what_the_channel_sees(self) -> None:
        # 5 + 1 (pooled 2, stride 2) + 2 * 2: 10 pixels; stride 2.
        assert field_of({"": fixed()}, ["3"]) == (64, 10, 2)
        assert next(visualize_steps("3:1", network=fixed(), steps=1)).size == (64, 64)
        wide = nn.Sequential(nn.Conv2d(3, 2, 9, stride=4), nn.Conv2d(2, 2, 31)).eval()
        assert field_of({"": wide}, ["1"]) == (129, 129, 4)

    def test_what_sees_everything_is_shown_at_224(self) -> None:
        assert field_of({"": normalized().eval()}, [""]) == (224, 224, 32)

    def test_the_jitter_fits_the_size(self) -> None:
        assert field_of({"": fixed()}, [""]) == (32, 32, 4)
