"""``vggapps localize``: where in a picture the object is that the network sees there."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Annotated

import typer

from vggapps.cli.inputs import expand, read
from vggapps.cli.options import (
    Backbone,
    BoxesFrom,
    Classes,
    Convention,
    Device,
    Force,
    Images,
    Json,
    Quiet,
    Verbose,
    words,
)
from vggapps.cli.outcome import failure, tell_in_passing
from vggapps.cli.outputs import check_stdout, plan_outputs
from vggapps.cli.progress import silence
from vggapps.cli.saving import Target, deliver_picture
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
Output = Annotated[
    str | None, typer.Option("--output", "-o", metavar="PATH", help="Draw the boxes: a file or folder/; - for stdout.")
]
Top = Annotated[int, typer.Option(metavar="N", min=1, help="Find the N most probable classes.")]


def localize(  # noqa: D103 - people see HELP
    images: Images,
    name: Name = None,
    boxes_from: BoxesFrom = None,
    output: Output = None,
    top: Top = 1,
    backbone: Backbone = "auto",
    classes: Classes = None,
    convention: Convention = None,
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    if name is not None and top > 1:
        raise SettingsError(f"--class names one class, and --top {top} asks for {top}", "leave one of them out")
    check_stdout(output, as_json=as_json)
    photos = expand(images, quiet=quiet)
    targets: Sequence[Target | None] = [None] * len(photos)
    if output is not None:
        protected = [boxes_from] if boxes_from else []
        targets = plan_outputs(photos, "_found", output, force=force, protected=protected, quiet=quiet)
        photos = [photo for photo, target in zip(photos, targets, strict=True) if target]
        targets = [target for target in targets if target]

    from vggapps.classification import _localize as rooms
    from vggapps.classification._box_regression import load_boxes
    from vggapps.classification._classifier import Classifier
    from vggapps.classification._explained import classified
    from vggapps.image import open_picture
    from vggapps.weights._labels import find_label

    regressor = load_boxes(boxes_from) if boxes_from else None
    networks = words(backbone)
    classifier = Classifier(networks, views="dense", device=device, classes=classes, convention=convention)  # type: ignore[arg-type]
    label = None if name is None else find_label(name, classifier.labels)
    failed = 0
    for (path, *_), target in zip(photos, targets, strict=True):
        try:
            source = read(path)
            found = rooms.localize(classifier, source, label, top, regressor)
            named = classified(classifier.networks, open_picture(source, at_least=2 * rooms.SIDE))
            place = deliver_picture(target, rooms.draw(source, found)) if target else None
        except Exception as error:
            problem = failure(error, path)
            if len(photos) == 1:
                raise
            tell_in_passing(problem)
            failed += 1
            continue
        middle = {**_known(classifier.labels[named.index]), "probability": round(named.probability, 6)}
        if as_json:
            facts = {"schema": 1, "path": path, "output": place, "found": [_facts(one) for one in found]}
            typer.echo(json.dumps({**facts, "middle": middle}))
            continue
        if not (target and target.is_stream):
            _print(path, found, several=len(photos) > 1)
        if label is None and found[0].label.index != named.index and not quiet:
            other = f"{middle['label']} ({100 * named.probability:.1f} %)"
            typer.echo(f"{path}: classify, which looks at the middle of the picture, names {other}", err=True)
    if failed:
        typer.echo(f"{failed} of {len(photos)} pictures failed", err=True)
        sys.exit(1)


def _known(label: Label) -> dict[str, object]:
    return {"label": label.name, "wordnet": label.wordnet or None, "index": label.index}


def _facts(one: Found) -> dict[str, object]:
    return {
        **_known(one.label),
        "probability": round(one.probability, 6),
        "box": [round(x, 1) for x in astuple(one.box)],
    }


def _print(path: str, found: Sequence[Found], *, several: bool) -> None:
    for one in found:
        place = " ".join(f"{side:.0f}" for side in astuple(one.box))
        start = f"{path}: " if several else ""
        typer.echo(f"{start}{one.label.name}  {100 * one.probability:.1f} %  {place}")
