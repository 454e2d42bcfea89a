"""``vggapps classify``: what is in a picture, or in each of ten thousand."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps._progress import tracked
from vggapps.classification._settings import ClassifySettings
from vggapps.cli.explained import shown_results
from vggapps.cli.inputs import expand, parse_shard, read, take
from vggapps.cli.options import Force, Images, Json, Quiet, Recorded, Shard, Verbose, with_settings
from vggapps.cli.outcome import Failures, print_json, print_totals
from vggapps.cli.outputs import plan_wanted
from vggapps.cli.progress import silence
from vggapps.errors import SettingsError

if TYPE_CHECKING:
    from vggapps.classification._classifier import Classifier
    from vggapps.classification._predictions import Prediction

HELP = """
Say what is in a picture.

IMAGE is a picture, a folder, a pattern, or - for stdin. Prints the most
probable classes, their probability and their WordNet id. A low probability
means that the network is unsure.

[bold]auto[/bold] works offline: it takes VGG-19 or VGG-16 as published where they
are on this machine, else the small head that comes with vggapps, which
is right less often. [bold]--backbone vgg16[/bold] downloads the published one
(528 MB), once.

[bold]--views[/bold] says what of a picture is looked at: the [bold]center[/bold] alone; [bold]ten[/bold] crops;
[bold]dense[/bold], all of it and its mirror image; [bold]multi-scale[/bold], that at three sizes;
[bold]multi-crop[/bold], 150 crops; [bold]multi-crop+dense[/bold], the paper's best. From first to
last they take longer and, with the published networks, are right more
often.

The exit code is 1 if some of the pictures can't be read; the rest is done.

[bold]Examples[/bold]

  vggapps classify cat.jpg

  vggapps classify cat.jpg --backbone vgg16,vgg19 --views multi-scale

  vggapps classify photos/ --json > photos.jsonl

  vggapps classify cat.jpg --explain why.png
"""

Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, a row for each class named.")]
Explain = Annotated[
    str | None, typer.Option(metavar="PATH", help="Show what decided: a picture, or folder/ for several.")
]


@with_settings(ClassifySettings)
def classify(  # noqa: D103 - people see HELP
    settings: ClassifySettings,
    images: Images,
    as_csv: Csv = False,
    explain: Explain = None,
    recorded: Recorded = None,
    shard: Shard = "1/1",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    if as_json and as_csv:
        raise SettingsError("--json and --csv both want stdout", "choose one")
    photos = take(expand(images, quiet=quiet), parse_shard(shard))
    photos, targets = plan_wanted(photos, "_why", explain, force=force, quiet=quiet)
    paths = [photo.path for photo in photos]

    from vggapps.classification._classifier import Classifier

    classifier, several = Classifier.of(settings), len(paths) > 1
    if explain:
        results = shown_results(classifier, settings, paths, targets, quiet=quiet)
    else:
        results = classifier.run([read(path) for path in paths])
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
