"""Published error rates on ILSVRC-2012, for comparison.

Sources: K. Simonyan, A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015
(arXiv 1409.1556), tables 3 to 9; for center crops, torchvision's model pages through the records of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vggapps.weights._records import RECORDS, WeightsRecord

Subset = Literal["val", "test"]
Sides = tuple[int, ...]


@dataclass(frozen=True)
class Published:
    """A published classification error.

    Attributes:
        network: a plan's name, ``vgg16``; ``vgg16+vgg19`` for averaged posteriors; otherwise a description.
        views: a value of the setting ``views``; empty if unknown.
        top1: error in percent; None if not published.
        top5: top-5 error in percent; None if not published.
        source: the paper's table, or another source.
        train_sides: S, the shorter side of the training pictures; two values are the bounds of a random side.
        test_sides: Q, the shorter sides of the test pictures.
        subset: of ILSVRC-2012: validation (50,000 pictures) or test.
        table: of the paper; 0 for other sources.
    """

    network: str
    views: str
    top1: float | None
    top5: float | None
    source: str
    train_sides: Sides = ()
    test_sides: Sides = ()
    subset: Subset = "val"
    table: int = 0


@dataclass(frozen=True)
class PublishedBoxes:
    """A localization error from the paper's appendix A, for configuration D, ``vgg16``.

    Attributes:
        error: in percent, at an IoU of at most 0.5 with the true box.
        table: 8 (true class given, box from the center crop) or 9 (top five classes of the paper's best classifier,
            boxes from the whole picture, merged).
        how: description of the training.
        train_sides, test_sides: S, one per network, and Q; empty if not stated.
        subset: of ILSVRC-2012.
    """

    error: float
    table: int
    how: str
    train_sides: Sides
    test_sides: Sides = ()
    subset: Subset = "val"

    @property
    def class_given(self) -> bool:
        """Whether only the box counted, the class being given."""
        return self.table == 8


_JITTER: Sides = (256, 512)  # S random for every picture, section 3.1
_JITTERED: Sides = (256, 384, 512)


def _paper(
    table: int,
    network: str,
    views: str,
    top1: float | None,
    top5: float | None,
    train: Sides = (),
    test: Sides = (),
    subset: Subset = "val",
) -> Published:
    return Published(network, views, top1, top5, f"the paper's table {table}", train, test, subset, table)


def _scales(network: str, train: Sides, one: tuple[float, float], three: tuple[float, float] | None) -> list[Published]:
    """A row of table 3 and, if given, of table 4; the test scales follow from those of training."""
    middle = sum(train) // len(train)  # Q = S, or half of Smin + Smax
    around = _JITTERED if train == _JITTER else (middle - 32, middle, middle + 32)
    rows = [_paper(3, network, "dense", *one, train, (middle,))]
    return rows + ([_paper(4, network, "multi-scale", *three, train, around)] if three else [])


def _views(table: int, network: str, views: str, top1: float, val: float, test: float | None = None) -> list[Published]:
    """A network trained and tested at several scales, on one or both subsets; the test set has no published top-1."""
    rows = [_paper(table, network, views, top1, val, _JITTER, _JITTERED)]
    return rows + ([_paper(table, network, views, None, test, _JITTER, _JITTERED, "test")] if test else [])


def _others(network: str, top1: float | None, val: float | None, test: float | None) -> list[Published]:
    """A row of table 7, for each subset with a number."""
    rows = [_paper(7, network, "", top1, val)] if val else []
    return rows + ([_paper(7, network, "", None, test, subset="test")] if test else [])


PAPER: tuple[Published, ...] = (
    *_scales("vgg11", (256,), (29.6, 10.4), None),
    *_scales("vgg11_lrn", (256,), (29.7, 10.5), None),
    *_scales("vgg13", (256,), (28.7, 9.9), (28.2, 9.6)),
    *_scales("vgg16_c", (256,), (28.1, 9.4), (27.7, 9.2)),
    *_scales("vgg16_c", (384,), (28.1, 9.3), (27.8, 9.2)),
    *_scales("vgg16_c", _JITTER, (27.3, 8.8), (26.3, 8.2)),
    *_scales("vgg16", (256,), (27.0, 8.8), (26.6, 8.6)),
    *_scales("vgg16", (384,), (26.8, 8.7), (26.5, 8.6)),
    *_scales("vgg16", _JITTER, (25.6, 8.1), (24.8, 7.5)),
    *_scales("vgg19", (256,), (27.3, 9.0), (26.9, 8.7)),
    *_scales("vgg19", (384,), (26.9, 8.7), (26.7, 8.6)),
    *_scales("vgg19", _JITTER, (25.5, 8.0), (24.8, 7.5)),
    *_views(5, "vgg16", "multi-scale", 24.8, 7.5),
    *_views(5, "vgg16", "multi-crop", 24.6, 7.5),
    *_views(5, "vgg16", "multi-crop+dense", 24.4, 7.2),
    *_views(5, "vgg19", "multi-scale", 24.8, 7.5),
    *_views(5, "vgg19", "multi-crop", 24.6, 7.4),
    *_views(5, "vgg19", "multi-crop+dense", 24.4, 7.1),
    # The submission to ILSVRC-2014: D (three trainings), C (two) and E (two), each tested at three scales.
    _paper(6, "VGG, 7 nets", "multi-scale", 24.7, 7.5),
    _paper(6, "VGG, 7 nets", "multi-scale", None, 7.3, subset="test"),
    *_views(6, "vgg16+vgg19", "multi-scale", 24.0, 7.1, 7.0),
    *_views(6, "vgg16+vgg19", "multi-crop", 23.9, 7.2),
    *_views(6, "vgg16+vgg19", "multi-crop+dense", 23.7, 6.8, 6.8),
    *_others("VGG, 2 nets", 23.7, 6.8, 6.8),
    *_others("VGG, 1 net", 24.4, 7.1, 7.0),
    *_others("VGG, 7 nets", 24.7, 7.5, 7.3),
    *_others("GoogLeNet, 1 net", None, None, 7.9),
    *_others("GoogLeNet, 7 nets", None, None, 6.7),
    *_others("MSRA, 11 nets", None, None, 8.1),
    *_others("MSRA, 1 net", 27.9, 9.1, 9.1),
    *_others("Clarifai, several nets", None, None, 11.7),
    *_others("Clarifai, 1 net", None, None, 12.5),
    *_others("Zeiler & Fergus, 6 nets", 36.0, 14.7, 14.8),
    *_others("Zeiler & Fergus, 1 net", 37.5, 16.0, 16.1),
    *_others("OverFeat, 7 nets", 34.0, 13.2, 13.6),
    *_others("OverFeat, 1 net", 35.7, 14.2, None),
    *_others("Krizhevsky et al., 5 nets", 38.1, 16.4, 16.4),
    *_others("Krizhevsky et al., 1 net", 40.7, 18.2, None),
)
"""Every row of tables 3 to 7."""


_ALL = "all layers trained, one box per class"

PAPER_BOXES: tuple[PublishedBoxes, ...] = (
    PublishedBoxes(36.4, 8, "fc6 and fc7 trained, one box for all classes", (384,)),
    PublishedBoxes(34.3, 8, "fc6 and fc7 trained, one box per class", (384,)),
    PublishedBoxes(33.1, 8, _ALL, (384,)),
    PublishedBoxes(29.5, 9, _ALL, (256,), (256,)),
    PublishedBoxes(28.2, 9, _ALL, (384,), (384,)),
    PublishedBoxes(26.7, 9, _ALL, (384,), (384,), "test"),
    PublishedBoxes(27.5, 9, _ALL, (384,), (352, 384)),
    PublishedBoxes(26.9, 9, f"two networks, {_ALL}", (256, 384), (256, 352, 384)),
    PublishedBoxes(25.3, 9, f"two networks, {_ALL}", (256, 384), (256, 352, 384), "test"),
)
"""Every row of tables 8 and 9."""


def comparable_boxes(network: str) -> tuple[PublishedBoxes, ...]:
    """Published localization errors: the paper's, for ``vgg16`` and its weights."""
    return PAPER_BOXES if _plan_of(network) == "vgg16" else ()


