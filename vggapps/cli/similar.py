"""``vggapps similar``: the pictures that are most like one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vggapps.cli.inputs import identified, opened, paths_of
from vggapps.cli.options import STREAM, Force, Json, Output, Quiet, Recorded, Verbose, with_settings
from vggapps.cli.outcome import Failures, note, print_json, print_totals, tell_in_passing
from vggapps.cli.outputs import check_stdout, plan_picture
from vggapps.cli.progress import silence
from vggapps.cli.saving import deliver_picture
from vggapps.errors import PictureError, SettingsError
from vggapps.features._settings import SimilarSettings

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
    data, identity = opened(image)

    from vggapps.features._describe import describe, extract, load_network
    from vggapps.features._files import load_features
    from vggapps.features._similar import blocks_of, is_query, nearest, sheet
    from vggapps.image import from_pil, open_picture
    from vggapps.image._recipe import recipe

    table = None if paths else load_features(where)
    layer, pool = settings.layer, settings.pool
    if table:
        made = table.settings
        for option, word, own in (("--layer", layer, made.layer), ("--pool", pool, made.pool)):
            if word not in (None, own):
                raise SettingsError(f"{option} {word}, and {where} has {own}", f"leave {option} out")
        network = load_network(made.network, made.layer, settings.device, made.weights, made.dtype)
    else:
        network = load_network("auto", layer or "pool5", settings.device)
        made = describe(network, layer or "pool5", pool or "avg")

    sought = open_picture(
        data, at_least=max(512, 2 * round(made.size * 256 / 224)), name="query" if image == STREAM else Path(image).name
    )
    (query,) = extract([sought], network, made.layer, made.pool, size=made.size)
    if query.errors:
        raise query.errors[0]
    failures, left_out = Failures(len(paths)), list[str]()

    def looked_at() -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        for chunk in extract(paths, network, made.layer, made.pool, size=made.size):
            for error in chunk.errors.values():
                tell_in_passing(error)
            failures.count += len(chunk.errors)
            yield [paths[i] for i in chunk.kept], chunk.rows

    def skip(match: Match) -> bool:
        is_itself = image != STREAM and is_query(image, match)
        if is_itself:
            left_out.append(match.path)
        return is_itself

    matches = nearest(query.rows[0], blocks_of(table) if table else looked_at(), settings.top, skip)
    if left_out:
        note(f"{left_out[0]} is the picture itself and left out", quiet=quiet)
    if not matches:
        raise PictureError(f"{where}: there is no other picture in it", "name a folder or table with more pictures")
    for match in matches:
        if as_json:
            print_json(path=match.path, similarity=match.similarity)
        else:
            typer.echo(f"{match.similarity:.4f}  {match.path}")
    place = None
    if target:
        told = recipe("similar", settings, {"image": [identity], "where": identified([where])})
        place = deliver_picture(target, from_pil(sheet(sought, matches)), told)
        note(f"{place}: {len(matches)} pictures", quiet=quiet)
    if as_json:
        print_totals(rows=len(matches), output=place, failed=failures.count)
    failures.end()
