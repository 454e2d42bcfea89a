"""``vggapps similar``: the pictures that are most like one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vggapps.cli.inputs import paths_of, read
from vggapps.cli.options import Device, Json, Quiet, Verbose
from vggapps.cli.outcome import tell_in_passing
from vggapps.cli.outputs import plan_picture
from vggapps.cli.progress import silence
from vggapps.cli.saving import deliver_picture
from vggapps.errors import in_a_line

if TYPE_CHECKING:
    pass

HELP = """
Find the pictures that are most like IMAGE.

They are looked for in a folder and its subfolders, or in a table that
[bold]vggapps extract[/bold] made, which is quicker the second time. What is compared is the
output of a layer, averaged over the picture: 1 is the same. IMAGE itself is
left out if it is there; a copy of it is a result.

[bold]Examples[/bold]

  vggapps similar cat.jpg photos/

  vggapps similar cat.jpg photos/ --top 20 -o sheet.png

  vggapps extract photos/ -o features.npz
  vggapps similar cat.jpg features.npz
"""

Query = Annotated[str, typer.Argument(metavar="IMAGE", help="A picture.", show_default=False)]
Where = Annotated[str, typer.Argument(metavar="DIR|FEATURES", help="Where to look.", show_default=False)]
Top = Annotated[int, typer.Option(metavar="N", min=1, help="How many.")]
Layer = Annotated[str | None, typer.Option(metavar="NAME", help="Whose output; by default pool5, or the table's.")]
Pool = Annotated[str | None, typer.Option(metavar="NAME", help="How maps become rows; by default avg, or the table's.")]
Output = Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Draw them on a sheet.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the sheet.")]


def similar(  # noqa: D103 - people see HELP
    image: Query,
    where: Where,
    top: Top = 12,
    layer: Layer = None,
    pool: Pool = None,
    output: Output = None,
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    paths = paths_of([where], quiet=quiet) if Path(where).is_dir() else []
    target = plan_picture(output, 1, [image, *(paths or [where])], force=force) if output else None
    source = read(image)

    from vggapps.features._verbs import similar

    found = similar(source, where, top, layer=layer, pool=pool, device=device, progress=not quiet)
    for error in found.errors:
        tell_in_passing(error)
    if found.left_out and not quiet:
        typer.echo(in_a_line(f"{found.left_out} is the picture itself and left out"), err=True)
    for match in found:
        facts = {"schema": 1, "path": match.path, "similarity": match.similarity}
        typer.echo(json.dumps(facts) if as_json else match)
    if target:
        place = deliver_picture(target, found.sheet())
        if not quiet:
            typer.echo(f"{place}: {len(found)} pictures", err=True)
    if found.errors:
        typer.echo(f"{len(found.errors)} pictures can't be read", err=True)
        sys.exit(1)
