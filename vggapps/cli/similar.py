"""``vggapps similar``: the pictures that are most like one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vggapps.cli.inputs import identify_inputs, paths_of, read
from vggapps.cli.options import Force, Json, Output, Quiet, Recorded, Verbose, with_settings
from vggapps.cli.outcome import Failures, note, print_json, print_totals, tell_in_passing
from vggapps.cli.outputs import check_stdout, plan_picture
from vggapps.cli.progress import silence
from vggapps.cli.saving import deliver_picture
from vggapps.features._settings import SimilarSettings

HELP = """
Find the pictures that are most like IMAGE.

They are looked for in a folder and its subfolders, or in a table that
[bold]vggapps extract[/bold] made, which is quicker the second time. What is compared is the
output of a layer, averaged over the picture: 1 is the same. IMAGE itself is
left out if it is there; a copy of it is a result.

[bold]Examples[/bold]

  vggapps similar cat.jpg photos/

  vggapps similar cat.jpg photos/ --top 20 -o sheet.png

  vggapps extract photos/ -o features.npy
  vggapps similar cat.jpg features.npy
"""

Query = Annotated[str, typer.Argument(metavar="IMAGE", help="A picture.", show_default=False)]
Where = Annotated[str, typer.Argument(metavar="DIR|FEATURES", help="Where to look.", show_default=False)]


@with_settings(SimilarSettings)
def similar(  # noqa: D103 - people see HELP
    settings: SimilarSettings,
    image: Query,
    where: Where,
    output: Output = None,
    recorded: Recorded = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    check_stdout(output, printing=True)
    paths = paths_of([where], quiet=quiet) if Path(where).is_dir() else []
    target = plan_picture(output, 1, [image, *(paths or [where])], force=force) if output else None

    from vggapps.features._verbs import similar
    from vggapps.image._recipe import recipe

    found = similar(
        read(image), where, settings.top,
        layer=settings.layer, pool=settings.pool, device=settings.device, progress=not quiet,
    )  # fmt: skip
    for error in found.errors:
        tell_in_passing(error)
    if found.left_out:
        note(f"{found.left_out} is the picture itself and left out", quiet=quiet)
    for match in found:
        if as_json:
            print_json(path=match.path, similarity=match.similarity)
        else:
            typer.echo(match)
    place = None
    if target:
        told = recipe("similar", settings, {"image": [found.identity], "where": identify_inputs([where])})
        place = deliver_picture(target, found.sheet(), told)
        note(f"{place}: {len(found)} pictures", quiet=quiet)
    failures = Failures(len(paths), count=len(found.errors))
    if as_json:
        print_totals(rows=len(found), output=place, failed=failures.count)
    failures.end()
