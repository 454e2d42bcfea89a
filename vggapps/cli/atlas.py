"""``vggapps atlas``: a map of what a layer tells apart in the pictures of a folder."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from vggapps.cli.activations import Icon
from vggapps.cli.exemplars import Backbone, Dtype, Folder, Force, Layer, Seed, Steps
from vggapps.cli.inputs import paths_of
from vggapps.cli.options import Convention, Device, Json, Quiet, Verbose
from vggapps.cli.outputs import plan_picture
from vggapps.cli.progress import silence, tracked
from vggapps.cli.saving import deliver_picture
from vggapps.settings import nameless
from vggapps.visualization._settings import CELL, VisualizeSettings

HELP = """
Draw a map of what a layer tells apart.

One random place of each picture is shown to the layer, and the places are
laid out so that what is alike lies together: by umap, if umap-learn is
installed (pip install 'vggapps\\[atlas]'), else by principal components. For
each cell of a grid that has pictures enough, a small picture is made of what
the layer's activations there mean: the larger, the more pictures the cell has,
whose number stands below. The same map beside it has a photo for each cell, the
piece of it that the layer saw. Give some hundreds of pictures.

--json prints the cells: how many pictures are in each, which, and its place.

The exit code is 1 if some pictures can't be read.

[bold]Examples[/bold]

  vggapps atlas photos/ --layer conv5_1

  vggapps atlas photos/ --layer conv4_3 --grid 12 -o map.png --json
"""

Grid = Annotated[int | None, typer.Option(metavar="N", min=1, help="Cells a side; by default for 4 pictures in each.")]
Least = Annotated[int, typer.Option(metavar="N", min=1, help="Pictures that a cell has to have.")]
LayOut = Annotated[str, typer.Option("--layout", metavar="auto|umap|pca", help="How places are laid out.")]
Output = Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="The map.")]


def atlas(  # noqa: D103 - people see HELP
    folder: Folder,
    layer: Layer = "conv5_1",
    grid: Grid = None,
    least: Least = 2,
    layout: LayOut = "auto",
    output: Output = "atlas.png",
    size: Icon = CELL,
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
    paths = paths_of(folder, quiet=quiet)
    target = plan_picture(output, 1, paths, force=force)

    from vggapps.objectives._networks import load_networks
    from vggapps.visualization import _atlas as room
    from vggapps.visualization._activations import icons
    from vggapps.visualization._atlas_sheet import sheet

    layout = room.choose_layout(layout, len(paths))
    settings = VisualizeSettings(
        size=size, steps=steps, seed=seed, backbone=backbone, convention=convention,  # type: ignore[arg-type]
        device=device, dtype=dtype,  # type: ignore[arg-type]
    )  # fmt: skip
    network = load_networks([layer], settings)[""]
    found = room.sample(network, layer, tracked(paths, len(paths), "looking", shown=not quiet), seed)
    side = grid or room.grid_side(len(found.paths))
    cells = room.cells(room.lay_out(found.vectors, layout, seed), found.vectors, side, least)
    drawn = icons([cell.vector for cell in cells], layer, network, settings)
    made = list(tracked(drawn, len(cells), "drawing", shown=not quiet))
    picture, facts = sheet(found, cells, made, side, network, layer)
    recipe = {"command": "atlas", "layer": layer, "grid": side, "least": least, "layout": layout, "size": size}
    recipe |= {"steps": steps, "seed": seed, "pictures": len(found.paths)}
    recipe["backbone"] = nameless(settings, "backbone").backbone
    place = deliver_picture(target, picture, recipe)
    if as_json:
        for one in facts:
            typer.echo(json.dumps({"schema": 1, "output": place, **one}))
    elif not quiet:
        typer.echo(f"{place}: {len(cells)} cells of {len(found.paths)} pictures", err=True)
    if found.failed:
        typer.echo(f"{len(found.failed)} of {len(paths)} pictures can't be read", err=True)
        sys.exit(1)
