"""The results of ``vggapps evaluate`` and ``vggapps probe`` as text and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from vggapps.cli.outcome import print_error_line
from vggapps.errors import in_a_line

if TYPE_CHECKING:
    from vggapps._rates import Rate
    from vggapps.classification._box_evaluation import BoxEvaluation
    from vggapps.classification._classifier import Classifier, Result
    from vggapps.classification._evaluation import Evaluation
    from vggapps.classification._published import Published, PublishedBoxes
    from vggapps.datasets._dataset import Example
    from vggapps.features._probe import Report


@dataclass(frozen=True)
class Measured:
    """All reported results.

    Attributes:
        classes: of the classification.
        boxes: of the localization, if requested.
        published: published classification errors.
        published_boxes: published localization errors.
    """

    classes: Evaluation
    boxes: BoxEvaluation | None
    published: Sequence[Published]
    published_boxes: Sequence[PublishedBoxes]

    @classmethod
    def of(cls, classes: Evaluation, boxes: BoxEvaluation | None, classifier: Classifier) -> Measured:
        """With the published errors of the classifier, if its classes are those of ImageNet."""
        from vggapps.classification._published import comparable, comparable_boxes
        from vggapps.weights._labels import imagenet

        network, known = "+".join(classifier.backbone), classifier.labels == imagenet()
        return cls(
            classes,
            boxes,
            comparable(network, classifier.views) if known else (),
            comparable_boxes(network) if known and boxes else (),
        )


def report_unreadable(results: Iterable[Result], examples: Sequence[Example]) -> Iterator[Result]:
    """Pass the results on, and print the errors of unreadable pictures."""
    for result in results:
        if result.error:
            print_error_line(f"{examples[result.index].path}: {result.error}")
        yield result


def facts(data: str, shard: tuple[int, int], classifier: Classifier, measured: Measured) -> dict[str, Any]:
    """All results as JSON, complete enough to combine the shares of a data set."""
    found = measured.classes
    numbers = asdict(found)
    del numbers["classes"]  # can be computed from the confusion
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


def print_evaluation(classifier: Classifier, measured: Measured, *, shard: str, is_validation: bool) -> None:
    """Print the results, one per line, and published ones below."""
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
        without = f", {boxes.without_box} without one are excluded" if boxes.without_box else ""
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
        typer.echo("published values are for the ILSVRC-2012 validation set, which this data set is not")


def listed(names: Sequence[str], most: int = 8) -> str:
    """The first names of classes."""
    return in_a_line(", ".join(names[:most])) + (", ..." if len(names) > most else "")


def _say(title: str, words: str) -> None:
    typer.echo(f"{title:<13}  {words}")


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return "-  (five classes or fewer)"
    return f"{rate.percent:4.1f} %  (95 % interval {rate.low:.1f} to {rate.high:.1f})"


def _percent(error: float | None) -> str:
    return "-" if error is None else f"{error:.1f} %"


def _about(row: Published | PublishedBoxes, between: str) -> str:
    """How a published value was measured; ``between`` separates training sizes."""
    trained = f", trained at {_sides(row.train_sides, between)}" if row.train_sides else ""
    tested = f", shorter side {_sides(row.test_sides, ', ')}" if row.test_sides else ""
    return trained + tested + (", test set" if row.subset == "test" else "")


def _sides(sides: Sequence[int], between: str) -> str:
    return between.join(map(str, sides))


def print_probe(report: Report, names: Sequence[str], source: str, kind: str, *, is_taught: bool) -> None:
    """Print the results of a probe, one per line.

    Args:
        report: the results.
        names: of the classes.
        source: of the names.
        kind: of the classifier.
        is_taught: whether it was trained on a teacher's logits.
    """
    typer.echo(f"classes      {len(names):8}  {source}: {listed(names)}")
    what = "agreement with the teacher" if is_taught else "accuracy"
    shares = [("top-1", report.top1, report.top1_interval, f"{what} on {report.tested} held-out pictures")]
    if len(names) > 5:
        shares.append(("top-5", report.top5, report.top5_interval, f"{what} among five predictions"))
    for word, share, (low, high), about in shares:
        typer.echo(f"{word:<12} {share:8.2%}  {about} (95 % interval {100 * low:.1f} to {100 * high:.1f})")
    if report.chosen is not None:
        word = "neighbours" if kind == "knn" else "L2 strength"
        typer.echo(f"{word:<12} {report.chosen:8g}  best on a fifth of the {report.learnt} training pictures")
    if report.temperature is not None:
        typer.echo(f"temperature  {report.temperature:8.3f}  {_about_temperature(report)}")


def probe_notes(report: Report) -> Iterator[str]:
    """Limitations of the results, one per line."""
    if report.copies:
        yield (
            f"{report.copies} pictures are copies of others: copies are all used for training or all held out, "
            "and held-out ones count once"
        )
    if report.disputed:
        yield f"{report.disputed} copies have another class than the first of them"
    if report.untested:
        count = "1 class has" if len(report.untested) == 1 else f"{len(report.untested)} classes have"
        yield f"{count} one picture, which is used for training and not tested: {listed(report.untested)}"


def _about_temperature(report: Report) -> str:
    from vggapps.features._learning import LEAST

    count = report.calibrated_on or 0
    if report.calibration == "held-out":
        return f"divides the logits for calibrated probabilities; fitted on the {count} held-out pictures"
    if report.calibration == "cross-validation":
        return f"divides the logits for calibrated probabilities; fitted on all {count} by cross-validation"
    reason = f"fewer than {LEAST} pictures" if count < LEAST else f"too few mistakes on {count} pictures"
    return f"not fitted because of {reason}; probabilities are not calibrated"
