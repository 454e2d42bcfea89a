"""``vggapps evaluate``: accuracy on a labelled data set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from vggapps._progress import tracked
from vggapps.classification._settings import EvaluateSettings
from vggapps.cli.evaluation_files import OutputFiles, plan, write
from vggapps.cli.inputs import identify_inputs, parse_shard, take
from vggapps.cli.options import Force, Json, Quiet, Recorded, Shard, with_settings
from vggapps.cli.outcome import Failures, note
from vggapps.cli.reports import Measured, facts, print_evaluation, report_unreadable
from vggapps.errors import SettingsError

if TYPE_CHECKING:
    from vggapps.classification._outcomes import Outcome

Data = Annotated[str, typer.Argument(metavar="DATA", help="A folder, or a .csv file.", show_default=False)]


@with_settings(EvaluateSettings, files=OutputFiles)
def evaluate(
    settings: EvaluateSettings,
    files: OutputFiles,
    data: Data,
    recorded: Recorded = None,
    shard: Shard = "1/1",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure the accuracy of a network on a labelled data set.

    DATA is a folder with one folder of pictures per class, named by WordNet id,
    class name or index; a folder of pictures with a WordNet id in their names
    (n01440764_10026.JPEG); or a .csv file with columns file and class, and
    paths relative to it.

    Prints the top-1 and top-5 error with 95 % confidence intervals and the
    expected calibration error, beside published values for the same network
    and views, if there are any.

    --boxes also measures the localization error of ILSVRC and the paper's
    appendix A: a picture counts as correct if one of five predictions has the
    right class and a box whose IoU with a true box exceeds 0.5. The table has
    the columns file (a name, or the end of a path), class, left, top, right and
    bottom, in pixels of the upright picture. Pictures without a box of their
    class are excluded. Boxes are predicted as in [bold]vggapps localize[/bold].

    The values of --views are explained by [bold]vggapps classify --help[/bold].

    The exit code is 1 if some of the pictures can't be read.

    [bold]Examples[/bold]

      vggapps evaluate imagenet/val/ --backbone vgg16 --views multi-scale

      vggapps evaluate labels.csv --report classes.csv --confusion confusion.png

      vggapps evaluate photos/ --per-picture pictures.csv --mistakes mistakes.png

      vggapps evaluate imagenet/val/ --shard 1/4 --json

      vggapps evaluate val/ --boxes boxes.csv --boxes-from trained.safetensors
    """
    share, boxes, boxes_from = parse_shard(shard), settings.boxes, settings.boxes_from
    if boxes_from and not boxes:
        raise SettingsError("--boxes-from needs --boxes", "add --boxes with the true boxes")

    from vggapps.classification import _evaluation as evaluation
    from vggapps.classification._box_evaluation import evaluate_boxes, true_boxes
    from vggapps.classification._box_regression import load_boxes
    from vggapps.classification._boxes import read_boxes
    from vggapps.classification._classifier import Classifier
    from vggapps.classification._outcomes import record_outcomes
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
    classifier = Classifier.from_settings(settings)
    examples = take(listing.examples(classifier.labels), share)
    if not examples:
        raise SettingsError(f"--shard {shard} of {len(listing.entries)} pictures is empty", "use fewer shares")
    results = classifier.run([example.path for example in examples])
    results = report_unreadable(tracked(results, "evaluating", len(examples), quiet=quiet, logged=True), examples)
    outcomes: list[Outcome] = []
    if files.need_outcomes:
        results = record_outcomes(results, examples, outcomes)
    if table is not None:
        truths = true_boxes(table, examples, classifier.labels)
        found, places = evaluate_boxes(results, examples, truths, classifier, regressor)
    else:
        found, places = evaluation.evaluate(results, examples, classifier.labels), None

    recorded_facts = recipe("evaluate", settings, inputs, {"shard": shard}, top1_error=found.top1_error.percent)
    write(planned, found, outcomes, classifier.labels, recorded_facts)
    measured = Measured.of(found, places, classifier)
    if as_json:
        typer.echo(json.dumps(facts(data, share, classifier, measured)))
    else:
        print_evaluation(classifier, measured, shard=shard, is_validation=listing.is_validation_set)
    Failures(len(examples), count=found.unreadable).end()
