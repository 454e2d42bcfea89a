"""Boxes: compared, merged, scored, made of maps and read from tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from vggapps.classification._boxes import Box, box_of, iou, match, merge, overlaps, read_boxes
from vggapps.errors import SettingsError

SMALL = st.integers(-50, 50)


def boxes() -> st.SearchStrategy[Box]:
    side = st.integers(1, 60)
    return st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), SMALL, SMALL, side, side)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (Box(0, 0, 2, 2), Box(0, 0, 2, 2), 1),
        (Box(0, 0, 2, 2), Box(1, 1, 3, 3), 1 / 7),
        (Box(0, 0, 4, 4), Box(1, 1, 3, 3), 4 / 16),
        (Box(0, 0, 2, 2), Box(2, 0, 4, 2), 0),
        (Box(0, 0, 2, 2), Box(5, 5, 6, 6), 0),
        (Box(1, 1, 1, 1), Box(1, 1, 1, 1), 0),
        (Box(3, 0, 1, 2), Box(0, 0, 4, 4), 0),
    ],
)
def test_iou_is_the_shared_area_over_the_covered_one(a: Box, b: Box, expected: float) -> None:
    assert iou(a, b) == iou(b, a) == pytest.approx(expected)


@given(boxes(), boxes())
def test_iou_of_whole_boxes_counts_pixels(a: Box, b: Box) -> None:
    painted = np.zeros((2, 170, 170), bool)
    for layer, box in zip(painted, (a, b), strict=True):
        layer[int(box.top) + 50 : int(box.bottom) + 50, int(box.left) + 50 : int(box.right) + 50] = True
    assert iou(a, b) == pytest.approx((painted[0] & painted[1]).sum() / (painted[0] | painted[1]).sum())


@given(boxes(), boxes(), SMALL, SMALL, st.floats(0.1, 10), st.floats(0.1, 10))
def test_iou_and_match_do_not_care_where_and_how_large(
    a: Box, b: Box, x: int, y: int, across: float, down: float
) -> None:
    def moved(box: Box) -> Box:
        return Box(box.left + x, box.top + y, box.right + x, box.bottom + y)

    assert iou(moved(a), moved(b)) == pytest.approx(iou(a, b))
    assert iou(a.scaled(across, down), b.scaled(across, down)) == pytest.approx(iou(a, b))
    assert match(moved(a), moved(b)) == pytest.approx(match(a, b))
    assert match(a.scaled(across, across), b.scaled(across, across)) == pytest.approx(match(a, b))


def test_a_box_is_cut_at_the_pictures_border() -> None:
    assert Box(-3, 2, 50, 9).clip(40, 8) == Box(0, 2, 40, 8)
    assert Box(60, 2, 70, 9).clip(40, 8).area == 0


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 20))
def test_the_box_of_a_painted_rectangle_is_the_rectangle(x: int, y: int, w: int, h: int) -> None:
    heat = torch.zeros(40, 40)
    heat[y : y + h, x : x + w] = 0.7
    assert box_of(heat) == Box(x, y, x + w, y + h)


def test_of_two_blobs_it_is_the_larger_ones_not_the_hotter_ones() -> None:
    heat = torch.zeros(20, 30)
    heat[2:4, 2:4] = 1.0
    heat[10:15, 12:25] = 0.5
    assert box_of(heat) == Box(12, 10, 25, 15)
    assert box_of(heat, threshold=0.6) == Box(2, 2, 4, 4)


def test_it_is_the_largest_component_that_scipy_finds() -> None:
    noise = torch.rand(3, 60, 47, generator=torch.Generator().manual_seed(0))
    for heat, threshold in zip(noise, (0.5, 0.6, 0.65), strict=True):
        parts, _ = ndimage.label(heat.numpy() > threshold * float(heat.max()), np.ones((3, 3)))
        largest = np.bincount(parts.ravel())[1:].argmax()
        rows, columns = ndimage.find_objects(parts)[largest]
        assert box_of(heat, threshold) == Box(columns.start, rows.start, columns.stop, rows.stop)


def test_a_winding_line_is_one_component() -> None:
    heat = torch.zeros(99, 99)
    heat[::2] = 1
    heat[1::4, -1] = 1
    heat[3::4, 0] = 1
    assert box_of(heat) == Box(0, 0, 99, 99)


def test_a_map_without_heat_gives_all_of_the_picture() -> None:
    assert box_of(torch.zeros(5, 7)) == Box(0, 0, 7, 5)


def test_the_match_of_two_squares_by_hand() -> None:
    """Sides of 10, 5 apart: the IoU is 50/150, the distance 5 of a diagonal of 10√2."""
    assert match(Box(0, 0, 10, 10), Box(5, 0, 15, 10)) == pytest.approx(5 / 200**0.5 + 1 - 1 / 3)
    assert match(Box(0, 0, 10, 10), Box(0, 0, 10, 10)) == 0


def test_the_best_matching_boxes_are_averaged_first_and_their_scores_added() -> None:
    a, b, c, d = Box(0, 0, 10, 10), Box(2, 0, 12, 10), Box(5, 0, 15, 10), Box(90, 90, 99, 99)
    # a and b are 2 apart and become (1, 0, 11, 10), which is 4 from c.
    assert merge([a, c, b, d], [1, 2, 4, 3.5], threshold=0.5) == [(Box(1, 0, 11, 10), 5), (d, 3.5), (c, 2)]
    both = Box((1 + 5) / 2, 0, (11 + 15) / 2, 10)
    assert merge([a, c, b, d], [1, 2, 4, 3.5], threshold=0.9) == [(both, 7), (d, 3.5)]
    assert merge([a, c, b, d], [1, 2, 4, 3.5], threshold=-1) == [(b, 4), (d, 3.5), (c, 2), (a, 1)]
    assert merge([a], [0.5]) == [(a, 0.5)]


@given(st.lists(boxes(), min_size=1, max_size=8))
def test_merging_keeps_the_sum_of_scores_and_leaves_none_that_match(found: list[Box]) -> None:
    merged = merge(found, [1.0] * len(found), threshold=0.6)
    assert sum(score for _, score in merged) == len(found)
    left = [box for box, _ in merged]
    assert all(match(a, b) > 0.6 for i, a in enumerate(left) for b in left[:i])


def test_a_box_is_right_where_it_shares_more_than_half_with_any_true_box() -> None:
    true, near, half = Box(0, 0, 10, 10), Box(0, 0, 10, 9), Box(0, 0, 10, 5)
    far = Box(50, 50, 60, 60)
    assert overlaps(near, [true])
    assert not overlaps(half, [true])  # an IoU of exactly 0.5
    assert not overlaps(far, [true])
    assert overlaps(far, [true, far])  # the second of the true boxes
    assert not overlaps(true, [])


def test_a_table_of_boxes(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text("file,class,left,top,right,bottom\na.jpg,cat,1,2,30.5,40\nb.jpg,dog,0,0,9,9\na.jpg,cat,5,5,6,6\n")
    assert read_boxes(table) == {
        "a.jpg": [("cat", Box(1, 2, 30.5, 40)), ("cat", Box(5, 5, 6, 6))],
        "b.jpg": [("dog", Box(0, 0, 9, 9))],
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,class,left,top,right\n", "no column 'bottom'"),
        ("", "no column 'file'"),
        ("file,class,left,top,right,bottom\na,cat,1,2,3,4\na,cat,1,2,3\n", "line 3: this is not a box"),
        ("file,class,left,top,right,bottom\na,cat,1,2,x,4\n", "line 2: this is not a box"),
        ("file,class,left,top,right,bottom\na,cat,5,2,3,4\n", "line 2: this box has no area"),
        ("file,class,left,top,right,bottom\na,cat,nan,2,3,4\n", "line 2: this box has no area"),
    ],
)
def test_a_table_that_is_wrong_is_told_with_its_line(text: str, told: str, tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text(text)
    with pytest.raises(SettingsError, match=told):
        read_boxes(table)
    with pytest.raises(SettingsError, match="can't be read"):
        read_boxes(tmp_path / "missing.csv")
