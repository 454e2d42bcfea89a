"""``vggapps evaluate``: how often a network is right about pictures whose classes are known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from vggapps._progress import tracked
from vggapps.classification._settings import EvaluateSettings
from vggapps.cli.evaluation_files import Wanted, plan, write
from vggapps.cli.evaluation_report import Measured, facts, print_report, reported
from vggapps.cli.inputs import identify_inputs, parse_shard, take
from vggapps.cli.options import Force, Json, Quiet, Recorded, Shard, Verbose, with_settings
from vggapps.cli.outcome import Failures, note
from vggapps.cli.progress import silence
from vggapps.errors import SettingsError

if TYPE_CHECKING:
    from vggapps.classification._outcomes import Outcome

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


@with_settings(EvaluateSettings, files=Wanted)
def evaluate(  # noqa: D103 - people see HELP
    settings: EvaluateSettings,
    files: Wanted,
    data: Data,
    recorded: Recorded = None,
    shard: Shard = "1/1",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    share, boxes, boxes_from = parse_shard(shard), settings.boxes, settings.boxes_from
    if boxes_from and not boxes:
        raise SettingsError("--boxes-from without --boxes", "give the true boxes, too, to compare with")

    from vggapps.classification import _evaluation as evaluation
    from vggapps.classification._box_evaluation import evaluate_boxes, true_boxes
    from vggapps.classification._box_regression import load_boxes
    from vggapps.classification._boxes import read_boxes
    from vggapps.classification._classifier import Classifier
    from vggapps.classification._outcomes import noted
    from vggapps.datasets._dataset import list_pictures
    from vggapps.image._recipe import identify_files, recipe

    listing = list_pictures(data)
    read = [path for path in (data, boxes, boxes_from) if path] + [str(entry.path) for entry in listing.entries]
    planned = plan(files, read=read, force=force)
    inputs = {"data": identify_inputs([data]), **identify_files(settings)} if files.has_pictures else {}
    for line in listing.notes:
        note(line, quiet=quiet)
    table = read_boxes(boxes) if boxes else None
    regressor = load_boxes(boxes_from) if boxes_from else None
    classifier = Classifier.of(settings)
    examples = take(listing.examples(classifier.labels), share)
    if not examples:
        raise SettingsError(f"--shard {shard} of {len(listing.entries)} pictures is none", "make fewer shares")
    results = classifier.run([example.path for example in examples])
    results = reported(tracked(results, "evaluating", len(examples), quiet=quiet, logged=True), examples)
    outcomes: list[Outcome] = []
    if files.of_pictures:
        results = noted(results, examples, outcomes)
    if table is not None:
        truths = true_boxes(table, examples, classifier.labels)
        found, places = evaluate_boxes(results, examples, truths, classifier, regressor)
    else:
        found, places = evaluation.evaluate(results, examples, classifier.labels), None

    told = recipe("evaluate", settings, inputs, {"shard": shard}, top1_error=found.top1_error.percent)
    write(planned, found, outcomes, classifier.labels, told)
    measured = Measured.of(found, places, classifier)
    if as_json:
        typer.echo(json.dumps(facts(data, share, classifier, measured)))
    else:
        print_report(classifier, measured, shard=shard, is_validation=listing.is_validation_set)
    failures = Failures(len(examples), count=found.unreadable)
    failures.end()
