"""Atlases: what is alike lies together, and cells are means of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vggapps.datasets._reading import scaled_picture
from vggapps.errors import PictureError, SettingsError
from vggapps.image import open_picture, save_picture, square
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan
from vggapps.vgg._wrapped import as_network
from vggapps.visualization._atlas import Cell, atlas_sheet, cells, choose_layout, grid_side, lay_out, sample

NARROW = Plan("narrow", "N", ((4,), (4,), (6, 6), (6,), (6,)))
UMAP = pytest.param("umap", marks=pytest.mark.skipif(not find_spec("umap"), reason="umap-learn is not installed"))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def clusters(each: int = 20) -> tuple[Tensor, Tensor]:
    """Vectors of any length that point one of three ways, more or less; and which."""
    which = torch.arange(3).repeat(each)
    lengths = random(3 * each, 1).abs() + 0.5
    return lengths * (5 * torch.eye(16)[which] + 0.3 * random(3 * each, 16, seed=1)), which


@pytest.mark.parametrize("layout", ["pca", UMAP])
def test_what_points_the_same_way_lies_together(layout: str) -> None:
    vectors, which = clusters()
    places = lay_out(vectors, layout)
    assert places.shape == (60, 2)
    assert 0 <= places.min() < places.max() <= 1
    distances = torch.cdist(places, places)
    same = which[:, None] == which
    assert distances[same].mean() < 0.5 * distances[~same].mean()
    nearest = (distances + torch.eye(60)).argmin(1)
    assert (which[nearest] == which).float().mean() > 0.9
    assert torch.equal(lay_out(vectors, layout), places)


def test_principal_components_put_what_lies_on_an_arc_in_its_order_evenly() -> None:
    angles = torch.tensor([0.1, 0.9, 0.3, 0.31, 0.7])
    vectors = torch.stack([angles.cos(), angles.sin(), torch.zeros(5)], 1) * torch.tensor([3, 1, 9, 2, 5.0])[:, None]
    across = lay_out(vectors, "pca")[:, 0]
    order = torch.tensor([0, 1, 0.25, 0.5, 0.75])
    assert torch.equal(across, order) or torch.equal(across, 1 - order)


def test_principal_components_are_those_of_the_covariance() -> None:
    """Up to sign, by ranks, with an eigenvalue solver for a truth."""
    vectors = random(40, 7) * torch.arange(1, 8)
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    _, axes = torch.linalg.eigh(unit.T.cov().double())
    for column, axis in zip(lay_out(vectors, "pca").T, (axes[:, -1], axes[:, -2]), strict=True):
        ranks = (unit.double() @ axis).argsort().argsort() / 39
        assert torch.allclose(column, ranks, atol=1e-6) or torch.allclose(column, 1 - ranks, atol=1e-6)


def test_vectors_of_zeros_are_laid_out_too() -> None:
    assert not lay_out(torch.zeros(5, 4), "pca").isnan().any()


def test_cells_have_the_mean_of_their_members_less_that_of_all() -> None:
    places = torch.tensor([[0.1, 0.1], [0.4, 0.2], [0.9, 0.1], [1.0, 1.0], [0.6, 0.9], [0.7, 0.6]])
    vectors = random(6, 4)
    found = cells(places, vectors, 2)
    assert [(c.row, c.column, c.members) for c in found] == [(0, 0, (0, 1)), (1, 1, (3, 4, 5))]
    torch.testing.assert_close(found[0].vector, (vectors[0] + vectors[1]) / 2 - vectors.mean(0))
    assert [(c.row, c.column) for c in cells(places, vectors, 2, 1)] == [(0, 0), (0, 1), (1, 1)]
    for grid, least in ((2, 9), (0, 1)):
        with pytest.raises(SettingsError):
            cells(places, vectors, grid, least)


def test_cells_of_clusters_point_the_ways_of_the_clusters() -> None:
    vectors, which = clusters()
    for cell in cells(lay_out(vectors, "pca"), vectors, 4, 3):
        kinds = which[list(cell.members)]
        if len(kinds.unique()) == 1:
            assert int(cell.vector[:3].argmax()) == int(kinds[0])


def test_the_grid_grows_with_the_pictures() -> None:
    assert [grid_side(n) for n in (1, 16, 143, 400, 10000)] == [1, 2, 6, 10, 10]


def test_layouts_have_names() -> None:
    assert choose_layout("pca", 3) == "pca"
    assert choose_layout("auto", 100) == ("umap" if find_spec("umap") else "pca")
    for layout, pictures in (("tsne", 100), ("pca", 2)):
        with pytest.raises(SettingsError):
            choose_layout(layout, pictures)


def test_without_umap_its_name_is_an_error_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vggapps.visualization._atlas.find_spec", lambda name: None)
    assert choose_layout("auto", 100) == "pca"
    with pytest.raises(SettingsError, match="pip install"):
        choose_layout("umap", 100)


@pytest.fixture
def folder(tmp_path: Path) -> list[str]:
    paths = []
    for number in range(9):
        coarse = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(number))
        image = torch.nn.functional.interpolate(coarse, size=(40, 60 + number), mode="bilinear")
        paths.append(str(save_picture(image, tmp_path / f"{number}.png")))
    return paths


def test_each_picture_gives_one_of_its_positions(folder: list[str], tmp_path: Path) -> None:
    vgg = initialize(VGG(NARROW, head="none"), "glorot", seed=3).freeze()
    (tmp_path / "torn.png").write_bytes(b"torn")
    torn = str(tmp_path / "torn.png")
    found = sample(vgg, "conv4_1", [*folder, torn], seed=1)
    assert (found.paths, found.failed) == (tuple(folder), (torn,))
    for path, vector in zip(found.paths, found.vectors, strict=True):
        map_ = vgg.features(scaled_picture(path, 224), ["conv4_1"])["conv4_1"][0].flatten(1)
        assert (vector == map_.T).all(1).any()
    assert torch.equal(sample(vgg, "conv4_1", folder, seed=1).vectors, found.vectors)
    assert not torch.equal(sample(vgg, "conv4_1", folder, seed=2).vectors, found.vectors)
    with pytest.raises(SettingsError):
        sample(vgg, "conv9_1", folder)
    with pytest.raises(PictureError):
        sample(vgg, "conv4_1", [torn])


def test_beside_what_was_made_for_a_cell_is_the_photo_that_is_most_like_it(folder: list[str]) -> None:
    vgg = initialize(VGG(NARROW, head="none"), "glorot", seed=3).freeze()
    found = sample(vgg, "conv3_1", folder)
    many, few = tuple(range(6)), (6, 7)
    common = found.vectors.mean(0)
    shown = [Cell(0, 0, many, found.vectors[list(many)].mean(0) - common),
             Cell(1, 1, few, found.vectors[list(few)].mean(0) - common)]  # fmt: skip
    picture, facts = atlas_sheet(found, shown, [torch.zeros(1, 3, 48, 48)] * 2, 2, vgg, "conv3_1")
    assert [fact["count"] for fact in facts] == [6, 2]
    for cell, fact in zip(shown, facts, strict=True):
        own = found.vectors[list(cell.members)] - common
        chosen = cell.members[int((own @ cell.vector / own.norm(dim=1)).argmax())]
        assert fact["photo"] == folder[chosen]
        row, column, _ = found.places[chosen]
        image = scaled_picture(folder[chosen], 224)
        assert torch.equal(vgg.features(image, ["conv3_1"])["conv3_1"][0, :, row, column], found.vectors[chosen])
        left, top, right, bottom = as_network(vgg).receptive_boxes("conv3_1")(row, column, found.places[chosen][2])
        expected = square(image[:, :, top:bottom, left:right], 48)
        left, top, right, bottom = fact["photo_box"]
        assert torch.allclose(picture.rgb[:, :, top:bottom, left:right], expected, atol=1 / 255)
    black = []
    for fact in facts:
        left, top, right, bottom = fact["box"]
        black.append(int((picture.rgb[0, 0, top:bottom, left:right] == 0).sum()))
    assert black[0] == 48 * 48
    assert black[1] == pytest.approx(48 * 48 * 2 / 6, rel=0.05)  # the fewer, the smaller, by area


def test_the_command_draws_the_same_map_again(folder: list[str], tmp_path: Path, cli: Callable[..., Any]) -> None:
    words = ["atlas", *folder, "--layer", "conv2_1", "--layout", "pca", "--grid", 2, "--steps", 2, "--size", 16]
    first, second = tmp_path / "map.png", tmp_path / "again.png"
    ran = cli(*words, "--json", "-o", first)
    assert ran.code == 0, ran.err
    *lines, last = [json.loads(line) for line in ran.out.splitlines()]
    assert (last["total"]["rows"], last["total"]["pictures"]) == (len(lines), len(folder))
    listed = [path for line in lines for path in line["paths"]]
    assert len(listed) == len(set(listed)) == sum(line["count"] for line in lines)
    assert set(listed) <= set(folder)
    drawn = open_picture(first).rgb
    for line in lines:
        assert line["photo"] in line["paths"]
        for left, top, right, bottom in (line["box"], line["photo_box"]):
            assert (drawn[:, :, top:bottom, left:right] < 1).any()
            drawn[:, :, top:bottom, left:right] = 1
    letters = (drawn < 1).any(1).float().mean()
    assert 0 < letters < 0.05  # the title, counts and names
    assert cli(*words, "-o", second, "-q").code == 0
    assert second.read_bytes() == first.read_bytes()
    assert cli(*words, "-o", second).code == 4
    assert cli(*words[:-6], "--layout", "tsne", "-o", tmp_path / "no.png").code == 2
