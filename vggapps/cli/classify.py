"""``vggapps classify``: what is in a picture, or in each of ten thousand."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps.cli.inputs import expand, read
from vggapps.cli.options import Backbone, Classes, Convention, Device, Images, Json, LookAt, Quiet, Verbose, words
from vggapps.cli.outcome import tell_in_passing
from vggapps.cli.outputs import plan_outputs
from vggapps.cli.progress import silence, tracked
from vggapps.cli.saving import Target, deliver_picture
from vggapps.cli.shards import Shard, parse_shard, take
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

Top = Annotated[int, typer.Option(metavar="N", min=1, help="Name the N most probable classes.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, a row for each class named.")]
Explain = Annotated[
    str | None, typer.Option(metavar="PATH", help="Show what decided: a picture, or folder/ for several.")
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the file that --explain names.")]


def classify(  # noqa: D103 - people see HELP
    images: Images,
    top: Top = 5,
    backbone: Backbone = "auto",
    classes: Classes = None,
    convention: Convention = None,
    views: LookAt = "center",
    as_csv: Csv = False,
    explain: Explain = None,
    shard: Shard = "1/1",
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    if as_json and as_csv:
        raise SettingsError("--json and --csv both want stdout", "choose one")
    photos = take(expand(images, quiet=quiet), parse_shard(shard))
    targets: Sequence[Target | None] = [None] * len(photos)
    if explain:
        targets = plan_outputs(photos, "_why", explain, force=force, quiet=quiet)
        photos = [photo for photo, target in zip(photos, targets, strict=True) if target]
        targets = [target for target in targets if target]
    paths = [photo.path for photo in photos]
    sources = [read(path) for path in paths]

    from vggapps.classification._classifier import Classifier, ClassifySettings

    names = words(backbone)
    settings = ClassifySettings(names, views, top, device, classes=classes, convention=convention)  # type: ignore[arg-type]
    classifier = Classifier.of(settings)
    rows = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        rows.writerow(["path", "rank", "index", "label", "wordnet", "probability"])
    failed = 0
    for result in tracked(classifier.run(sources), len(paths), "classifying", shown=len(paths) > 1 and not quiet):
        path = paths[result.index]
        if result.error:
            if len(paths) == 1:
                raise result.error
            tell_in_passing(result.error)
            failed += 1
            continue
        assert result.probabilities is not None
        best = classifier.best(result.probabilities, top)
        if as_json:
            typer.echo(json.dumps(_record(path, best, classifier)))
        elif as_csv:
            rows.writerows([path, rank, *asdict(p).values()] for rank, p in enumerate(best, 1))
        else:
            typer.echo(f"{path}\n{best}" if len(paths) > 1 else best)
        if target := targets[result.index]:
            _show(classifier, sources[result.index], best[0], target, quiet=quiet)
    if failed:
        typer.echo(f"{failed} of {len(paths)} pictures can't be read", err=True)
        sys.exit(1)


def _record(path: str, best: Sequence[Prediction], classifier: Classifier) -> dict[str, Any]:
    found = [asdict(p) | {"probability": round(p.probability, 6)} for p in best]
    about = {"backbone": list(classifier.backbone), "views": classifier.views}
    return {"schema": 1, "path": path, "predictions": found, **about}


def _show(classifier: Classifier, source: str | bytes, best: Prediction, target: Target, *, quiet: bool) -> None:
    from vggapps.classification._localize import class_heat

    place = deliver_picture(target, class_heat(classifier, source, best.index))
    if not quiet:
        typer.echo(f"{place}: where it sees {best.label}", err=True)
