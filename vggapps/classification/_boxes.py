"""Bounding boxes: derived from heat maps, read from tables, compared and merged."""

from __future__ import annotations

import csv
import math
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, count
from pathlib import Path

import torch
from jaxtyping import Float
from kornia.contrib import connected_components_union_find
from torch import Tensor

from vggapps.errors import SettingsError

COLUMNS = ("file", "class", "left", "top", "right", "bottom")


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels from the picture's top left corner; the first pixel spans 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Width in pixels, at least 0."""
        return max(0.0, self.right - self.left)

    @property
    def height(self) -> float:
        """Height in pixels, at least 0."""
        return max(0.0, self.bottom - self.top)

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height

    def clip(self, width: float, height: float) -> Box:
        """The part inside a picture of this size."""
        left, right = (min(max(x, 0.0), width) for x in (self.left, self.right))
        top, bottom = (min(max(y, 0.0), height) for y in (self.top, self.bottom))
        return Box(left, top, right, bottom)

    def scaled(self, across: float, down: float) -> Box:
        """The box in a picture resized by these factors."""
        return Box(self.left * across, self.top * down, self.right * across, self.bottom * down)


def iou(a: Box, b: Box) -> float:
    """Intersection over union, in [0, 1]; 0 if both boxes are empty."""
    both = Box(max(a.left, b.left), max(a.top, b.top), min(a.right, b.right), min(a.bottom, b.bottom)).area
    union = a.area + b.area - both
    return both / union if union > 0 else 0.0


def box_of(heat: Float[Tensor, "h w"], threshold: float = 0.2) -> Box:
    """The bounding box of the largest connected region of a heat map above a threshold.

    B. Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016, section 3.2, with their 20 %
    (Grad-CAM, arXiv 1610.02391, section 4.1, uses 15 %). The threshold is a fraction of the maximum; pixels are
    8-connected. A map of zeros gives the box of the whole map.
    """
    parts = connected_components_union_find((heat > threshold * heat.max())[None].float())[0]
    sizes = torch.bincount(parts.flatten())
    sizes[0] = 0  # below the threshold
    rows, columns = (parts == sizes.argmax()).nonzero(as_tuple=True)
    return Box(float(columns.min()), float(rows.min()), float(columns.max()) + 1, float(rows.max()) + 1)


def match(a: Box, b: Box) -> float:
    """Distance of two boxes, scale-invariant: 0 for equal boxes, more than 1 for disjoint ones.

    OverFeat's match score combines the distance of the centers and the area of the intersection, but the formula is not
    published. Here: that distance divided by the mean diagonal, plus 1 - IoU.
    """
    across = (a.left + a.right - b.left - b.right) / 2
    down = (a.top + a.bottom - b.top - b.bottom) / 2
    diagonal = (math.hypot(a.width, a.height) + math.hypot(b.width, b.height)) / 2
    return math.hypot(across, down) / max(diagonal, 1e-9) + 1 - iou(a, b)


def merge(boxes: Sequence[Box], scores: Sequence[float], threshold: float = 0.5) -> list[tuple[Box, float]]:
    """Merge similar boxes greedily, the best matching pair first.

    P. Sermanet et al., OverFeat, ICLR 2014 (arXiv 1312.6229), section 4.3, adopted by the VGG paper's appendix A: two
    boxes are replaced by the average of their coordinates, and their scores are added, as long as their :func:`match`
    is at most the threshold. Returns the remaining boxes with scores, the best first.
    """
    numbers = count(len(boxes))
    left = dict(enumerate(zip(boxes, scores, strict=True)))
    pairs = {(i, j): match(left[i][0], left[j][0]) for i, j in combinations(left, 2)}
    while pairs:
        i, j = min(pairs, key=pairs.__getitem__)
        if pairs[i, j] > threshold:
            break
        (a, score_a), (b, score_b) = left.pop(i), left.pop(j)
        one = Box((a.left + b.left) / 2, (a.top + b.top) / 2, (a.right + b.right) / 2, (a.bottom + b.bottom) / 2)
        new = next(numbers)
        pairs = {pair: value for pair, value in pairs.items() if not {i, j} & {*pair}}
        pairs |= {(k, new): match(box, one) for k, (box, _) in left.items()}
        left[new] = one, score_a + score_b
    return sorted(left.values(), key=lambda found: -found[1])


def overlaps(guess: Box, boxes: Sequence[Box]) -> bool:
    """Whether a box is correct by the criterion of ILSVRC: an IoU above 0.5 with any of the true boxes."""
    return any(iou(guess, box) > 0.5 for box in boxes)


def read_boxes(path: str | os.PathLike[str]) -> dict[str, list[tuple[str, Box]]]:
    """Read a CSV table of ground truth boxes: for each file, class names and boxes in pixels, in the table's order."""
    found: dict[str, list[tuple[str, Box]]] = defaultdict(list)
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
            if missing := [name for name in COLUMNS if name not in rows.fieldnames]:
                raise SettingsError(f"{path} has no column '{missing[0]}'", f"the columns are {', '.join(COLUMNS)}")
            for row in rows:
                box = _box(row, f"{path}, line {rows.line_num}")
                file_name, word = ((row[name] or "").strip() for name in ("file", "class"))
                found[file_name].append((word, box))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path} can't be read: {error}", "give a CSV file of boxes") from None
    return dict(found)


def _box(row: dict[str, str], place: str) -> Box:
    try:
        box = Box(*(float(row[side]) for side in COLUMNS[2:]))
    except (TypeError, ValueError):  # TypeError: the row ends early
        raise SettingsError(f"{place}: this is not a box", "give four numbers, in pixels") from None
    if not 0 < box.area < math.inf:
        raise SettingsError(f"{place}: this box has no area", "right must exceed left, and bottom top")
    return box
