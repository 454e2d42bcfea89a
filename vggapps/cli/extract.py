"""``vggapps extract``: pictures to a table of features."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from vggapps.cli.inputs import paths_of
from vggapps.cli.options import Device, Quiet, Verbose
from vggapps.cli.outcome import tell_in_passing
from vggapps.cli.outputs import plan_file
from vggapps.cli.progress import silence
from vggapps.cli.shards import Shard, parse_shard, take
from vggapps.errors import PictureError

HELP = """
Turn pictures into rows of numbers: the output of one layer, for each.

A folder means the pictures in it and in its subfolders. Of each picture the
shorter side is scaled to 256 and the square of 224 in the middle is taken
(--size other than 224 changes both alike). A map is pooled over its
positions: [bold]avg[/bold], [bold]max[/bold], both ([bold]avg+max[/bold]), averages of 1, 4 and 16
cells ([bold]pyramid[/bold]), or not ([bold]none[/bold]). Layers such as [bold]fc7[/bold] are rows already.

-o names a .npz file (numpy.load: features, paths, failed), a .safetensors
or a .parquet file. What is done is kept in a folder beside it until all is:
the same command goes on after whatever stopped it. Any number of pictures
fits: they pass through memory a few at a time.

Pictures that can't be read have no row; the exit code is 1 then.

[bold]Examples[/bold]

  vggapps extract photos/ -o features.npz

  vggapps extract photos/ --layer relu5_3 --pool avg+max --backbone vgg16 -o features.safetensors

  vggapps extract photos/ --shard 1/4 -o features-1.npz
"""

Pictures = Annotated[list[str], typer.Argument(metavar="DIR|FILES...", help="Folders or pictures.", show_default=False)]
Output = Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="The table.", show_default=False)]
Layer = Annotated[str, typer.Option(metavar="NAME", help="Whose output: relu5_3, pool5, fc7, ...")]
Pool = Annotated[str, typer.Option(metavar="avg|max|avg+max|pyramid|none", help="How a map becomes a row.")]
Backbone = Annotated[str, typer.Option(metavar="NAME", help="The network; auto is vgg19, which is installed.")]
Size = Annotated[int, typer.Option(metavar="SIDE", min=1, help="Side of the square, in pixels.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Start anew, and overwrite the table.")]


def extract(  # noqa: D103 - people see HELP
    pictures: Pictures,
    output: Output,
    layer: Layer = "pool5",
    pool: Pool = "avg",
    backbone: Backbone = "auto",
    size: Size = 224,
    shard: Shard = "1/1",
    device: Device = "auto",
    force: Force = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    paths = take(paths_of(pictures, quiet=quiet), parse_shard(shard))
    if not paths:
        raise PictureError(f"no picture falls to --shard {shard}", "make fewer shards")

    plan_file(output, paths, force=force)

    from vggapps.features._extraction import extract_to
    from vggapps.features._files import load_features
    from vggapps.weights._backbone import load_network

    network = load_network(backbone, layers=[layer], device=device)
    failed, resumed, console = 0, 0, Console(stderr=True, quiet=quiet)
    with Progress(console=console, transient=True, redirect_stdout=False, disable=not console.is_terminal) as bar:
        task = bar.add_task("extracting", total=len(paths))
        try:
            for part in extract_to(output, paths, network, layer, pool, size=size, force=force):
                for path, message in part.errors:
                    tell_in_passing(f"{path}: {message.removeprefix(f'{Path(path).name}: ')}")
                failed += len(part.errors)
                resumed = part.stop if part.resumed else resumed
                bar.update(task, completed=part.stop)
        except KeyboardInterrupt:
            typer.echo(f"\nwhat is done is kept in {output}.part: the same command goes on", err=True)
            raise
    rows, numbers = load_features(output).features.shape
    if not quiet:
        before = f", {resumed} pictures of them by an earlier run" if resumed else ""
        typer.echo(f"{output}: {rows} rows of {numbers} numbers{before}", err=True)
    if failed:
        typer.echo(f"{failed} of {len(paths)} pictures can't be read", err=True)
        sys.exit(1)
