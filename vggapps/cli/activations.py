"""``vggapps activations``: what a layer makes of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps._progress import tracked
from vggapps.cli.inputs import Input, opened
from vggapps.cli.options import Force, Json, Output, Quiet, Recorded, Verbose, with_settings
from vggapps.cli.outcome import print_json, print_totals
from vggapps.cli.outputs import check_stdout, plan_outputs
from vggapps.cli.progress import silence
from vggapps.cli.saving import deliver_picture
from vggapps.errors import SettingsError
from vggapps.visualization._settings import ActivationsSettings

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
Filters = Annotated[bool, typer.Option("--filters", help="Draw the first convolution's filters.")]


@with_settings(ActivationsSettings)
def activations(  # noqa: D103 - people see HELP
    settings: ActivationsSettings,
    image: Image = "",
    filters: Filters = False,
    output: Output = None,
    recorded: Recorded = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    if bool(image) == filters:
        raise SettingsError("give a picture, or --filters without one", "for example: vggapps activations cat.jpg")
    check_stdout(output, as_json=as_json)
    kind = "_filters" if filters else "_grid" if settings.grid else "_activations"
    (target,) = plan_outputs([Input(image or f"{Path(settings.backbone).stem}.png")], kind, output, force=force)
    assert target is not None

    from vggapps.datasets._reading import scaled_picture
    from vggapps.image import open_picture
    from vggapps.image._recipe import identify_files, recipe
    from vggapps.objectives._networks import load_networks
    from vggapps.visualization import _activations as room
    from vggapps.visualization._filters import filter_sheet

    inputs: dict[str, Any] = identify_files(settings)
    layer = settings.layer
    network = load_networks(["conv1_1" if filters else layer], settings.drawing)[""]
    picture: Picture
    facts: list[dict[str, object]] = []
    if filters:
        picture = filter_sheet(network)
    else:
        data, identity = opened(image)
        inputs |= {"image": [identity]}
        picture_read = open_picture(data, at_least=2 * room.SHORTER_SIDE, name=Path(image).name)
        shown = scaled_picture(picture_read, room.SHORTER_SIDE)
        maps = room.maps_of(network, layer, shown)
        if settings.grid:
            cells = room.cells_of(maps, settings.grid)
            drawn = room.visualize_vectors(list(cells.flatten(1).T), layer, network, settings.drawing)
            made = list(tracked(drawn, "drawing", cells[0].numel(), quiet=quiet))
            picture, facts = room.places_sheet(shown, made, cells, layer)
        else:
            picture, facts = room.map_sheet(shown, maps, layer, settings.channels, common=settings.scale == "common")
    place = deliver_picture(target, picture, recipe("activations", settings, inputs, {"filters": filters}))
    if as_json:
        for one in facts:
            print_json(path=image, output=place, layer=layer, **one)
        print_totals(rows=len(facts), output=place)
    elif not target.is_stream:
        typer.echo(place)
