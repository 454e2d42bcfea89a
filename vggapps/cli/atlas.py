"""``vggapps atlas``: a map of what a layer tells apart in the pictures of a folder."""

from __future__ import annotations

from dataclasses import replace

import typer

from vggapps._progress import tracked
from vggapps.cli.inputs import identify_inputs, paths_of
from vggapps.cli.options import Force, Json, OutputFile, Pictures, Quiet, Recorded, Verbose, with_settings
from vggapps.cli.outcome import Failures, note, print_json, print_totals
from vggapps.cli.outputs import check_stdout, plan_picture
from vggapps.cli.progress import silence
from vggapps.cli.saving import deliver_picture
from vggapps.visualization._settings import AtlasSettings

HELP = """
Draw a map of what a layer tells apart.

One random place of each picture is shown to the layer, and the places are
laid out so that what is alike lies together: by umap, if umap-learn is
installed (pip install 'vggapps\\[atlas]'), else by principal components. For
each cell of a grid that has pictures enough, a small picture is made of what
the layer's activations there mean: the larger, the more pictures the cell has,
whose number stands below. The same map beside it has a photo for each cell, the
piece of it that the layer saw. Give some hundreds of pictures.

--json prints the cells: how many pictures are in each, which, and its place;
the last line has the totals.

The exit code is 1 if some pictures can't be read.

[bold]Examples[/bold]

  vggapps atlas photos/ --layer conv5_1

  vggapps atlas photos/ --layer conv4_3 --grid 12 -o map.png --json
"""


@with_settings(AtlasSettings)
def atlas(  # noqa: D103 - people see HELP
    settings: AtlasSettings,
    pictures: Pictures,
    output: OutputFile = "atlas.png",
    recorded: Recorded = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    check_stdout(output, as_json=as_json)
    paths = paths_of(pictures, quiet=quiet)
    target = plan_picture(output, 1, paths, force=force)

    from vggapps.image._recipe import identify_files, recipe
    from vggapps.objectives._networks import load_networks
    from vggapps.visualization import _atlas as room
    from vggapps.visualization._activations import visualize_vectors
    from vggapps.visualization._atlas_sheet import atlas_sheet

    layout, layer = room.choose_layout(settings.layout, len(paths)), settings.layer
    inputs = {"pictures": identify_inputs(pictures), **identify_files(settings)}
    network = load_networks([layer], settings.drawing)[""]
    found = room.sample(network, layer, tracked(paths, "looking", quiet=quiet), settings.seed)
    side = settings.grid or room.grid_side(len(found.paths))
    laid = room.lay_out(found.vectors, layout, settings.seed)
    cells = room.cells(laid, found.vectors, side, settings.least)
    drawn = visualize_vectors([cell.vector for cell in cells], layer, network, settings.drawing)
    picture, facts = atlas_sheet(
        found, cells, list(tracked(drawn, "drawing", len(cells), quiet=quiet)), side, network, layer
    )
    used = replace(settings, grid=side, layout=layout)
    place = deliver_picture(target, picture, recipe("atlas", used, inputs, seen=len(found.paths)))
    note(f"{len(cells)} cells of {len(found.paths)} pictures", quiet=quiet)
    failures = Failures(len(paths), count=len(found.failed))
    if as_json:
        for one in facts:
            print_json(output=place, **one)
        print_totals(rows=len(facts), output=place, pictures=len(found.paths), failed=failures.count)
    elif not target.is_stream:
        typer.echo(place)
    failures.end()
