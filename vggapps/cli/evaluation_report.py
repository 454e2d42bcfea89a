"""What ``vggapps evaluate`` found, as people and as programs read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from vggapps.cli.outcome import tell_in_passing
from vggapps.errors import in_a_line

if TYPE_CHECKING:
    from vggapps._rates import Rate
    from vggapps.classification._box_evaluation import BoxEvaluation
    from vggapps.classification._classifier import Classifier, Result
    from vggapps.classification._evaluation import Evaluation
    from vggapps.classification._published import Published, PublishedBoxes
    from vggapps.datasets._dataset import Example


@dataclass(frozen=True)
class Measured:
    """All that is reported.

    Attributes:
        classes: how often the network was right.
        boxes: how often its boxes were, too; None if nobody asked.
        published: to compare with.
        published_boxes: the same for boxes.
    """

    classes: Evaluation
    boxes: BoxEvaluation | None
    published: Sequence[Published]
    published_boxes: Sequence[PublishedBoxes]

    @classmethod
    def of(cls, classes: Evaluation, boxes: BoxEvaluation | None, classifier: Classifier) -> Measured:
        """With what was published for the classifier; numbers on ImageNet say nothing about a network's own classes."""
        from vggapps.classification._published import comparable, comparable_boxes
        from vggapps.weights._labels import imagenet

        network, known = "+".join(classifier.backbone), classifier.labels == imagenet()
        return cls(
            classes,
            boxes,
            comparable(network, classifier.views) if known else (),
            comparable_boxes(network) if known and boxes else (),
        )


def reported(results: Iterable[Result], examples: Sequence[Example]) -> Iterator[Result]:
    """The results, passed on; what can't be read is told."""
    for result in results:
        if result.error:
            tell_in_passing(f"{examples[result.index].path}: {result.error}")
        yield result


def facts(data: str, shard: tuple[int, int], classifier: Classifier, measured: Measured) -> dict[str, Any]:
    """All that is known, so that shares measured apart can be put together; the classes follow from the confusions."""
    found = measured.classes
    numbers = asdict(found)
    del numbers["classes"]
    triples = [[truth, guess, n] for (truth, guess), n in sorted(found.confusion.items())]
    localization = None
    if measured.boxes:
        localization = {**asdict(measured.boxes), "published": [asdict(row) for row in measured.published_boxes]}
    return {
        "schema": 1,
        "data": data,
        "shard": list(shard),
        "backbone": list(classifier.backbone),
        "views": classifier.views,
        "scales": list(classifier.scales),
        **numbers,
        "confusion": triples,
        "pictures_per_second": round(found.pictures_per_second, 3),
        "localization": localization,
        "published": [asdict(row) for row in measured.published],
    }


def print_report(classifier: Classifier, measured: Measured, *, shard: str, is_validation: bool) -> None:
    """A line a number, and below them what was published."""
    found, boxes = measured.classes, measured.boxes
    _say("network", " + ".join(classifier.backbone))
    _say("views", f"{classifier.views}, shorter side {', '.join(map(str, classifier.scales))}")
    part = "" if shard == "1/1" else f", share {shard}"
    _say("pictures", f"{found.pictures} of {len(found.classes)} classes{part}")
    _say("classes", listed([each.label.name for each in found.classes]))
    _say("top-1 error", _rate(found.top1_error))
    _say("top-5 error", _rate(found.top5_error))
    _say("calibration", f"{found.ece:4.1f} %  expected calibration error, 0 is best")
    _say("log loss", f"{found.nll:.3f}")
    _say("speed", f"{found.pictures_per_second:.1f} pictures per second{', boxes included' if boxes else ''}")
    if boxes:
        without = f", {boxes.without_box} without one are left out" if boxes.without_box else ""
        typer.echo()
        _say("localization", f"{boxes.pictures} pictures with a true box{without}")
        _say("top-1 error", _rate(boxes.top1_error))
        _say("top-5 error", _rate(boxes.top5_error))
        _say("class given", _rate(boxes.given_class_error))
    if measured.published:
        typer.echo("\npublished      top-1   top-5")
        for row in measured.published:
            about = _about(row, " to ")
            typer.echo(f"{'':<13} {_percent(row.top1):>6}  {_percent(row.top5):>6}   {row.source}{about}")
    if measured.published_boxes:
        typer.echo("\nlocalization   top-5   class given")
        for place in measured.published_boxes:
            top5, given = (place.error if place.class_given is given else None for given in (False, True))
            about = f"the paper's table {place.table}: {place.how}{_about(place, ' and ')}"
            typer.echo(f"{'':<13} {_percent(top5):>6}  {_percent(given):>6}   {about}")
    if measured.published_boxes or any(row.table for row in measured.published):
        typer.echo("the paper: K. Simonyan, A. Zisserman, ICLR 2015 (arXiv 1409.1556)")
    if (measured.published or measured.published_boxes) and not is_validation:
        typer.echo("published numbers are for ILSVRC-2012 validation, which these pictures are not")


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names of classes, the first ones if there are many."""
    return in_a_line(", ".join(names[:most])) + (", ..." if len(names) > most else "")


def _say(title: str, words: str) -> None:
    typer.echo(f"{title:<13}  {words}")


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return "-  (there are five classes or fewer)"
    return f"{rate.percent:4.1f} %  (95 % interval {rate.low:.1f} to {rate.high:.1f})"


def _percent(error: float | None) -> str:
    return "-" if error is None else f"{error:.1f} %"


def _about(row: Published | PublishedBoxes, between: str) -> str:
    """How a published number was measured; ``between`` stands between sides of training."""
    trained = f", trained at {_sides(row.train_sides, between)}" if row.train_sides else ""
    tested = f", shorter side {_sides(row.test_sides, ', ')}" if row.test_sides else ""
    return trained + tested + (", test set" if row.subset == "test" else "")


def _sides(sides: Sequence[int], between: str) -> str:
    return between.join(map(str, sides))
