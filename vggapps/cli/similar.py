"""``vggapps similar``: the pictures that are most like one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vggapps.cli.inputs import STREAM, paths_of, read
from vggapps.cli.options import Device, Json, Quiet, Verbose
from vggapps.cli.outcome import tell_in_passing
from vggapps.cli.outputs import plan_picture
from vggapps.cli.progress import silence
from vggapps.cli.saving import deliver_picture
from vggapps.errors import PictureError, SettingsError, in_a_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vggapps.features._similar import Match

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

    from vggapps.features._describe import describe, extract
    from vggapps.features._files import load_features
    from vggapps.features._similar import blocks_of, is_query, nearest, sheet
    from vggapps.image import from_pil
    from vggapps.weights._backbone import load_network

    table = None if paths else load_features(where)
    if table:
        made = table.settings
        for option, word, own in (("--layer", layer, made.layer), ("--pool", pool, made.pool)):
            if word not in (None, own):
                raise SettingsError(f"{option} {word}, and {where} has {own}", f"leave {option} out")
        network = load_network(f"{made.network}={made.weights}", layers=[made.layer], device=device, dtype=made.dtype)
    else:
        network = load_network(layers=[layer or "pool5"], device=device)
        made = describe(network, layer or "pool5", pool or "avg")

    (query,) = extract([source], network, made.layer, made.pool, size=made.size)
    if query.errors:
        raise query.errors[0]
    failed = 0

    def looked_at() -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        nonlocal failed
        for chunk in extract(paths, network, made.layer, made.pool, size=made.size):
            for error in chunk.errors.values():
                tell_in_passing(error)
            failed += len(chunk.errors)
            yield [paths[i] for i in chunk.kept], chunk.rows

    left_out: list[str] = []

    def skip(match: Match) -> bool:
        is_itself = image != STREAM and is_query(image, match)
        if is_itself:
            left_out.append(match.path)
        return is_itself

    matches = nearest(query.rows[0], blocks_of(table) if table else looked_at(), top, skip)
    if left_out and not quiet:
        typer.echo(in_a_line(f"{left_out[0]} is the picture itself and left out"), err=True)
    if not matches:
        raise PictureError(f"{where}: there is no other picture in it", "name a folder or table with more pictures")
    for match in matches:
        facts = {"schema": 1, "path": match.path, "similarity": match.similarity}
        typer.echo(json.dumps(facts) if as_json else f"{match.similarity:.4f}  {match.path}")
    if target:
        place = deliver_picture(target, from_pil(sheet(source, matches)))
        if not quiet:
            typer.echo(f"{place}: {len(matches)} pictures", err=True)
    if failed:
        typer.echo(f"{failed} pictures can't be read", err=True)
        sys.exit(1)
