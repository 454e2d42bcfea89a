"""``vggapps activations``: what a layer makes of a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps.cli.exemplars import Backbone, Dtype, Force, Layer, Seed, Steps
from vggapps.cli.inputs import Input, read
from vggapps.cli.options import Convention, Device, Json, Quiet, Verbose
from vggapps.cli.outputs import check_stdout, plan_outputs
from vggapps.cli.progress import silence, tracked
from vggapps.cli.saving import deliver_picture
from vggapps.errors import SettingsError, unknown
from vggapps.settings import nameless
from vggapps.visualization._settings import PLACE, VisualizeSettings

if TYPE_CHECKING:
    from vggapps.image import Picture

HELP = """
Show what a layer makes of a picture.

Draws the maps of the layer's strongest channels beside the picture: dark blue
is 0 or less, yellow the strongest of all (--scale own: of each map). --grid
draws beside it, for each of its places, what the place means to the layer: a
small picture that is made for the activations there, the larger the stronger
they are. --filters draws the filters of the first convolution; it takes no
picture.

[bold]Examples[/bold]

  vggapps activations cat.jpg --layer relu4_3

  vggapps activations cat.jpg --layer conv5_1 --grid 7 -o meaning.png

  vggapps activations --filters --backbone vgg16
"""

Image = Annotated[str, typer.Argument(metavar="IMAGE", help="A picture, or - for stdin.", show_default=False)]
Channels = Annotated[int, typer.Option(metavar="N", min=1, help="How many of the strongest.")]
Scale = Annotated[str, typer.Option(metavar="common|own", help="What is yellow: the strongest of all, or of each.")]
Grid = Annotated[int, typer.Option(metavar="N", min=0, help="Show what places mean, N a side at most; 8 is usual.")]
Filters = Annotated[bool, typer.Option("--filters", help="Draw the first convolution's filters.")]
Output = Annotated[str | None, typer.Option("--output", "-o", metavar="PATH", help="A file or folder/; - for stdout.")]
Icon = Annotated[int, typer.Option("--size", metavar="SIDE", min=16, help="Of the small pictures, in pixels.")]


def activations(  # noqa: D103 - people see HELP
    image: Image = "",
    layer: Layer = "relu4_3",
    channels: Channels = 16,
    scale: Scale = "common",
    grid: Grid = 0,
    filters: Filters = False,
    output: Output = None,
    size: Icon = PLACE,
    steps: Steps = VisualizeSettings.steps,
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
    if bool(image) == filters:
        raise SettingsError("give a picture, or --filters without one", "for example: vggapps activations cat.jpg")
    if scale not in ("common", "own"):
        raise unknown("--scale", scale, ["common", "own"])
    check_stdout(output, as_json=as_json)
    kind = "_filters" if filters else "_grid" if grid else "_activations"
    (target,) = plan_outputs([Input(image or f"{Path(backbone).stem}.png")], kind, output, force=force)
    assert target is not None

    from vggapps.objectives._networks import load_networks
    from vggapps.visualization import _activations as room
    from vggapps.visualization._filters import filter_sheet
    from vggapps.visualization._natural import scaled_picture

    settings = VisualizeSettings(
        size=size, steps=steps, seed=seed, backbone=backbone, convention=convention,  # type: ignore[arg-type]
        device=device, dtype=dtype,  # type: ignore[arg-type]
    )  # fmt: skip
    network = load_networks(["conv1_1" if filters else layer], settings)[""]
    picture: Picture
    recipe: dict[str, Any] = {"command": "activations", "backbone": nameless(settings, "backbone").backbone}
    facts: list[dict[str, object]] = []
    if filters:
        picture = filter_sheet(network)
    else:
        shown = scaled_picture(read(image), room.SHORTER_SIDE)
        maps = room.maps_of(network, layer, shown)
        recipe |= {"layer": layer, "channels": channels, "scale": scale}
        picture, facts = room.map_sheet(shown, maps, layer, channels, common=scale == "common")
        if grid:
            recipe |= {"grid": grid, "size": size, "steps": steps, "seed": seed}
            cells = room.cells_of(maps, grid)
            drawn = room.icons(list(cells.flatten(1).T), layer, network, settings)
            made = list(tracked(drawn, cells[0].numel(), "drawing", shown=not quiet))
            picture, facts = room.places_sheet(shown, made, cells, layer)
    place = deliver_picture(target, picture, recipe)
    for one in facts if as_json else []:
        typer.echo(json.dumps({"schema": 1, "path": image, "output": place, "layer": layer, **one}))
    if not target.is_stream and not as_json and not quiet:
        typer.echo(place, err=True)
