"""``vggapps evaluate``: how often a network is right about pictures whose classes are known."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from vggapps.cli.options import Json, Quiet, Verbose
from vggapps.cli.progress import silence
from vggapps.cli.shards import Shard, parse_shard, take
from vggapps.errors import OutputExistsError, PictureError, SettingsError

if TYPE_CHECKING:
    from vggapps.classify.classifier import Classifier, Result
    from vggapps.classify.dataset import Example
    from vggapps.classify.evaluation import Evaluation, Rate
    from vggapps.classify.published import Published

HELP = """
Measure how often a network is right about a data set.

DATA is a folder with a folder of pictures for each class, named by its
WordNet id, name or index; or a folder of pictures whose names hold a
WordNet id (n01440764_10026.JPEG); or a .csv file with the columns file and
class, the files relative to its own folder.

Prints the top-1 and top-5 error with their 95 % confidence intervals, how
well the network knows how sure it may be (expected calibration error), and
beside it what was published for this network and these views.

The words for --views are explained by [bold]vggapps classify --help[/bold].

The exit code is 1 if some of the pictures can't be read; the rest is done.

[bold]Examples[/bold]

  vggapps evaluate imagenet/val/ --backbone vgg16 --views multi-scale

  vggapps evaluate labels.csv --report classes.csv --confusion confusion.png

  vggapps evaluate imagenet/val/ --shard 1/4 --json
"""

Data = Annotated[str, typer.Argument(metavar="DATA", help="A folder, or a .csv file.", show_default=False)]
Backbone = Annotated[
    str, typer.Option(metavar="NAME,...", help="Networks, averaged: auto, vgg16, a name of weights, a file.")
]
LookAt = Annotated[str, typer.Option("--views", metavar="VIEWS", help="What of a picture is looked at.")]
Report = Annotated[str | None, typer.Option(metavar="FILE.csv", help="Write the numbers of each class.")]
Reliability = Annotated[str | None, typer.Option(metavar="FILE.png", help="Draw accuracy against confidence.")]
Confusion = Annotated[str | None, typer.Option(metavar="FILE.png", help="Draw what was taken for what.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the files that are written.")]


def evaluate(  # noqa: D103 - people see HELP
    data: Data,
    backbone: Backbone = "auto",
    views: LookAt = "center",
    report: Report = None,
    reliability: Reliability = None,
    confusion: Confusion = None,
    shard: Shard = "1/1",
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    share = parse_shard(shard)
    _check_outputs(data, report, [path for path in (reliability, confusion) if path], force=force)

    from vggapps.classify import evaluation, plots
    from vggapps.classify.classifier import Classifier, ClassifySettings
    from vggapps.classify.dataset import list_pictures
    from vggapps.classify.labels import imagenet
    from vggapps.classify.published import comparable
    from vggapps.image import from_pil, save_picture

    listing = list_pictures(data)
    for note in () if quiet else listing.notes:
        typer.echo(note, err=True)
    names = tuple(word.strip() for word in backbone.split(",") if word.strip())
    settings = ClassifySettings(names, views, device=device)  # type: ignore[arg-type]
    classifier = Classifier.of(settings)
    examples = take(listing.examples(classifier.labels), share)
    if not examples:
        raise SettingsError(f"--shard {shard} of {len(listing.entries)} pictures is none", "make fewer shares")
    results = classifier.run([example.path for example in examples])
    found = evaluation.evaluate(_watched(results, examples, quiet=quiet), examples, classifier.labels)

    if report:
        _write_report(report, found)
    if reliability:
        save_picture(from_pil(plots.reliability_plot(found.bins, found.ece)), reliability, overwrite=True)
    if confusion:
        drawn = plots.confusion_picture(found.confusion, [label.name for label in classifier.labels])
        save_picture(from_pil(drawn), confusion, overwrite=True)
    network = "+".join(classifier.backbone)
    # Numbers on ImageNet say nothing about a network's own classes.
    published = comparable(network, classifier.views) if classifier.labels == imagenet() else []
    if as_json:
        typer.echo(json.dumps(_facts(data, share, classifier, found, published)))
    else:
        _print(classifier, found, published, shard=shard, is_validation=listing.is_validation_set)
    if found.unreadable:
        typer.echo(f"{found.unreadable} of {len(examples)} pictures can't be read", err=True)
        sys.exit(1)


def _check_outputs(data: str, report: str | None, pictures: Sequence[str], *, force: bool) -> None:
    """Refuses what would be overwritten, or can't be written, before any work is done."""
    from vggapps.image import check_target

    wanted = [Path(path).resolve() for path in [*pictures, *([report] if report else [])]]
    if len(set(wanted)) < len(wanted):
        raise SettingsError("two outputs have one name", "give each its own")
    if Path(data).resolve() in wanted:
        raise SettingsError(f"{data} is read, and would be overwritten", "choose another name")
    for path in pictures:
        check_target(path, overwrite=force)
    if report and Path(report).exists() and not force:
        raise OutputExistsError(f"{report} exists", "choose another name, or overwrite it with --force")
    if report and (Path(report).is_dir() or not Path(report).parent.is_dir()):
        raise PictureError(f"{report}: it can't be written there", "name a file in a folder that exists")


