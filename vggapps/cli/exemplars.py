"""``vggapps exemplars``: the pictures of a folder that excite a channel most."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vggapps.cli.inputs import paths_of
from vggapps.cli.options import Convention, Device, Json, Quiet, Verbose
from vggapps.cli.outputs import plan_distinct, plan_file, plan_picture
from vggapps.cli.progress import silence, tracked
from vggapps.cli.saving import deliver, deliver_picture
from vggapps.errors import SettingsError
from vggapps.settings import nameless
from vggapps.vgg._settings import BACKBONE
from vggapps.visualization._settings import REPORTED, VisualizeSettings

if TYPE_CHECKING:
    from vggapps.visualization._retrieval import Exemplar

HELP = """
Find the pictures that excite a channel most.

Of each picture, scaled to a shorter side of 224, the channel's one strongest
position counts. For each channel the strongest are printed; -o draws on a
sheet what they saw, one row a channel, and --report on a page, beside the
picture that is made for the channel. Boxes are left, top, right and bottom in
pixels of the scaled picture.

The exit code is 1 if some pictures can't be read.

[bold]Examples[/bold]

  vggapps exemplars photos/ --channel 12 --channel 200 -o sheet.png

  vggapps exemplars photos/ --layer conv5_1 --channel 7 --report page.html

  vggapps exemplars photos/ --layer conv4_3 --channel all --json
"""

MOST = 64  # channels on a sheet or page

Folder = Annotated[list[str], typer.Argument(metavar="DIR|FILES...", help="Folders or pictures.", show_default=False)]
Layer = Annotated[str, typer.Option(metavar="NAME", help="Whose channels: conv4_3, relu5_1, ...")]
Channels = Annotated[list[str], typer.Option("--channel", metavar="N|all", help="Which; several times for several.")]
Top = Annotated[int, typer.Option(metavar="N", min=1, help="Pictures for each channel.")]
Output = Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="Draw a sheet.")]
Page = Annotated[str | None, typer.Option("--report", metavar="FILE", help="Write a page, .html.")]
Steps = Annotated[int, typer.Option(metavar="N", min=1, help="Steps of the pictures that are made.")]
Size = Annotated[int, typer.Option(metavar="SIDE", min=16, help="Their side, in pixels.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="The same seed gives the same file.")]
Backbone = Annotated[str, typer.Option(metavar="NAME", help=BACKBONE)]
Dtype = Annotated[str, typer.Option(metavar="auto|float32|bfloat16", help="Of the convolutions.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite files that are named.")]


def exemplars(  # noqa: D103 - people see HELP
    folder: Folder,
    layer: Layer = "conv4_3",
    channel: Channels = ["all"],  # noqa: B006 - typer's way
    top: Top = 9,
    output: Output = None,
    page: Page = None,
    steps: Steps = VisualizeSettings.steps,
    size: Size = REPORTED,
    seed: Seed = VisualizeSettings.seed,
    backbone: Backbone = VisualizeSettings.backbone,
    convention: Convention = VisualizeSettings.convention,
    device: Device = VisualizeSettings.device,
    dtype: Dtype = VisualizeSettings.dtype,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    chosen = _channels(channel)
    if (output or page) and (chosen is None or len(chosen) > MOST):
        raise SettingsError(f"a sheet or page has {MOST} channels at most", "name some: --channel 12 --channel 200")
    paths = paths_of(folder, quiet=quiet)
    sheet = plan_picture(output, 1, paths, force=force) if output else None
    page_file = plan_file(page, paths, force=force, suffixes=[".html", ".htm"]) if page else None
    plan_distinct(sheet, page_file)

    from vggapps.figures._sheet import short_number
    from vggapps.objectives._networks import load_networks
    from vggapps.visualization import _retrieval as room
    from vggapps.visualization._report import made_for, report

    settings = VisualizeSettings(
        size=size, steps=steps, seed=seed, backbone=backbone, convention=convention,  # type: ignore[arg-type]
        device=device, dtype=dtype,  # type: ignore[arg-type]
    )  # fmt: skip
    network = load_networks([layer], settings)[""]
    looked_at = tracked(paths, len(paths), "looking", shown=not quiet)
    found = room.exemplars(network, layer, looked_at, chosen, top)
    for number, best in found.by_channel.items():
        if as_json:
            facts = {"schema": 1, "layer": layer, "channel": number, "exemplars": [_facts(e) for e in best]}
            typer.echo(json.dumps(facts))
        else:
            typer.echo("\n".join(f"{layer}:{number}  {short_number(e.activation)}  {e.path}" for e in best))
    if sheet:
        recipe = {"command": "exemplars", "layer": layer, "channels": chosen, "top": top, "pictures": found.pictures}
        recipe["backbone"] = nameless(settings, "backbone").backbone
        deliver_picture(sheet, room.sheet(found, layer, top), recipe)
    if page_file:
        made = tracked(
            made_for(network, layer, list(found.by_channel), settings), len(found.by_channel), "making", shown=not quiet
        )
        deliver(page_file, report(network, layer, found, list(made)).encode("utf-8", "replace"))
    if found.failed:
        typer.echo(f"{len(found.failed)} of {len(paths)} pictures can't be read", err=True)
        sys.exit(1)


def _facts(e: Exemplar) -> dict[str, object]:
    place = {"row": e.row, "column": e.column, "box": list(e.box), "size": [e.size[1], e.size[0]]}
    return {"path": e.path, "activation": e.activation, **place}


def _channels(words: Sequence[str]) -> list[int] | None:
    if "all" in words:
        return None
    for word in words:
        if not word.isdecimal():
            raise SettingsError(f"--channel {word} is no channel", "give a whole number, or all")
    return list(dict.fromkeys(int(word) for word in words))
