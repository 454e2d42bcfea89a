"""Exemplars against a slow search, and what a position sees against what moves it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vggapps.datasets._reading import scaled_picture
from vggapps.errors import PictureError, SettingsError
from vggapps.image import open_picture, read_settings, save_picture
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan
from vggapps.vgg._wrapped import as_network
from vggapps.visualization._retrieval import Exemplar, Exemplars, captions, exemplar_sheet, exemplars, patches_of

NARROW = Plan("narrow", "N", ((4,), (4,), (6, 6), (6,), (6,)), pointwise=("conv3_2",))
SIZES = [(240, 300), (300, 240), (224, 224), (100, 130), (230, 460)]


def network(**options: Any) -> VGG:
    return initialize(VGG(NARROW, head="none", **options), "glorot", seed=3).freeze()


def positive(**options: Any) -> VGG:
    """Whatever grows in the picture grows everywhere behind it."""
    vgg = network(**options)
    for parameter in vgg.parameters():
        parameter.data.abs_()
    return vgg.double()


@pytest.fixture
def folder(tmp_path: Path) -> list[str]:
    generator, paths = torch.Generator().manual_seed(5), []
    for number in range(7):
        coarse = torch.rand(1, 3, 8, 8, generator=generator)
        image = torch.nn.functional.interpolate(coarse, size=SIZES[number % len(SIZES)], mode="bilinear")
        paths.append(str(save_picture(image, tmp_path / f"{number}.png")))
    return paths


@pytest.mark.parametrize("layer", ["conv2_1", "relu3_2", "pool5"])
def test_the_strongest_are_those_of_a_slow_search(folder: list[str], layer: str) -> None:
    vgg = network()
    found = exemplars(vgg, layer, folder, top=3)
    assert found.pictures == len(folder)
    maps = {path: vgg.features(scaled_picture(path, 224), [layer])[layer][0].numpy() for path in folder}
    moved = 0
    for channel, best in found.by_channel.items():
        peaks = []
        for path in folder:
            map_ = maps[path][channel]
            row, column = np.unravel_index(map_.argmax(), map_.shape)
            peaks.append((float(map_.max()), path, row, column))
        expected = sorted((p for p in peaks if p[0]), key=lambda p: -p[0])[:3]
        assert [(e.path, e.row, e.column) for e in best] == [p[1:] for p in expected]
        assert [e.activation for e in best] == pytest.approx([p[0] for p in expected], rel=1e-5)
        moved += bool(best)
    assert moved > len(found.by_channel) / 2


def test_only_the_channels_that_are_asked_for(folder: list[str]) -> None:
    vgg = network()
    every, some = exemplars(vgg, "conv3_1", folder), exemplars(vgg, "conv3_1", folder, [4, 1])
    assert list(some.by_channel) == [4, 1]
    assert some.by_channel == {channel: every.by_channel[channel] for channel in (1, 4)}


@pytest.mark.parametrize("pooling", ["max", "average", "hann"])
@pytest.mark.parametrize("layer", ["conv1_1", "pool1", "conv2_1", "conv3_2", "relu4_1", "pool4"])
def test_what_lies_outside_of_the_box_moves_nothing_and_each_of_its_sides_does(layer: str, pooling: Any) -> None:
    """Whatever is arithmetic about it, this is what it means."""
    vgg = positive(pooling=pooling)
    size = (96, 112)
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sees, before = as_network(vgg).receptive_boxes(layer), vgg.features(image, [layer])[layer]
    height, width = before.shape[2:]
    for row, column in [(0, 0), (height // 2, width // 2), (height - 1, 1), (1, width - 1)]:
        left, top, right, bottom = sees(row, column, size)
        assert 0 <= left < right <= size[1]
        assert 0 <= top < bottom <= size[0]

        def moved(region: Tensor, row: int = row, column: int = column) -> bool:
            other = vgg.features(torch.where(region, image + 100, image), [layer])[layer]
            return not torch.equal(other[:, :, row, column], before[:, :, row, column])

        inside = torch.zeros(size, dtype=torch.bool)
        inside[top:bottom, left:right] = True
        assert not moved(~inside)
        for side in ((top, slice(left, right)), (bottom - 1, slice(left, right)), (slice(top, bottom), left)):
            assert moved(torch.zeros(size, dtype=torch.bool).index_put_(_grid(side, size), torch.tensor(True)))
        assert moved(
            torch.zeros(size, dtype=torch.bool).index_put_(
                _grid((slice(top, bottom), right - 1), size), torch.tensor(True)
            )
        )


def _grid(side: tuple[Any, Any], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    rows, columns = (torch.arange(n)[part].reshape(-1) for n, part in zip(size, side, strict=True))
    return tuple(torch.meshgrid(rows, columns, indexing="ij"))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("plan", "layer", "side"),
    [("vgg19", "conv3_1", 24), ("vgg19", "conv4_4", 116), ("vgg19", "conv5_4", 252), ("vgg16", "conv5_3", 196)],
)
def test_fields_have_their_known_sides(plan: str, layer: str, side: int) -> None:
    left, top, right, bottom = as_network(VGG(plan, head="none")).receptive_boxes(layer)(30, 40, (1024, 1024))
    assert (right - left, bottom - top) == (side, side)


def test_what_has_no_positions_sees_everything() -> None:
    vgg = VGG(NARROW, head="gap", classes=5)
    assert as_network(vgg).receptive_boxes("fc8")(0, 0, (64, 80)) == (0, 0, 80, 64)
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 4)).eval()
    assert as_network(module).receptive_boxes("3")(0, 0, (20, 30)) == (0, 0, 30, 20)


def test_of_other_modules_the_gradient_tells_the_same_as_the_arithmetic() -> None:
    """Also where all ReLUs are silent, and where a maximum is taken."""
    vgg = network()
    modules, names = [], []
    for name, child in vgg.named_children():
        modules.append(nn.MaxPool2d(2) if name.startswith("pool") else nn.ReLU(True) if "relu" in name else child)
        names.append(name)
    for module in modules:
        if isinstance(module, nn.Conv2d):
            module.bias.data.fill_(-100)  # type: ignore[union-attr]
    other = nn.Sequential(*modules).eval()
    for layer in ("conv2_1", "conv3_2", "pool3"):
        exact, traced = (
            as_network(vgg).receptive_boxes(layer),
            as_network(other).receptive_boxes(str(names.index(layer))),
        )
        for place in ((0, 0), (5, 7), (3, 1)):
            assert traced(*place, (64, 80)) == exact(*place, (64, 80))
    assert isinstance(other[1], nn.ReLU)
    assert not any(module._forward_hooks for module in other.modules())


def test_crops_are_what_the_boxes_name(folder: list[str]) -> None:
    found = exemplars(network(), "conv4_1", folder, [0, 1], top=4)
    best = [one for row in found.by_channel.values() for one in row]
    patches = patches_of(best)
    for one in best:
        image = scaled_picture(one.path, 224)
        assert image.shape[2:] == one.size
        assert min(one.size) == 224
        left, top, right, bottom = one.box
        assert torch.equal(patches[one], image[:, :, top:bottom, left:right])


def test_what_can_not_be_read_is_told_and_left_out(
    folder: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8 no picture")
    torn = str(tmp_path / "torn.jpg")
    with caplog.at_level(logging.WARNING):
        found = exemplars(network(), "conv2_1", [folder[0], torn, *folder[1:]], top=3)
    assert found.failed == (torn,)
    assert "torn.jpg" in caplog.text
    assert found.by_channel == exemplars(network(), "conv2_1", folder, top=3).by_channel
    with pytest.raises(PictureError):
        exemplars(network(), "conv2_1", [torn])


def test_a_channel_that_nothing_moves_has_none(folder: list[str]) -> None:
    vgg = network()
    vgg.conv2_1.weight.data[1] = 0  # type: ignore[union-attr, operator]
    found = exemplars(vgg, "relu2_1", folder[:3])
    assert not found.by_channel[1]
    assert exemplar_sheet(found, "relu2_1", 9).size[0] > 0


def test_wrong_words_are_told_before_any_picture_is_read() -> None:
    for layer, channels, top in (("conv9_1", None, 9), ("conv2_1", [4], 9), ("conv2_1", [-1], 9), ("conv2_1", None, 0)):
        with pytest.raises(SettingsError):
            exemplars(network(), layer, ["there is no such picture"], channels, top)


def test_below_each_patch_stand_its_number_its_file_and_why_it_is_smaller() -> None:
    def one(name: str, activation: float, box: tuple[int, int, int, int]) -> Exemplar:
        return Exemplar(f"photos/{name}", activation, 0, 0, box, (224, 300))

    whole, corner = one("a.jpg", 14208.3, (10, 20, 42, 52)), one("b.jpg", 0.51234, (0, 0, 20, 32))
    everything = one("c.jpg", 7.0, (0, 0, 300, 224))
    assert captions(Exemplars({3: [whole, corner]}, 2)) == {
        whole: ("14,208", "a.jpg"),
        corner: ("0.512", "b.jpg", "at the border"),
    }
    assert captions(Exemplars({3: [everything]}, 1)) == {everything: ("7", "c.jpg")}  # nothing was cut


def test_the_command_prints_draws_and_reports(folder: list[str], tmp_path: Path, cli: Callable[..., Any]) -> None:
    small = [str(save_picture(open_picture(path).rgb[:, :, :64, :48], tmp_path / f"s{i}.png")) for i, path in
             enumerate(folder[:3])]  # fmt: skip
    out, page = tmp_path / "sheet.png", tmp_path / "page.html"
    words = [
        "exemplars",
        *small,
        "--layer",
        "conv2_1",
        "--channel",
        "3,100",
        "--top",
        2,
        "--dtype",
        "float32",
        "--steps",
        2,
        "--size",
        16,
    ]
    ran = cli(*words, "--json", "-o", out, "--report", page)
    assert ran.code == 0, ran.err
    *lines, last = [json.loads(line) for line in ran.out.splitlines()]
    assert [line["channel"] for line in lines] == [3, 100]
    assert last["total"] == {"rows": 2, "pictures": len(small), "failed": 0}
    assert all(len(line["exemplars"]) == 2 and line["exemplars"][0]["path"] in small for line in lines)
    recorded = read_settings(out)
    assert recorded is not None
    assert recorded["settings"]["channel"] == ["3", "100"]  # type: ignore[index, call-overload]
    html = page.read_text()
    assert html.count('src="data:image/jpeg;base64,') == 2 * 3
    assert "http" not in html
    first = out.read_bytes()
    assert cli(*words, "-o", out).code == 4
    assert cli(*words, "-o", out, "-f").code == 0
    assert out.read_bytes() == first
    for wrong, code in ((["--channel", "all"], 2), (["--channel", "twelve"], 2), (["--channel", "999"], 2)):
        assert cli("exemplars", *small, "--layer", "conv2_1", *wrong, "-o", tmp_path / "other.png").code == code
