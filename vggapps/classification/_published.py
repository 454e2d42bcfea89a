"""Published error rates on ILSVRC-2012, to print beside one's own.

Source: K. Simonyan, A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015
(arXiv 1409.1556), tables 3 to 7, and 8 and 9 for boxes; for centre crops torchvision's model pages, through the
records of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vggapps.weights._records import RECORDS, WeightsRecord

Subset = Literal["val", "test"]
Sides = tuple[int, ...]


@dataclass(frozen=True)
class Published:
    """One number that somebody published.

    Attributes:
        network: a plan's name, ``vgg16``; several with a plus, ``vgg16+vgg19``, which average their posteriors; in
            words what is none of these.
        views: what was averaged over one picture, in the words of the setting ``views``; empty where it isn't told.
        top1: error in percent; None if not published.
        top5: the same, true class not among the first five.
        source: the paper's table, or whose number it is.
        train_sides: S, the shorter side of the training pictures; two are the bounds that it was drawn from.
        test_sides: Q, the shorter sides of the pictures that were classified.
        subset: of ILSVRC-2012: validation (50,000 pictures) or test.
        table: the paper's table; 0 for a number from elsewhere.
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
    """One localization error of the paper's boxes (its appendix A), which are of configuration D, ``vgg16``.

    Attributes:
        error: in percent, IoU of 0.5 or less with the true box; of the first five classes or of the true one.
        table: 8, where the true class is given and the box is a centre crop's; or 9, where five classes come from the
            paper's best classifier, and boxes from all of the picture, merged.
        how: what was trained, in words.
        train_sides: S, the shorter side of the training pictures; several are several networks.
        test_sides: Q, those of the pictures; empty where it isn't told.
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
        """Whether it was the box that counted, and not the class."""
        return self.table == 8


_JITTER: Sides = (256, 512)  # S drawn anew for every picture, section 3.1
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
    """A row of table 3 and, if it is there, the row of table 4; the scales of testing follow from those of training."""
    middle = sum(train) // len(train)  # Q = S, or half of Smin + Smax
    around = _JITTERED if train == _JITTER else (middle - 32, middle, middle + 32)
    rows = [_paper(3, network, "dense", *one, train, (middle,))]
    return rows + ([_paper(4, network, "multi-scale", *three, train, around)] if three else [])


def _views(table: int, network: str, views: str, top1: float, val: float, test: float | None = None) -> list[Published]:
    """A network trained and tested at many scales, on one set or both; of the test set no top-1 error is known."""
    rows = [_paper(table, network, views, top1, val, _JITTER, _JITTERED)]
    return rows + ([_paper(table, network, views, None, test, _JITTER, _JITTERED, "test")] if test else [])


def _others(network: str, top1: float | None, val: float | None, test: float | None) -> list[Published]:
    """A row of table 7, as far as it has numbers; the fusion of seven of the paper's own networks is table 6's."""
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
    """What was published of a network's boxes: the paper's, for ``vgg16`` and sets of its weights."""
    return PAPER_BOXES if _plan_of(network) == "vgg16" else ()


def comparable(network: str, views: str) -> list[Published]:
    """What was published for a network and these views of a picture.

    Args:
        network: a plan, ``vgg16``, or a set of weights, ``vgg16-caffe``; several joined by a plus are a fusion.
        views: ``center``, ``ten``, ``dense`` (one scale), ``multi-scale`` (dense, three scales), ``multi-crop`` (150
            crops of three scales) or ``multi-crop+dense``.

    Returns:
        The paper's rows, those that repeat a table's numbers in a later table left out, and for ``center`` the number
        that came with the weights; nothing where nobody published one.
    """
    fusion = "+".join(sorted(map(_plan_of, network.split("+"))))
    rows = [row for row in PAPER if (row.network, row.views) == (fusion, views)]
    if views == "center" and network in RECORDS:
        rows += _center_crop(RECORDS[network])
    # The first of equal rows stays: table 5 repeats table 4.
    return list({(row.top1, row.top5, row.train_sides, row.subset): row for row in rows[::-1]}.values())[::-1]


def _plan_of(name: str) -> str:
    """The plan of published weights. A head of another kind makes another network of it, of which nobody wrote."""
    record = RECORDS.get(name)
    return record.network if record and record.layers == "full" else name


def _center_crop(record: WeightsRecord) -> list[Published]:
    if record.top1 is None or record.top5 is None or record.layers != "full":
        return []
    # 100 - 71.592 is 28.408000000000001 in binary: as many digits as were published.
    top1, top5 = round(100 - record.top1, 3), round(100 - record.top5, 3)
    return [Published(record.name, "center", top1, top5, "torchvision's page of these weights", (), (256,))]
