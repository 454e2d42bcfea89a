"""Objectives: each is its formula, and a text means what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vggapps.errors import PictureError, SettingsError
from vggapps.image import save_picture
from vggapps.objectives import FORMS, text_form
from vggapps.objectives import _objective as o
from vggapps.objectives._objective import Activations, Objective
from vggapps.objectives._text import expand, parse
from vggapps.vgg._hooks import OUTPUT
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan

NARROW = Plan("narrow", "N", ((4,), (6,), (8,), (8,), (8,)))
A = torch.randn(3, 5, 4, 6, generator=torch.Generator().manual_seed(1))
B = torch.randn(1, 5, 4, 6, generator=torch.Generator().manual_seed(2))
SEEN = Activations({"l": A, OUTPUT: A[:, :, 0, 0]}, {"b": {"l": B}})


def network(head: str = "none") -> VGG:
    return initialize(VGG(NARROW, head=head, classes=3)).freeze()  # type: ignore[arg-type]


def scored(text: str, features: dict[str, Tensor], vgg: nn.Module) -> list[float]:
    return parse(text, vgg).score(Activations(features)).tolist()


class TestFormulas:
    def test_a_channel_is_the_mean_over_its_positions(self) -> None:
        torch.testing.assert_close(o.channel("l", 2).score(SEEN), torch.stack([a[2].mean() for a in A]))

    def test_a_neuron_is_one_position_by_default_the_middle(self) -> None:
        assert torch.equal(o.neuron("l", 2).score(SEEN), A[:, 2, 2, 3])
        assert torch.equal(o.neuron("l", 2, 1, 5).score(SEEN), A[:, 2, 1, 5])

    def test_a_layer_is_half_its_mean_square(self) -> None:
        torch.testing.assert_close(o.layer("l").score(SEEN), torch.stack([0.5 * (a * a).sum() / 120 for a in A]))

    def test_a_class_is_its_score(self) -> None:
        assert torch.equal(o.class_score(4).score(SEEN), A[:, 4, 0, 0])

    @pytest.mark.parametrize("power", [0, 2])
    def test_a_direction_is_the_product_weighed_by_the_cosine(self, power: int) -> None:
        v = torch.arange(5.0) - 1
        found = o.direction("l", v, power=power).score(SEEN)
        for picture, score in zip(A, found, strict=True):
            cells = [picture[:, y, x] for y in range(4) for x in range(6)]
            cosine = [float(c @ v / (c.norm() * v.norm())) for c in cells]
            expected = [float(c @ v) * max(0.1, k) ** power for c, k in zip(cells, cosine, strict=True)]
            assert float(score) == pytest.approx(sum(expected) / 24, rel=1e-4, abs=1e-5)

    def test_a_caricature_of_a_picture_is_1_for_the_picture_and_2_for_twice_its_features(self) -> None:
        made = o.caricature("l", torch.rand(1, 3, 8, 8), "b")
        twice = Activations({"l": torch.cat([B, 2 * B, -B])}, SEEN.references)
        assert made.score(twice).tolist() == pytest.approx([1, 2, -0.1], rel=1e-4)

    def test_likeness_is_0_for_the_picture_and_less_elsewhere(self) -> None:
        made = o.likeness("l", torch.rand(1, 3, 8, 8), "b")
        assert made.score(Activations({"l": torch.cat([B, 0 * B])}, SEEN.references)).tolist() == pytest.approx([0, -1])

    def test_diversity_is_less_the_sum_of_cosines_of_the_others_gram_matrices(self) -> None:
        grams = [(a.flatten(1) @ a.flatten(1).T).flatten() for a in A]
        expected = [
            -sum(float(torch.cosine_similarity(g, h, dim=0)) for j, h in enumerate(grams) if j != i)
            for i, g in enumerate(grams)
        ]
        assert o.diversity("l").score(SEEN).tolist() == pytest.approx(expected, rel=1e-4)
        same = Activations({"l": A[:1].expand(3, -1, -1, -1)})
        assert o.diversity("l").score(same).tolist() == pytest.approx([-2, -2, -2], rel=1e-4)

    def test_alignment_counts_neighbours_more_than_what_is_further_away(self) -> None:
        flat = A.flatten(1)
        size = float(flat.square().sum(1).mean())
        expected = [
            -sum(float((flat[i] - flat[j]).square().sum()) * 2.0 ** -abs(i - j) for j in range(3)) / size
            for i in range(3)
        ]
        assert o.alignment("l").score(SEEN).tolist() == pytest.approx(expected, rel=1e-3)

    def test_interpolation_goes_from_one_objective_to_the_other(self) -> None:
        between = o.interpolate(o.channel("l", 0), o.channel("l", 1)).score(SEEN)
        first, last = A[0, 0].mean(), A[2, 1].mean()
        middle = (A[1, 0].mean() + A[1, 1].mean()) / 2
        torch.testing.assert_close(between, torch.stack([first, middle, last]))


class TestAlgebra:
    def test_objectives_add_subtract_and_are_weighed(self) -> None:
        a, b = o.channel("l", 0), o.channel("l", 1)
        whole = 2 * a - b * 0.5 + -a
        torch.testing.assert_close(whole.score(SEEN), a.score(SEEN) - 0.5 * b.score(SEEN))

    def test_the_text_of_a_sum_means_the_same_sum(self) -> None:
        vgg = network()
        features = {"conv2_1": torch.randn(2, 6, 3, 3), "conv1_1": torch.randn(2, 4, 3, 3)}
        a, b, c = o.channel("conv2_1", 5), o.neuron("conv1_1", 0, 1, 2), o.layer("conv1_1")
        for made in (a - 0.5 * (b + c), -(a - b), 2 * (a - b) + c, a - (b - c), a - (b + c)):
            torch.testing.assert_close(
                parse(made.text, vgg).score(Activations(features)), made.score(Activations(features))
            )

    def test_each_picture_of_a_batch_has_its_own(self) -> None:
        made = o.each([o.channel("l", 4), o.neuron("l", 0), o.caricature("l", B[:, :3], "b")])
        alone = [o.channel("l", 4).score(SEEN)[0], o.neuron("l", 0).score(SEEN)[1]]
        assert torch.equal(made.score(SEEN)[:2], torch.stack(alone))
        assert (made.layers, list(made.references)) == ({"l"}, ["b"])


class TestText:
    def test_layers_channels_places_and_classes(self) -> None:
        vgg = network("gap")
        features = {"conv3_1": torch.randn(1, 8, 5, 5), OUTPUT: torch.randn(1, 3)}
        f = features["conv3_1"][0]
        assert scored("conv3_1:7", features, vgg) == pytest.approx([float(f[7].mean())])
        assert scored("conv3_1:7@center", features, vgg) == [float(f[7, 2, 2])]
        assert scored("conv3_1:7@0,4", features, vgg) == [float(f[7, 0, 4])]
        assert scored("class:2", features, vgg) == [float(features[OUTPUT][0, 2])]
        assert scored("-2*class:2 - .5*conv3_1:7@0,4", features, vgg) == pytest.approx(
            [-2 * float(features[OUTPUT][0, 2]) - 0.5 * float(f[7, 0, 4])]
        )

    def test_classes_are_found_by_names_with_spaces_and_hyphens(self) -> None:
        vgg = VGG(NARROW, head="gap", classes=1000).freeze()
        assert parse("class:Egyptian cat - class:hen-of-the-woods", vgg).text == (
            "class:Egyptian cat - class:hen-of-the-woods"
        )

    def test_files_are_directions_and_pictures(self, tmp_path: Path) -> None:
        np.save(tmp_path / "v.npy", np.arange(8.0))
        save_picture(torch.rand(1, 3, 20, 30), tmp_path / "a cat.png")
        features = {"conv3_1": torch.randn(1, 8, 5, 5)}
        assert scored(f"direction(conv3_1, {tmp_path / 'v.npy'})", features, network()) == pytest.approx(
            [float((features["conv3_1"] * torch.arange(8.0).view(1, 8, 1, 1)).sum(1).mean())], rel=1e-4
        )
        made = parse(f"caricature(conv3_1, {tmp_path / 'a cat.png'}) - diversity(conv2_1)", network())
        assert made.references["a cat.png"].shape == (1, 3, 20, 30)
        assert made.layers == {"conv3_1", "conv2_1"}

    def test_another_networks_layers_have_its_name_in_front(self) -> None:
        networks = {"": network(), "vgg16": network("gap")}
        made = parse("conv2_1:0 + 2*vgg16/class:1 + vgg16/conv1_1:3", networks)
        assert made.layers == {"conv2_1", "vgg16/", "vgg16/conv1_1"}
        seen = {"conv2_1": torch.ones(1, 6, 2, 2), "vgg16/": torch.ones(1, 3), "vgg16/conv1_1": torch.ones(1, 4, 2, 2)}
        assert made.score(Activations(seen)).tolist() == [4]

    def test_layers_of_any_module_are_paths(self) -> None:
        module = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Flatten())
        assert parse("0.0:3", module).layers == {"0.0"}
        with pytest.raises(SettingsError, match="no module of Sequential"):
            parse("0.1:3", module)

    def test_ranges_and_whole_layers_become_channels(self) -> None:
        networks = {"": network()}
        assert expand("conv3_1:5-7", networks) == ["conv3_1:5", "conv3_1:6", "conv3_1:7"]
        assert expand("conv1_1", networks, every=True) == [f"conv1_1:{i}" for i in range(4)]
        assert expand("conv1_1", networks) == ["conv1_1"]
        assert expand("conv1_1 - conv2_1", networks, every=True) == ["conv1_1 - conv2_1"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("conv33_1:2", "no layer 'conv33_1'.*did you mean 'conv3_1'"),
            ("conv3_1:8", "conv3_1 has no channel 8.*last one is 7"),
            ("conv3_1:x", "'x' is not a whole number"),
            ("conv3_1:", "not an objective"),
            ("", "not an objective"),
            ("conv3_1:1@middle", "not an objective.*LAYER:CHANNEL@center"),
            ("class:1", "has no classes"),
            ("vgg16/conv1_1:0", "no network 'vgg16'"),
            ("diversty(conv3_1)", "did you mean 'diversity'"),
            ("diversity(conv3_1, cat.jpg)", "write diversity.LAYER."),
            ("caricature(conv3_1)", "write caricature.LAYER, IMAGE."),
            ("interpolate(conv3_1:0)", "write interpolate.OBJECTIVE, OBJECTIVE."),
        ],
    )
    def test_what_makes_no_sense_is_told(self, text: str, message: str) -> None:
        with pytest.raises(SettingsError, match=message):
            parse(text, network())

    def test_a_decorated_function_is_known_to_the_parser(self) -> None:
        @text_form("strongest(LAYER)", "the strongest response of a layer")
        def strongest(layer: str) -> Objective:
            return Objective(frozenset({layer}), lambda seen: seen.features[layer].flatten(1).amax(1), "strongest")

        try:
            networks = {"": network(), "vgg16": network()}
            made = parse("2*strongest(vgg16/conv1_1) - strongest(vgg16/conv1_1)", networks)
            features = torch.randn(2, 4, 3, 3)
            torch.testing.assert_close(
                made.score(Activations({"vgg16/conv1_1": features})), features.flatten(1).amax(1)
            )
        finally:
            FORMS.pop()

    def test_the_documentation_lists_every_form(self) -> None:
        page = (Path(__file__).parents[1] / "docs" / "visualize.md").read_text()
        assert [form.text for form in FORMS if f"| `{form.text}` | {form.help} |" not in page] == []

    def test_backward_ranges_and_broken_files_are_told(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="write conv3_1:2-7"):
            expand("conv3_1:7-2", {"": network()})
        (tmp_path / "v.npy").write_text("no numbers")
        with pytest.raises(PictureError, match="can't be read"):
            parse(f"direction(conv3_1, {tmp_path / 'v.npy'})", network())
        np.save(tmp_path / "w.npy", np.zeros((2, 3)))
        with pytest.raises(SettingsError, match="one row"):
            parse(f"direction(conv3_1, {tmp_path / 'w.npy'})", network())

    @pytest.mark.parametrize(
        ("objective", "message"),
        [
            (o.neuron("l", 0, 4, 0), "4 x 6 positions"),
            (o.channel("l", 5), "no channel 5"),
            (o.direction("l", torch.ones(4)), "it has 5 channels"),
        ],
    )
    def test_what_only_running_tells(self, objective: Objective, message: str) -> None:
        with pytest.raises(SettingsError, match=message):
            objective.score(SEEN)
