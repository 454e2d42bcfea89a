"""``vggapps localize``: where in a picture the object is that the network sees there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vggapps._progress import tracked
from vggapps.classification._settings import LocalizeSettings
from vggapps.cli.inputs import expand, opened
from vggapps.cli.options import Force, Images, Json, Output, Quiet, Recorded, Verbose, with_settings
from vggapps.cli.outcome import Failures, note, print_json, print_totals
from vggapps.cli.outputs import check_stdout, plan_wanted
from vggapps.cli.progress import silence
from vggapps.cli.saving import deliver_picture
from vggapps.errors import SettingsError

if TYPE_CHECKING:
    from vggapps.classification._localize import Found
    from vggapps.weights._labels import Label

HELP = """
Find where in a picture the object is.

For the most probable class, or the one that --class names, prints the probability and the box around it: left, top,
right and bottom in pixels of the upright picture. The box is that around the largest hot part of the class's
Grad-CAM; or what --boxes-from has learnt. IMAGE may be a folder or a pattern.

The picture is seen whole here and [bold]vggapps classify[/bold] looks at its middle: if it names another class, that is
told.

The exit code is 1 if some of several pictures can't be read.

[bold]Examples[/bold]

  vggapps localize cat.jpg

  vggapps localize cat.jpg --class "Egyptian cat" -o found.png

  vggapps localize photos/ --top 3 --json
"""

Name = Annotated[str | None, typer.Option("--class", metavar="NAME", help="What to find: name, id or index.")]


@with_settings(LocalizeSettings)
def localize(  # noqa: D103 - people see HELP
    settings: LocalizeSettings,
    images: Images,
    name: Name = None,
    output: Output = None,
    recorded: Recorded = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    if name is not None and settings.top > 1:
        raise SettingsError(f"--class names one class, and --top {settings.top} asks for more", "leave one of them out")
    check_stdout(output, as_json=as_json)
    photos = expand(images, quiet=quiet)
    protected = [settings.boxes_from] if settings.boxes_from else []
    photos, targets = plan_wanted(photos, "_found", output, force=force, protected=protected, quiet=quiet)

    from vggapps.classification import _localize as rooms
    from vggapps.classification._box_regression import load_boxes
    from vggapps.classification._classifier import Classifier
    from vggapps.classification._explained import classified
    from vggapps.image import open_picture
    from vggapps.image._recipe import identify_files, recipe
    from vggapps.weights._labels import find_label

    used = identify_files(settings)
    regressor = load_boxes(settings.boxes_from) if settings.boxes_from else None
    classifier = Classifier.of(settings)
    label = None if name is None else find_label(name, classifier.labels)
    failures, several = Failures(len(photos)), len(photos) > 1
    work = tracked(
        zip(photos, targets, strict=True), "localizing", len(photos), quiet=quiet or not several, printing=True
    )
    for (path, *_), target in work:
        try:
            data, identity = opened(path)
            picture = open_picture(data, at_least=rooms.DRAWN, name=Path(path).name)
            found = rooms.localize(classifier, picture, label, settings.top, regressor)
            named = classified(classifier.networks, picture)
            facts = [_facts(one) for one in found]
            told = recipe("localize", settings, {"images": [identity], **used}, {"name": name}, found=facts)
            place = deliver_picture(target, rooms.draw(picture, found), told) if target else None
        except Exception as error:
            failures.add(error, path)
            continue
        middle = {**_known(classifier.labels[named.index]), "probability": round(named.probability, 6)}
        if as_json:
            print_json(path=path, output=place, found=facts, middle=middle)
            continue
        if not (target and target.is_stream):
            _print(found, f"{path}: " if several else "")
        if label is None and found[0].label.index != named.index:
            other = f"{middle['label']} ({100 * named.probability:.1f} %)"
            note(f"{path}: classify, which looks at the middle of the picture, names {other}", quiet=quiet)
    if as_json and several:
        print_totals(pictures=len(photos) - failures.count, failed=failures.count)
    failures.end()


def _known(label: Label) -> dict[str, object]:
    return {"label": label.name, "wordnet": label.wordnet or None, "index": label.index}


def _facts(one: Found) -> dict[str, object]:
    return {
        **_known(one.label),
        "probability": round(one.probability, 6),
        "box": [round(x, 1) for x in astuple(one.box)],
    }


def _print(found: Sequence[Found], start: str) -> None:
    for one in found:
        place = " ".join(f"{side:.0f}" for side in astuple(one.box))
        typer.echo(f"{start}{one.label.name}  {100 * one.probability:.1f} %  {place}")
