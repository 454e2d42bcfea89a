"""``vggapps localize``: where in a picture the object is that the network sees there."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Annotated

import typer

from vggapps.cli.foreign import known
from vggapps.cli.options import Backbone, BoxesFrom, Device, Force, Images, Json, Quiet, Verbose, words
from vggapps.cli.outputs import STREAM, expand, plan_outputs, read
from vggapps.cli.progress import silence
from vggapps.errors import SettingsError

if TYPE_CHECKING:
    from vggapps.classify.localize import Found

HELP = """
Find where in a picture the object is.

For the most probable class, or the one that --class names, prints the probability and the box around it: left, top,
right and bottom in pixels of the upright picture. The box is that around the largest hot part of the class's
Grad-CAM; or what --boxes-from has learnt. IMAGE may be a folder or a pattern.

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
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    if name is not None and top > 1:
        raise SettingsError(f"--class names one class, and --top {top} asks for {top}", "leave one of them out")
    if output == STREAM and as_json:
        raise SettingsError("the picture and the JSON both want stdout", "give -o a file")
    paths = [path for word in images for path in expand(word)]
    targets: Sequence[str | None] = [None] * len(paths)
    if output is not None:
        targets = plan_outputs(paths, "_found", output, force=force, protected=[boxes_from] if boxes_from else [])

    from vggapps.classify import localize as rooms
    from vggapps.classify.box_regression import load_boxes
    from vggapps.classify.classifier import Classifier
    from vggapps.image import encode_picture, open_picture, save_picture
    from vggapps.weights.labels import find_label

    regressor = load_boxes(boxes_from) if boxes_from else None
    networks = words(backbone)
    classifier = Classifier(networks, views="dense", device=device)  # type: ignore[arg-type]
    label = None if name is None else find_label(name, classifier.labels)
    failed = 0
    for path, target in zip(paths, targets, strict=True):
        try:
            source = read(path)
            found = rooms.localize(classifier, source, label, top, regressor)
            if target is not None:
                drawn = rooms.draw(open_picture(source), found)
                if target == STREAM:
                    sys.stdout.buffer.write(encode_picture(drawn, "png"))
                else:
                    save_picture(drawn, target, overwrite=True)
        except Exception as error:
            told = known(error, path)
            if told is None or len(paths) == 1:
                raise
            typer.secho(f"error: {told}", fg="red", err=True)
            failed += 1
            continue
        if as_json:
            typer.echo(json.dumps({"schema": 1, "path": path, "found": [_facts(one) for one in found]}))
        elif target != STREAM:
            _print(path, found, several=len(paths) > 1)
    if failed:
        typer.echo(f"{failed} of {len(paths)} pictures can't be read", err=True)
        sys.exit(1)


def _facts(one: Found) -> dict[str, object]:
    known = {"label": one.label.name, "wordnet": one.label.wordnet or None, "index": one.label.index}
    return {**known, "probability": round(one.probability, 6), "box": [round(x, 1) for x in astuple(one.box)]}


def _print(path: str, found: Sequence[Found], *, several: bool) -> None:
    for one in found:
        place = " ".join(f"{side:.0f}" for side in astuple(one.box))
        start = f"{path}: " if several else ""
        typer.echo(f"{start}{one.label.name}  {100 * one.probability:.1f} %  {place}")
