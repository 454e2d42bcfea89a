"""Contact sheets: what lies where, and that nothing is lost, distorted or left out."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from vggapps.errors import PictureError, SettingsError
from vggapps.figures._sheet import contact_sheet, manifest


def flat(height: int, width: int, *rgb: float) -> Tensor:
    return torch.tensor(rgb or (0.2, 0.4, 0.6)).view(3, 1, 1).expand(3, height, width)


def cut(sheet: Tensor, box: list[int]) -> Tensor:
    left, top, right, bottom = box
    return sheet[0, :, top:bottom, left:right]


def boxes(pictures: list[Tensor], **options: int) -> list[list[int]]:
    return [tile["box"] for tile in manifest(pictures, [""] * len(pictures), **options)["tiles"]]


def test_each_picture_lies_unchanged_in_the_box_that_the_manifest_names() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.rand(3, *size, generator=generator) for size in ((100, 60), (64, 128), (128, 128), (50, 50))]
    labels = ["a", "b\nbelow", "c", ""]
    sheet = contact_sheet(pictures, labels, 3, "title").rgb
    listed = manifest(pictures, labels, columns=3, title="title")
    assert [sheet.shape[3], sheet.shape[2]] == listed["size"]
    for picture, tile in zip(pictures, listed["tiles"], strict=True):
        assert (cut(sheet, tile["box"]) - picture).abs().max() <= 0.5 / 255 + 1e-6


def test_beside_the_pictures_the_paper_is_white_and_letters_stand_below_their_own() -> None:
    pictures = [flat(96, 96)] * 4
    plain, labelled = (contact_sheet(pictures, labels, 2).rgb for labels in (["x"] * 4, ["x", "x", "x", "I"]))
    rows, columns = (plain != labelled).any(1)[0].nonzero().T
    left, _, right, bottom = boxes(pictures, columns=2)[3]
    assert left - 1 <= columns.min()  # soft edges of letters
    assert columns.max() < right
    assert bottom <= rows.min()
    assert (plain[0, :, 0] == 1).all()
    assert (plain[0, :, :, -1] == 1).all()


def test_cells_are_equal_and_in_reading_order() -> None:
    found = boxes([flat(100, 100)] * 6, columns=3)
    lefts, tops = ([box[side] for box in found] for side in (0, 1))
    assert lefts == lefts[:3] * 2
    assert lefts[1] - lefts[0] == lefts[2] - lefts[1] > 100
    assert tops == [tops[0]] * 3 + [tops[3]] * 3
    assert tops[3] - tops[0] > 100


@pytest.mark.parametrize("size", [(1000, 500), (300, 2000), (321, 321)])
def test_what_is_large_is_scaled_down_without_distortion(size: tuple[int, int]) -> None:
    ((left, top, right, bottom),) = boxes([flat(*size)])
    assert max(right - left, bottom - top) == 320
    assert (bottom - top) / (right - left) == pytest.approx(size[0] / size[1], rel=0.02)


def test_tiny_pictures_are_enlarged_by_one_whole_factor_their_pixels_as_squares() -> None:
    generator = torch.Generator().manual_seed(0)
    tiny = [torch.rand(3, 3, 3, generator=generator), torch.rand(3, 2, 3, generator=generator)]
    sheet, places = contact_sheet(tiny, ["", ""]).rgb, boxes(tiny)
    factors = {(right - left) / 3 for left, _, right, _ in places}
    assert len(factors) == 1
    factor = int(factors.pop())
    for picture, place in zip(tiny, places, strict=True):
        expected = torch.kron(picture, torch.ones(factor, factor))
        assert (cut(sheet, place) - expected).abs().max() <= 0.5 / 255 + 1e-6


def test_an_empty_place_stays_white_and_is_not_listed() -> None:
    pictures = [flat(96, 96), None, flat(96, 96)]
    listed = manifest(pictures, ["a", "", "c"], columns=3)
    assert [tile["label"] for tile in listed["tiles"]] == ["a", "c"]
    first, last = (tile["box"] for tile in listed["tiles"])
    sheet = contact_sheet(pictures, ["a", "", "c"], 3).rgb
    assert (sheet[0, :, :, first[2] : last[0]] == 1).all()


def test_facts_are_kept_and_the_list_is_json() -> None:
    listed = manifest([flat(96, 96)] * 2, ["a", "b"], [{"score": 1.5}, {"score": 2.5}], title="t")
    assert [tile["score"] for tile in json.loads(json.dumps(listed))["tiles"]] == [1.5, 2.5]


def test_words_that_are_too_long_stay_within_their_cell() -> None:
    pictures = [flat(96, 96)] * 2
    long = contact_sheet(pictures, ["a photo " * 30, ""], 2, title="a photo " * 30).rgb
    gap = boxes(pictures, columns=2)[0][2]
    assert long.shape[3] == 640 + 2 * 16  # a title may make a narrow sheet wider, up to here
    assert (long[0, :, -40:, gap:] == 1).all()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10, 17])
def test_by_default_it_is_about_as_high_as_wide(count: int) -> None:
    found = boxes([flat(96, 96)] * count)
    columns, rows = (len({box[side] for box in found}) for side in (0, 1))
    assert columns * rows >= count
    assert 0 <= columns - rows <= 3


@pytest.mark.parametrize(
    ("pictures", "labels"), [([], []), ([None], [""]), ([flat(9, 9)], []), ([flat(9, 9)], ["", ""])]
)
def test_wrong_arguments_are_told(pictures: list[Tensor | None], labels: list[str]) -> None:
    with pytest.raises(SettingsError):
        contact_sheet(pictures, labels)


def test_numbers_that_are_none_are_told() -> None:
    with pytest.raises(PictureError, match="NaN"):
        contact_sheet([torch.full((3, 96, 96), torch.nan)], [""])