def _watched(results: Iterable[Result], examples: Sequence[Example], *, quiet: bool) -> Iterator[Result]:
    """Says on stderr how far it is, a bar on a terminal, else a line each tenth; and what can't be read."""
    console = Console(stderr=True)
    drawn, total, tenth = console.is_terminal and not quiet, len(examples), 0
    with Progress(console=console, transient=True, redirect_stdout=False, disable=not drawn) as bar:
        task = bar.add_task("evaluating", total=total)
        for done, result in enumerate(results, 1):
            if result.error:
                typer.secho(f"error: {examples[result.index].path}: {result.error}", fg="red", err=True)
            yield result
            bar.update(task, completed=done)
            if not (quiet or drawn) and done * 10 // total > tenth:
                tenth = done * 10 // total
                typer.echo(f"evaluating: {10 * tenth} %, picture {done} of {total}", err=True)


def _write_report(path: str, found: Evaluation) -> None:
    rows = [
        {
            "index": c.label.index,
            "wordnet": c.label.wordnet,
            "class": c.label.name,
            "pictures": c.count,
            "correct": c.correct,
            "recall": f"{c.recall:.4f}",
            "precision": "" if c.precision is None else f"{c.precision:.4f}",
            "f1": f"{c.f1:.4f}",
            "mistaken_for": c.mistaken_for.name if c.mistaken_for else "",
            "mistakes": c.mistakes,
        }
        for c in found.classes
    ]
    try:
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise PictureError(f"{path}: it can't be written: {error.strerror}", "choose another name") from None


def _facts(
    data: str, shard: tuple[int, int], classifier: Classifier, found: Evaluation, published: Sequence[Published]
) -> dict[str, Any]:
    """All that is known, so that shares measured apart can be put together; the classes follow from the confusions."""
    numbers = asdict(found)
    del numbers["classes"]
    triples = [[truth, guess, n] for (truth, guess), n in sorted(found.confusion.items())]
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
        "published": [asdict(row) for row in published],
    }


def _print(
    classifier: Classifier, found: Evaluation, published: Sequence[Published], *, shard: str, is_validation: bool
) -> None:
    def say(title: str, words: str) -> None:
        typer.echo(f"{title:<13}  {words}")

    say("network", " + ".join(classifier.backbone))
    say("views", f"{classifier.views}, shorter side {', '.join(map(str, classifier.scales))}")
    part = "" if shard == "1/1" else f", share {shard}"
    say("pictures", f"{found.pictures} of {len(found.classes)} classes{part}")
    say("top-1 error", _rate(found.top1_error))
    say("top-5 error", _rate(found.top5_error) if found.top5_error else "-  (there are five classes or fewer)")
    say("calibration", f"{found.ece:4.1f} %  expected calibration error, 0 is best")
    say("log loss", f"{found.nll:.3f}")
    say("speed", f"{found.pictures_per_second:.1f} pictures per second")
    if not published:
        return
    typer.echo("\npublished      top-1   top-5")
    for row in published:
        top1, top5 = ("-" if error is None else f"{error:.1f} %" for error in (row.top1, row.top5))
        trained = f", trained at {_sides(row.train_sides, ' to ')}" if row.train_sides else ""
        tested = f", shorter side {_sides(row.test_sides, ', ')}" if row.test_sides else ""
        subset = ", test set" if row.subset == "test" else ""
        typer.echo(f"{'':<13} {top1:>6}  {top5:>6}   {row.source}{trained}{tested}{subset}")
    if any(row.table for row in published):
        typer.echo("the paper: K. Simonyan, A. Zisserman, ICLR 2015 (arXiv 1409.1556)")
    if not is_validation:
        typer.echo("published numbers are for ILSVRC-2012 validation, which these pictures are not")


def _rate(rate: Rate) -> str:
    return f"{rate.percent:4.1f} %  (95 % interval {rate.low:.1f} to {rate.high:.1f})"


def _sides(sides: Sequence[int], between: str) -> str:
    return between.join(map(str, sides))
