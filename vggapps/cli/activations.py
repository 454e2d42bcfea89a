"""``vggapps activations``: feature maps of a picture, and filters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps._progress import tracked
from vggapps.cli.inputs import Input, read_input
from vggapps.cli.options import Force, Json, Output, Quiet, Recorded, with_settings
from vggapps.cli.outcome import print_json, print_totals
from vggapps.cli.outputs import check_stdout, plan_outputs
from vggapps.cli.saving import deliver_picture
from vggapps.errors import SettingsError
from vggapps.visualization._settings import ActivationsSettings

if TYPE_CHECKING:
    from vggapps.image import Picture

Image = Annotated[str, typer.Argument(metavar="IMAGE", help="A picture, or - for stdin.", show_default=False)]
Filters = Annotated[bool, typer.Option("--filters", help="Draw the filters of the first convolution.")]


@with_settings(ActivationsSettings)
def activations(
    settings: ActivationsSettings,
    image: Image = "",
    filters: Filters = False,
    output: Output = None,
    recorded: Recorded = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the feature maps of a layer.

    Draws the maps of the layer's strongest channels beside the picture, from
    dark blue (0 or less) to yellow (the maximum over all maps; with --scale own
    of each map). --grid draws a feature visualization of the activations in
    each cell of a grid; the pictures are larger where the activations are
    stronger. --filters draws the filters of the first convolution and takes no
    picture.

    [bold]Examples[/bold]

      vggapps activations cat.jpg --layer relu4_3

      vggapps activations cat.jpg --layer conv5_1 --grid 7 -o meaning.png

      vggapps activations --filters --backbone vgg16
    """
    if bool(image) == filters:
        raise SettingsError("give either a picture or --filters", "for example: vggapps activations cat.jpg")
    check_stdout(output, as_json=as_json)
    kind = "_filters" if filters else "_grid" if settings.grid else "_activations"
    (target,) = plan_outputs([Input(image or f"{Path(settings.backbone).stem}.png")], kind, output, force=force)
    assert target is not None

    from vggapps.datasets._reading import scaled_picture
    from vggapps.image import open_picture
    from vggapps.image._recipe import identify_files, recipe
    from vggapps.objectives._networks import load_networks
    from vggapps.visualization import _activations as room
    from vggapps.visualization._activations import filter_sheet

    inputs: dict[str, Any] = identify_files(settings)
    layer = settings.layer
    network = load_networks(["conv1_1" if filters else layer], settings.drawing)[""]
    facts: list[dict[str, object]] = []
    if filters:
        sheet: Picture = filter_sheet(network)
    else:
        data, identity = read_input(image)
        inputs |= {"image": [identity]}
        side = room.shorter_side(network)
        picture = open_picture(data, at_least=2 * side, name=Path(image).name)
        shown = scaled_picture(picture, side)
        maps = room.maps_of(network, layer, shown)
        if settings.grid:
            cells = room.average_cells(maps, settings.grid)
            drawn = room.visualize_vectors(list(cells.flatten(1).T), layer, network, settings.drawing)
            made = list(tracked(drawn, "drawing", cells[0].numel(), quiet=quiet))
            sheet, facts = room.places_sheet(shown, made, cells, layer)
        else:
            sheet, facts = room.map_sheet(shown, maps, layer, settings.channels, common=settings.scale == "common")
    place = deliver_picture(target, sheet, recipe("activations", settings, inputs, {"filters": filters}))
    if as_json:
        for one in facts:
            print_json(path=image, output=place, layer=layer, **one)
        print_totals(rows=len(facts), output=place)
    elif not target.is_stream:
        typer.echo(place)
