"""``vggapps classify``: the most probable ImageNet classes of pictures."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps._progress import tracked
from vggapps.classification._settings import ClassifySettings
from vggapps.cli.explained import classify_and_explain
from vggapps.cli.inputs import expand, parse_shard, source_of, take
from vggapps.cli.options import Force, Images, Json, Quiet, Recorded, Shard, with_settings
from vggapps.cli.outcome import Failures, print_json, print_totals
from vggapps.cli.outputs import plan_optional
from vggapps.errors import SettingsError

if TYPE_CHECKING:
    from vggapps.classification._classifier import Classifier, Prediction

Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, one row per predicted class.")]
Explain = Annotated[
    str | None,
    typer.Option(
        metavar="PATH", help="Write a heat map of the evidence for the best class: a file, or folder/ for several."
    ),
]


@with_settings(ClassifySettings)
def classify(
    settings: ClassifySettings,
    images: Images,
    as_csv: Csv = False,
    explain: Explain = None,
    recorded: Recorded = None,
    shard: Shard = "1/1",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print the most probable classes of a picture.

    IMAGE is a picture, a folder, a pattern, or - for stdin. Prints classes with
    their probability and WordNet id. A low probability means that the network
    is uncertain.

    [bold]auto[/bold] works offline: it uses the published VGG-19 or VGG-16 if its weights are
    on this machine, otherwise the small head that comes with vggapps, which is
    less accurate. [bold]--backbone vgg16[/bold] downloads the published weights (528 MB) once.

    --views selects the crops that are averaged: [bold]center[/bold]; [bold]ten[/bold] crops; [bold]dense[/bold],
    the whole picture and its mirror image; [bold]multi-scale[/bold], dense at three sizes;
    [bold]multi-crop[/bold], 150 crops; [bold]multi-crop+dense[/bold], the paper's best. They are ordered
    by running time and, for the published networks, by accuracy.

    The exit code is 1 if some of the pictures can't be read.

    [bold]Examples[/bold]

      vggapps classify cat.jpg

      vggapps classify cat.jpg --backbone vgg16,vgg19 --views multi-scale

      vggapps classify photos/ --json > photos.jsonl

      vggapps classify cat.jpg --explain why.png
    """
    if as_json and as_csv:
        raise SettingsError("--json and --csv both write to stdout", "choose one")
    photos = take(expand(images, quiet=quiet), parse_shard(shard))
    photos, targets = plan_optional(photos, "_why", explain, force=force, quiet=quiet)
    paths = [photo.path for photo in photos]

    from vggapps.classification._classifier import Classifier

    classifier, several = Classifier.from_settings(settings), len(paths) > 1
    if explain:
        results = classify_and_explain(classifier, settings, paths, targets, quiet=quiet)
    else:
        results = classifier.run([source_of(path) for path in paths])
    rows = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        rows.writerow(["path", "rank", "index", "label", "wordnet", "probability"])
    failures = Failures(len(paths))
    for result in tracked(results, "classifying", len(paths), quiet=quiet or not several, printing=True):
        path = paths[result.index]
        if result.error:
            failures.add(result.error, path)
            continue
        assert result.probabilities is not None
        best = classifier.best(result.probabilities, settings.top)
        if as_json:
            print_json(path=path, **_record(best, classifier))
        elif as_csv:
            rows.writerows([path, rank, *asdict(p).values()] for rank, p in enumerate(best, 1))
        else:
            _print(best, f"{path}: " if several else "")
    if as_json and several:
        print_totals(pictures=len(paths) - failures.count, failed=failures.count)
    failures.end()


def _record(best: Sequence[Prediction], classifier: Classifier) -> dict[str, Any]:
    found = [asdict(p) | {"probability": round(p.probability, 6)} for p in best]
    return {"predictions": found, "backbone": list(classifier.backbone), "views": classifier.views}


def _print(best: Sequence[Prediction], start: str) -> None:
    width = max(len(p.label) for p in best)
    for p in best:
        typer.echo(f"{start}{100 * p.probability:5.1f} %  {p.label:<{width}}  {p.wordnet}".rstrip())
