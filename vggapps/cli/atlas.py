"""``vggapps atlas``: an activation atlas."""

from __future__ import annotations

from dataclasses import replace

import typer

from vggapps._progress import tracked
from vggapps.cli.inputs import identify_inputs, paths_of
from vggapps.cli.options import Force, Json, OutputFile, Pictures, Quiet, Recorded, with_settings
from vggapps.cli.outcome import Failures, note, print_json, print_totals
from vggapps.cli.outputs import check_stdout, plan_picture
from vggapps.cli.saving import deliver_picture
from vggapps.visualization._settings import AtlasSettings


@with_settings(AtlasSettings)
def atlas(
    settings: AtlasSettings,
    pictures: Pictures,
    output: OutputFile = "atlas.png",
    recorded: Recorded = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw an activation atlas of a layer.

    Takes the layer's activations at one random position of each picture and
    projects them to two dimensions, so that similar ones are close: by UMAP if
    umap-learn is installed (pip install 'vggapps\\[atlas]'), otherwise by
    principal components. A grid is laid over the projection. Each cell with
    enough pictures shows a feature visualization of its mean activation; it is
    larger if the cell has more pictures, whose number is below. A second map
    shows a photo patch for each cell. Use at least some hundreds of pictures.

    --json prints each cell's pictures and position; the last line has totals.

    The exit code is 1 if some pictures can't be read.

    [bold]Examples[/bold]

      vggapps atlas photos/ --layer conv5_1

      vggapps atlas photos/ --layer conv4_3 --grid 12 -o map.png --json
    """
    check_stdout(output, as_json=as_json)
    paths = paths_of(pictures, quiet=quiet)
    target = plan_picture(output, 1, paths, force=force)

    from vggapps.image._recipe import identify_files, recipe
    from vggapps.objectives._networks import load_networks
    from vggapps.visualization import _atlas as room
    from vggapps.visualization._activations import visualize_vectors
    from vggapps.visualization._atlas import atlas_sheet

    layout, layer = room.choose_layout(settings.layout, len(paths)), settings.layer
    inputs = {"pictures": identify_inputs(pictures), **identify_files(settings)}
    network = load_networks([layer], settings.drawing)[""]
    found = room.sample(network, layer, tracked(paths, "sampling", quiet=quiet), settings.seed)
    side = settings.grid or room.grid_side(len(found.paths))
    laid = room.lay_out(found.vectors, layout, settings.seed)
    cells = room.cells(laid, found.vectors, side, settings.least)
    drawn = visualize_vectors([cell.vector for cell in cells], layer, network, settings.drawing)
    picture, facts = atlas_sheet(
        found, cells, list(tracked(drawn, "drawing", len(cells), quiet=quiet)), side, network, layer
    )
    used = replace(settings, grid=side, layout=layout)
    place = deliver_picture(target, picture, recipe("atlas", used, inputs, seen=len(found.paths)))
    note(f"{len(cells)} cells from {len(found.paths)} pictures", quiet=quiet)
    failures = Failures(len(paths), count=len(found.failed))
    if as_json:
        for one in facts:
            print_json(output=place, **one)
        print_totals(rows=len(facts), output=place, pictures=len(found.paths), failed=failures.count)
    elif not target.is_stream:
        typer.echo(place)
    failures.end()
