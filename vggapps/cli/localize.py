"""``vggapps localize``: bounding boxes of the predicted classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vggapps._progress import tracked
from vggapps.classification._settings import LocalizeSettings
from vggapps.cli.inputs import expand, read_input
from vggapps.cli.options import Force, Images, Json, Output, Quiet, Recorded, with_settings
from vggapps.cli.outcome import Failures, note, print_json, print_totals
from vggapps.cli.outputs import check_stdout, plan_optional
from vggapps.cli.saving import deliver_picture
from vggapps.errors import SettingsError

if TYPE_CHECKING:
    from vggapps.classification._localize import Found
    from vggapps.weights._labels import Label

Name = Annotated[str | None, typer.Option("--class", metavar="NAME", help="Class to find: name, WordNet id or index.")]


@with_settings(LocalizeSettings)
def localize(
    settings: LocalizeSettings,
    images: Images,
    name: Name = None,
    output: Output = None,
    recorded: Recorded = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the object in a picture.

    Prints the most probable class, or --class, with its probability and its
    bounding box: left, top, right and bottom in pixels of the upright picture.
    The box surrounds the largest hot region of the class's Grad-CAM; with
    --boxes-from it is predicted by a trained regressor. IMAGE may be a folder
    or a pattern.

    The whole picture is used here, while [bold]vggapps classify[/bold] uses its centre; if
    that has another most probable class, a note says so.

    The exit code is 1 if some of several pictures can't be read.

    [bold]Examples[/bold]

      vggapps localize cat.jpg

      vggapps localize cat.jpg --class "Egyptian cat" -o found.png

      vggapps localize photos/ --top 3 --json
    """
    if name is not None and settings.top > 1:
        raise SettingsError(f"--class is one class, and --top is {settings.top}", "leave one of them out")
    check_stdout(output, as_json=as_json)
    reads = [settings.boxes_from] if settings.boxes_from else []
    photos, targets = plan_optional(
        expand(images, quiet=quiet), "_found", output, force=force, protected=reads, quiet=quiet
    )

    from vggapps.classification import _localize as room
    from vggapps.classification._box_regression import load_boxes
    from vggapps.classification._classifier import Classifier
    from vggapps.classification._explained import classify_center
    from vggapps.image import open_picture
    from vggapps.image._recipe import identify_files, recipe
    from vggapps.weights._labels import find_label

    used = identify_files(settings)
    regressor = load_boxes(settings.boxes_from) if settings.boxes_from else None
    classifier = Classifier.from_settings(settings)
    label = None if name is None else find_label(name, classifier.labels)
    failures, several = Failures(len(photos)), len(photos) > 1
    pairs = zip(photos, targets, strict=True)
    for (path, *_), target in tracked(pairs, "localizing", len(photos), quiet=quiet or not several, printing=True):
        try:
            data, identity = read_input(path)
            picture = open_picture(data, at_least=room.DRAWN, name=Path(path).name)
            found = room.localize(classifier, picture, label, settings.top, regressor)
            named = classify_center(classifier.networks, picture)
            rows = [_record(one) for one in found]
            facts = recipe("localize", settings, {"images": [identity], **used}, {"name": name}, found=rows)
            place = deliver_picture(target, room.draw(picture, found), facts) if target else None
        except Exception as error:
            failures.add(error, path)
            continue
        middle = {**_label(classifier.labels[named.index]), "probability": round(named.probability, 6)}
        if as_json:
            print_json(path=path, output=place, found=rows, middle=middle)
            continue
        if not (target and target.is_stream):
            _print(found, f"{path}: " if several else "")
        if label is None and found[0].label.index != named.index:
            other = f"{middle['label']} ({100 * named.probability:.1f} %)"
            note(f"{path}: for the centre of the picture, classify predicts {other}", quiet=quiet)
    if as_json and several:
        print_totals(pictures=len(photos) - failures.count, failed=failures.count)
    failures.end()


def _label(label: Label) -> dict[str, object]:
    return {"label": label.name, "wordnet": label.wordnet or None, "index": label.index}


def _record(one: Found) -> dict[str, object]:
    box = [round(x, 1) for x in astuple(one.box)]
    return {**_label(one.label), "probability": round(one.probability, 6), "box": box}


def _print(found: Sequence[Found], start: str) -> None:
    for one in found:
        place = " ".join(f"{side:.0f}" for side in astuple(one.box))
        typer.echo(f"{start}{one.label.name}  {100 * one.probability:.1f} %  {place}")