def comparable(network: str, views: str) -> list[Published]:
    """Published errors for a network and these views.

    Args:
        network: a plan, ``vgg16``, or weights, ``vgg16-caffe``; several joined by a plus are averaged.
        views: a value of the setting ``views``.

    Returns:
        The paper's rows without repetitions; for ``center``, the errors published with the weights.
    """
    fusion = "+".join(sorted(map(_plan_of, network.split("+"))))
    rows = [row for row in PAPER if (row.network, row.views) == (fusion, views)]
    if views == "center" and network in RECORDS:
        rows += _center_crop(RECORDS[network])
    # Table 5 repeats rows of table 4: keep the first.
    return list({(row.top1, row.top5, row.train_sides, row.subset): row for row in rows[::-1]}.values())[::-1]


def _plan_of(name: str) -> str:
    """The plan of full published weights; other heads make other networks, without published results."""
    record = RECORDS.get(name)
    return record.network if record and record.layers == "full" else name


def _center_crop(record: WeightsRecord) -> list[Published]:
    if record.top1 is None or record.top5 is None or record.layers != "full":
        return []
    # Rounded to the published digits: 100 - 71.592 is 28.408000000000001 in binary.
    top1, top5 = round(100 - record.top1, 3), round(100 - record.top5, 3)
    return [Published(record.name, "center", top1, top5, "torchvision's page of these weights", (), (256,))]
