"""``vggapps similar``: the most similar pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vggapps.cli.inputs import identify_inputs, paths_of, read_input
from vggapps.cli.options import Force, Json, Output, Quiet, Recorded, with_settings
from vggapps.cli.outcome import Failures, note, print_error_line, print_json, print_totals
from vggapps.cli.outputs import check_stdout, plan_picture
from vggapps.cli.saving import deliver_picture
from vggapps.features._settings import SimilarSettings

Query = Annotated[str, typer.Argument(metavar="IMAGE", help="A picture.", show_default=False)]
Where = Annotated[
    str, typer.Argument(metavar="DIR|FEATURES", help="A folder to search, or a table of features.", show_default=False)
]


@with_settings(SimilarSettings)
def similar(
    settings: SimilarSettings,
    image: Query,
    where: Where,
    output: Output = None,
    recorded: Recorded = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the pictures that are most similar to IMAGE.

    Searches a folder with its subfolders, or a table made by [bold]vggapps extract[/bold],
    which is faster for repeated searches. The similarity is the cosine of the
    layer's averaged features; 1 is identical. IMAGE itself is skipped, but
    copies of it are found.

    [bold]Examples[/bold]

      vggapps similar cat.jpg photos/

      vggapps similar cat.jpg photos/ --top 20 -o sheet.png

      vggapps extract photos/ -o features.npy
      vggapps similar cat.jpg features.npy
    """
    check_stdout(output, printing=True)
    paths = paths_of([where], quiet=quiet) if Path(where).is_dir() else []
    target = plan_picture(output, 1, [image, *(paths or [where])], force=force) if output else None
    data, identity = read_input(image)

    from vggapps.features._verbs import similar
    from vggapps.image._recipe import recipe

    source = image if os.path.isfile(image) else data  # noqa: PTH113 - a pipe can be read only once
    found = similar(
        source, where, settings.top,
        layer=settings.layer, pool=settings.pool, device=settings.device, progress=not quiet,
    )  # fmt: skip
    for error in found.errors:
        print_error_line(error)
    if found.left_out:
        note(f"{found.left_out} is the same file and is skipped", quiet=quiet)
    for match in found:
        if as_json:
            print_json(path=match.path, similarity=match.similarity)
        else:
            typer.echo(match)
    place = None
    if target:
        facts = recipe("similar", settings, {"image": [identity], "where": identify_inputs([where])})
        place = deliver_picture(target, found.sheet(), facts)
        note(f"{place}: {len(found)} pictures", quiet=quiet)
    failures = Failures(len(paths), count=len(found.errors))
    if as_json:
        print_totals(rows=len(found), output=place, failed=failures.count)
    failures.end()
