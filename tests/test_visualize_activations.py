"""Maps, filters, icons at their places, and how far natural pictures go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.functional import center_crop

from vggapps.datasets._reading import scaled_picture
from vggapps.errors import PictureError, SettingsError
from vggapps.image import open_picture, read_settings, save_picture
from vggapps.vgg._facts import layer_facts
from vggapps.vgg._hooks import OUTPUT
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan
from vggapps.visualization._activations import (
    average_cells,
    cell_mosaic,
    first_filters,
    map_picture,
    map_sheet,
    maps_of,
    mosaic,
    strongest,
    visualize_vectors,
)
from vggapps.visualization._natural import load_natural, maxima, natural_maximum, save_natural
from vggapps.visualization._settings import VisualizeSettings
from vggapps.weights._load import load_vgg

NARROW = Plan("narrow", "N", ((4,), (4,), (6, 6), (6,), (6,)))


def network(**options: Any) -> VGG:
    return initialize(VGG(NARROW, classes=5, **({"head": "gap"} | options)), "glorot", seed=3).freeze()


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return save_picture(nn.functional.interpolate(noise(1, 3, 9, 12), size=(90, 120)), tmp_path / "photo.png")


def test_the_strongest_channels_are_those_with_the_largest_maxima() -> None:
    maps = noise(7, 5, 6)
    maps[2, 4, 1], maps[5, 0, 3], maps[0, 2, 2] = 9, 8, 7
    found = strongest(maps, 3)
    assert [(a.channel, a.maximum, a.row, a.column) for a in found] == [(2, 9, 4, 1), (5, 8, 0, 3), (0, 7, 2, 2)]
    assert [a.mean for a in found] == pytest.approx([float(maps[c].sum()) / 30 for c in (2, 5, 0)])
    assert len(strongest(maps, 99)) == 7
    with pytest.raises(SettingsError):
        strongest(maps, 0)


def test_maps_are_the_networks_own_of_any_layer() -> None:
    vgg, image = network(), noise(1, 3, 64, 96)
    assert torch.equal(maps_of(vgg, "conv3_2", image), vgg.features(image, ["conv3_2"])["conv3_2"][0])
    assert torch.equal(maps_of(vgg, "fc8", image)[:, 0, 0], vgg(image)[0])


def test_a_map_is_drawn_in_squares_and_what_is_not_positive_is_darkest() -> None:
    drawn = map_picture(torch.tensor([[-1.0, 0.0], [1.0, 2.0]]), (40, 60))
    corners = drawn[0, :, [0, 0, 39, 39], [0, 59, 0, 59]].T
    assert torch.equal(corners[0], corners[1])
    luminance = corners @ torch.tensor([0.21, 0.72, 0.07])
    assert luminance[1] < luminance[2] < luminance[3]
    assert len(drawn[0].flatten(1).unique(dim=1).T) == 3
    assert torch.equal(map_picture(torch.zeros(2, 2), (4, 4)), map_picture(-torch.ones(2, 2), (4, 4)))


def test_on_a_common_scale_only_the_strongest_map_is_brightest() -> None:
    maps = torch.zeros(3, 4, 4)
    maps[1, 0, 0], maps[2, 0, 0] = 4, 2
    image = noise(1, 3, 100, 100)

    def brightest(*, common: bool) -> list[float]:
        sheet, facts = map_sheet(image, maps, "relu1_1", 2, common=common)
        assert [one["channel"] for one in facts] == [1, 2]
        found = []
        for left, top, right, bottom in (one["box"] for one in facts):  # type: ignore[misc]
            found.append(float(sheet.rgb[0, :, top:bottom, left:right].mean(0).max()))
        return found

    strong, weak = brightest(common=True)
    assert weak < strong - 0.05
    assert len(set(brightest(common=False))) == 1


def test_filters_are_the_weights_grey_where_these_are_zero() -> None:
    vgg = load_vgg("vgg19", head="none")
    weights, filters = vgg.conv1_1.weight.detach(), first_filters(vgg)
    assert filters.shape == (64, 3, 3, 3)
    assert (filters - 0.5).abs().max() == 0.5
    ratio = (filters - 0.5) / weights
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-3, atol=0)  # one scale for all
    assert first_filters(nn.Sequential(nn.ReLU(), nn.Conv2d(3, 5, 7))).shape == (5, 3, 7, 7)
    with pytest.raises(SettingsError):
        first_filters(nn.Linear(3, 2))


def test_filters_are_in_the_pictures_own_colours() -> None:
    """The derivative of the layer by the picture, which knows of no convention."""
    vgg = load_vgg("vgg16", None, head="none")
    image = noise(1, 3, 3, 3).requires_grad_()
    slopes = []
    for channel in range(8):
        out = vgg.features(image, ["conv1_1"])["conv1_1"][0, channel, 1, 1]
        slopes.append(torch.autograd.grad(out, image)[0][0])
    drawn = first_filters(vgg)[:8] - 0.5
    cosines = torch.cosine_similarity(torch.stack(slopes).flatten(1), drawn.flatten(1))
    torch.testing.assert_close(cosines, torch.ones(8))


@pytest.mark.parametrize(
    ("height", "width", "most", "shape"), [(14, 21, 7, (5, 7)), (4, 3, 8, (4, 3)), (30, 1, 5, (5, 1))]
)
def test_cells_average_what_they_cover(height: int, width: int, most: int, shape: tuple[int, int]) -> None:
    maps = noise(3, height, width)
    cells = average_cells(maps, most)
    assert cells.shape[1:] == shape
    rows, columns = -(-height // shape[0]), -(-width // shape[1])
    torch.testing.assert_close(cells[:, 0, 0], maps[:, :rows, :columns].mean((1, 2)))


def test_weaker_cells_are_smaller_and_sit_in_the_middle_of_their_place() -> None:
    cells = torch.zeros(5, 1, 2)
    cells[0, 0, 0], cells[:, 0, 1] = 4, 1 / 5**0.5
    black = [torch.zeros(1, 3, 20, 20)] * 2
    drawn, facts, boxes = cell_mosaic(black, cells)
    assert boxes == [(0, 0, 20, 20), (20, 0, 40, 20)]
    assert [one["norm"] for one in facts] == pytest.approx([4, 1])
    ink = 1 - drawn[0, 0]
    assert ink[:, :20].sum() == 400
    assert ink[:, 20:].sum() == 100
    assert torch.equal(ink[:, 20:], ink[:, 20:].flip(0))
    assert torch.equal(ink[:, 20:], ink[:, 20:].flip(1))
    assert not cell_mosaic(black, torch.zeros(5, 1, 2))[0].isnan().any()


def test_a_mosaic_is_white_where_nothing_is() -> None:
    tiles = [torch.zeros(1, 3, 4, 4), None, None, torch.full((1, 3, 4, 4), 0.5)]
    drawn = mosaic(tiles, 2)[0, 0]
    assert [float(drawn[r, c]) for r, c in ((0, 0), (0, 7), (7, 0), (7, 7))] == [0, 1, 1, 0.5]


def test_an_icon_points_its_layer_where_it_was_told() -> None:
    vgg = network(head="none")
    vectors = [noise(6) - 0.5, 0.5 - noise(6)]
    settings = VisualizeSettings(size=32, steps=24)
    made = list(visualize_vectors(vectors, "conv3_1", vgg, settings))
    reached = [vgg.features(icon, ["conv3_1"])["conv3_1"][0].mean((1, 2)) for icon in made]
    grey = vgg.features(torch.full((1, 3, 32, 32), 0.5), ["conv3_1"])["conv3_1"][0].mean((1, 2))
    for vector, own, other in zip(vectors, reached, reversed(reached), strict=True):
        assert vector @ own > vector @ other
        assert vector @ own > vector @ grey


def test_maxima_are_those_of_one_picture_after_another(tmp_path: Path) -> None:
    vgg, paths = network(), []
    for number in range(10):
        size = (230 + 10 * number, 300)
        image = nn.functional.interpolate(noise(10, 3, 6, 6)[number : number + 1], size=size)
        paths.append(save_picture(image, tmp_path / f"{number}.png"))
    (tmp_path / "torn.png").write_bytes(b"torn")
    found = maxima(vgg, [*paths, tmp_path / "torn.png"], ["conv2_1", OUTPUT])
    means, peaks, scores = [], [], []
    for path in paths:
        image = scaled_picture(path, 256)
        square = center_crop(image, [224, 224])
        map_ = vgg.features(square, ["conv2_1"])["conv2_1"][0]
        means.append(map_.mean((1, 2)))
        peaks.append(map_.amax((1, 2)))
        scores.append(vgg(square)[0])
    torch.testing.assert_close(found["conv2_1"].mean, torch.stack(means).amax(0))
    torch.testing.assert_close(found["conv2_1"].peak, torch.stack(peaks).amax(0))
    torch.testing.assert_close(found[OUTPUT].mean, torch.stack(scores).amax(0))
    save_natural(found, tmp_path / "n.safetensors", vgg, len(paths))
    again = load_natural(tmp_path / "n.safetensors")
    assert set(again) == {"conv2_1", OUTPUT}
    torch.testing.assert_close(again["conv2_1"].peak, found["conv2_1"].peak, rtol=1e-3, atol=1e-3)
    with pytest.raises(PictureError):
        maxima(vgg, [tmp_path / "torn.png"], ["conv2_1"])
    with pytest.raises(PictureError):
        load_natural(tmp_path / "torn.png")


def test_the_shipped_maxima_are_of_all_convolutions_and_classes() -> None:
    shipped = load_natural()
    channels = {f.name: f.shape[0] for f in layer_facts("vgg19", head="none") if f.kind in ("conv", "relu")}
    assert {name: len(natural.peak) for name, natural in shipped.items()} == {**channels, OUTPUT: 1000}
    for name in channels:
        assert (shipped[name].peak >= shipped[name].mean).all()
        if name.startswith("conv"):
            after = shipped[name.replace("conv", "relu")]
            torch.testing.assert_close(after.peak, shipped[name].peak.relu())
            assert (after.mean >= shipped[name].mean * 0.999).all()


@pytest.mark.parametrize(
    ("text", "layer", "index", "part"),
    [
        ("conv4_3:12", "relu4_3", 12, "mean"),
        ("conv3_1:7@center", "conv3_1", 7, "peak"),
        ("relu5_1:7@3,5", "relu5_1", 7, "peak"),
        ("class:tabby", OUTPUT, 281, "mean"),
    ],
)
def test_activations_are_compared_with_the_photographs_own(text: str, layer: str, index: int, part: str) -> None:
    found = natural_maximum(text)
    assert found is not None
    assert found[0].layers == {layer}
    assert found[1] == float(getattr(load_natural()[layer], part)[index])


@pytest.mark.parametrize(
    "text",
    [
        *("conv4_3", "conv4_3:1 + conv4_3:2", "0.5*conv4_3:1", "pool1:1", "conv4_3:512", "vgg16/conv4_3:1"),
        *("class:unicorn", "class:tabby + class:tench", "diversity(conv1_1)"),
    ],
)
def test_where_there_is_nothing_to_compare_with_nothing_is_said(text: str) -> None:
    assert natural_maximum(text) is None


def test_other_networks_are_not_compared() -> None:
    assert natural_maximum("conv1_1:1", load_vgg("vgg19", head="none")) is not None
    assert natural_maximum("conv1_1:1", load_vgg("vgg19", head="none", pooling="average")) is None
    assert natural_maximum("conv1_1:1", network()) is None
    assert natural_maximum("conv1_1:1", nn.Linear(1, 1)) is None


def test_the_command_draws_maps_places_and_filters(photo: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    out = [tmp_path / f"{i}.png" for i in range(4)]
    ran = cli("activations", photo, "--layer", "relu2_1", "--channels", 5, "--json", "-o", out[0])
    assert ran.code == 0, ran.err
    maxima_ = [json.loads(line)["max"] for line in ran.out.splitlines()[:-1]]
    assert json.loads(ran.out.splitlines()[-1])["total"]["rows"] == 5
    assert len(maxima_) == 5
    assert maxima_ == sorted(maxima_, reverse=True)
    recorded = read_settings(out[0])
    assert recorded is not None
    assert recorded["settings"]["layer"] == "relu2_1"  # type: ignore[index, call-overload]
    places = ["activations", photo, "--layer", "conv2_1", "--grid", 2, "--steps", 2, "--size", 16]
    for target in out[1:3]:
        assert cli(*places, "-o", target, "-q").code == 0
    assert out[1].read_bytes() == out[2].read_bytes()
    listed = [json.loads(line) for line in cli(*places, "--json", "--force", "-o", out[1]).out.splitlines()[:-1]]
    assert [(one["row"], one["column"]) for one in listed] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    drawn, beside = open_picture(out[1]).rgb, open_picture(photo).rgb
    left, top, right, bottom = listed[0]["box"]
    side = right - left
    assert side == bottom - top
    assert listed[3]["box"] == [left + side, top + side, right + side, bottom + side]
    # The photo is as high as the grid.
    shown = drawn[:, :, top : top + 2 * side, 16 : 16 + round(2 * side * 120 / 90)]
    assert torch.allclose(shown.mean((2, 3)), beside.mean((2, 3)), atol=0.02)
    half = shown.shape[3] // 2
    assert torch.allclose(shown[..., :half].mean((2, 3)), beside[..., :60].mean((2, 3)), atol=0.03)
    assert cli("activations", "--filters", "-o", out[3]).code == 0
    assert cli("activations", "--filters", "-o", out[3]).code == 4
    assert cli("activations", "--filters", photo).code == 2
    assert cli("activations", photo, "--scale", "mine").code == 2
    assert cli("activations", photo, "--layer", "conv9_9", "-o", tmp_path / "no.png").code == 2
