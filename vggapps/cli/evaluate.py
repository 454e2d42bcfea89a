"""``vggapps evaluate``: how often a network is right about pictures whose classes are known."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from vggapps.cli.evaluation_files import plan, write
from vggapps.cli.evaluation_report import Measured, facts, print_report
from vggapps.cli.options import Backbone, BoxesFrom, Classes, Convention, Device, Json, LookAt, Quiet, Verbose, words
from vggapps.cli.outcome import tell_in_passing
from vggapps.cli.progress import silence
from vggapps.cli.shards import Shard, parse_shard, take
from vggapps.errors import SettingsError

if TYPE_CHECKING:
    from vggapps.classification._classifier import Result
    from vggapps.classification._outcomes import Outcome
    from vggapps.datasets._dataset import Example

HELP = """
Measure how often a network is right about a data set.

DATA is a folder with a folder of pictures for each class, named by its
WordNet id, name or index; or a folder of pictures whose names hold a
WordNet id (n01440764_10026.JPEG); or a .csv file with the columns file and
class, the files relative to its own folder.

Prints the top-1 and top-5 error with their 95 % confidence intervals, how
well the network knows how sure it may be (expected calibration error), and
beside it what was published for this network and these views.

--boxes scores the place, too, as ILSVRC does and the paper's appendix A: of
the localization error, a picture is right where one of five classes is the
true one and its box has an IoU of more than 0.5 with a true box. The table has
the columns file (a name, or a path or its end), class, left, top, right and
bottom, in pixels of the upright picture. Pictures without a box of their class
are left out of this number. Boxes are made as by [bold]vggapps localize[/bold].

The words for --views are explained by [bold]vggapps classify --help[/bold].

The exit code is 1 if some of the pictures can't be read; the rest is done.

[bold]Examples[/bold]

  vggapps evaluate imagenet/val/ --backbone vgg16 --views multi-scale

  vggapps evaluate labels.csv --report classes.csv --confusion confusion.png

  vggapps evaluate photos/ --per-picture pictures.csv --mistakes mistakes.png

  vggapps evaluate imagenet/val/ --shard 1/4 --json

  vggapps evaluate imagenet/val/ --boxes boxes.csv --boxes-from trained.safetensors
"""

Data = Annotated[str, typer.Argument(metavar="DATA", help="A folder, or a .csv file.", show_default=False)]
Report = Annotated[str | None, typer.Option(metavar="FILE.csv", help="Write the numbers of each class.")]
PerPicture = Annotated[
    str | None, typer.Option(metavar="FILE.csv", help="Write class, guess and probabilities of each picture.")
]
Mistakes = Annotated[str | None, typer.Option(metavar="FILE.png", help="Show the wrong guesses it was surest of.")]
Reliability = Annotated[str | None, typer.Option(metavar="FILE.png", help="Draw accuracy against confidence.")]
Confusion = Annotated[str | None, typer.Option(metavar="FILE.png", help="Draw what was taken for what.")]
Boxes = Annotated[str | None, typer.Option(metavar="FILE.csv", help="True boxes: score where objects are, too.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the files that are written.")]


def evaluate(  # noqa: D103 - people see HELP
    data: Data,
    backbone: Backbone = "auto",
    classes: Classes = None,
    convention: Convention = None,
    views: LookAt = "center",
    report: Report = None,
    per_picture: PerPicture = None,
    mistakes: Mistakes = None,
    reliability: Reliability = None,
    confusion: Confusion = None,
    boxes: Boxes = None,
    boxes_from: BoxesFrom = None,
    shard: Shard = "1/1",
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    share = parse_shard(shard)
    if boxes_from and not boxes:
        raise SettingsError("--boxes-from without --boxes", "give the true boxes, too, to compare with")

    from vggapps.classification import _evaluation as evaluation
    from vggapps.classification._box_evaluation import evaluate_boxes, true_boxes
    from vggapps.classification._box_regression import load_boxes
    from vggapps.classification._boxes import read_boxes
    from vggapps.classification._classifier import Classifier, ClassifySettings
    from vggapps.classification._outcomes import noted
    from vggapps.classification._published import comparable, comparable_boxes
    from vggapps.datasets._dataset import list_pictures
    from vggapps.weights._labels import imagenet

    listing = list_pictures(data)
    read = [path for path in (data, boxes, boxes_from) if path] + [str(entry.path) for entry in listing.entries]
    files = plan(report, per_picture, reliability, confusion, mistakes, read=read, force=force)
    for note in () if quiet else listing.notes:
        typer.echo(note, err=True)
    table = read_boxes(boxes) if boxes else None
    regressor = load_boxes(boxes_from) if boxes_from else None
    names = words(backbone)
    settings = ClassifySettings(names, views, device=device, classes=classes, convention=convention)  # type: ignore[arg-type]
    classifier = Classifier.of(settings)
    examples = take(listing.examples(classifier.labels), share)
    if not examples:
        raise SettingsError(f"--shard {shard} of {len(listing.entries)} pictures is none", "make fewer shares")
    results = _watched(classifier.run([example.path for example in examples]), examples, quiet=quiet)
    outcomes: list[Outcome] = []
    if files.of_pictures:
        results = noted(results, examples, outcomes)
    if table is not None:
        truths = true_boxes(table, examples, classifier.labels)
        found, places = evaluate_boxes(results, examples, truths, classifier, regressor)
    else:
        found, places = evaluation.evaluate(results, examples, classifier.labels), None

    write(files, found, outcomes, classifier.labels)
    network = "+".join(classifier.backbone)
    # Numbers on ImageNet say nothing about a network's own classes.
    known = classifier.labels == imagenet()
    measured = Measured(
        found,
        places,
        comparable(network, classifier.views) if known else (),
        comparable_boxes(network) if known and places else (),
    )
    if as_json:
        typer.echo(json.dumps(facts(data, share, classifier, measured)))
    else:
        print_report(classifier, measured, shard=shard, is_validation=listing.is_validation_set)
    if found.unreadable:
        typer.echo(f"{found.unreadable} of {len(examples)} pictures can't be read", err=True)
        sys.exit(1)


def _watched(results: Iterable[Result], examples: Sequence[Example], *, quiet: bool) -> Iterator[Result]:
    """Says on stderr how far it is, a bar on a terminal, else a line each tenth; and what can't be read."""
    console = Console(stderr=True)
    drawn, total, tenth = console.is_terminal and not quiet, len(examples), 0
    with Progress(console=console, transient=True, redirect_stdout=False, disable=not drawn) as bar:
        task = bar.add_task("evaluating", total=total)
        for done, result in enumerate(results, 1):
            if result.error:
                tell_in_passing(f"{examples[result.index].path}: {result.error}")
            yield result
            bar.update(task, completed=done)
            if not (quiet or drawn) and done * 10 // total > tenth:
                tenth = done * 10 // total
                typer.echo(f"evaluating: {10 * tenth} %, picture {done} of {total}", err=True)
