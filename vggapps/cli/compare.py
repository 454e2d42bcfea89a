"""``vggapps compare``: how alike two pictures are, or the pictures of two folders."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vggapps.cli.inputs import Input
from vggapps.cli.options import Device, Json, Quiet, Verbose, words
from vggapps.cli.outcome import failure, tell_in_passing
from vggapps.cli.outputs import plan_distinct, plan_file, plan_outputs
from vggapps.cli.pairs import Pair, find_pairs, opened
from vggapps.cli.progress import silence, tracked
from vggapps.cli.saving import Target, deliver, deliver_picture
from vggapps.cli.tables import Values, plain, print_list, print_row, print_summary, text
from vggapps.errors import SettingsError

HELP = """
Measure how alike two pictures are.

A and B are two pictures of one size; or two folders, in which pictures of
one name are a pair (a.png goes with a.jpg, too); or a picture and a folder
of its versions.

[bold]perceptual[/bold], [bold]lpips[/bold], [bold]lpips-vgg[/bold], [bold]lpips-squeeze[/bold] and [bold]dists[/bold]
are 0 for equal pictures, [bold]ssim[/bold] and [bold]ms-ssim[/bold] are 1, and [bold]psnr[/bold] is inf
(in JSON the word "inf"). Without --metric all are measured that need no
download; one that is named and not here is downloaded.

The exit code is 1 if the first metric is above --fail-above for any pair,
or if some pairs of folders can't be compared.

[bold]Examples[/bold]

  vggapps compare original.png compressed.jpg

  vggapps compare original.png compressed.jpg --metric lpips --map where.png

  vggapps compare wanted/ made/ --metric perceptual,ssim --fail-above 0.05
"""

A = Annotated[str, typer.Argument(metavar="A", help="A picture or a folder.", show_default=False)]
B = Annotated[str, typer.Argument(metavar="B", help="What it is compared with.", show_default=False)]
Names = Annotated[str, typer.Option(metavar="NAME,...", help="What to measure.", show_default=False)]
MapTo = Annotated[
    str | None,
    typer.Option("--map", metavar="PATH", help="Draw where they differ: a file, or folder/ for several pairs."),
]
CsvTo = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write the numbers to this file, too.")]
Limit = Annotated[float | None, typer.Option(metavar="X", help="Fail if the first metric is above X for any pair.")]
Size = Annotated[int | None, typer.Option(metavar="SIDE", min=1, help="Scale both down first: longer side in pixels.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the files that --map and --csv name.")]


def compare(  # noqa: D103 - people see HELP
    a: A,
    b: B,
    metric: Names = "",
    map_to: MapTo = None,
    csv_to: CsvTo = None,
    fail_above: Limit = None,
    size: Size = None,
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)

    def note(text: str) -> None:
        if not quiet:
            typer.echo(text, err=True)

    many = Path(a).is_dir() or Path(b).is_dir()
    pairs, alone = find_pairs(a, b, quiet=quiet)

    from vggapps.losses.comparison import available, get_metrics, heat_map, measure, summarize, wanting
    from vggapps.vgg.fast import pick_device

    named = words(metric)
    metrics = get_metrics(named or available())
    first, drawn = metrics[0], next((m for m in metrics if m.has_map), None)
    if fail_above is not None and not first.lower_is_better:
        raise SettingsError(f"--fail-above, and of {first.title} more is better", "name perceptual or lpips first")
    if map_to and drawn is None:
        raise SettingsError("none of these metrics has a map", "name perceptual or lpips, too")
    reads = [path for pair in pairs for path in (pair.a, pair.b)]
    table = plan_file(csv_to, reads, force=force) if csv_to else None
    maps = _plan(pairs, map_to, reads, force=force)
    plan_distinct(table, *maps)
    where = pick_device(device)
    if alone:
        note(f"{len(alone)} without a partner: {', '.join(alone[:9])}{', ...' if len(alone) > 9 else ''}")
    for command, names in {} if named else wanting().items():
        note(f"not measured: {', '.join(names)} (to have them: {command})")
    losses = {m.name: m.make(where) for m in metrics}

    found: dict[Pair, Values] = {}
    beyond = 0
    widths = [-max(6, *(len(pair.name) for pair in pairs)), *(max(8, len(m.name)) for m in metrics)]
    if many and not as_json:
        print_row(widths, ["", *losses])
        print_row(widths, ["better", *("lower" if m.lower_is_better else "higher" for m in metrics)])
    try:
        for pair, target in tracked(zip(pairs, maps, strict=True), len(pairs), "comparing", shown=many and not quiet):
            try:
                x, y = (picture.to(where) for picture in opened(pair, size, note))
                values = measure(losses, x, y, needed=named or [first.name])
                heat = heat_map(losses[drawn.name], x, y) if target and drawn else None
            except Exception as error:
                problem = failure(error, pair.name)
                if not many:
                    raise
                tell_in_passing(problem)
                continue
            found[pair] = values
            place = None
            if target and drawn and heat:
                place = deliver_picture(target, heat[0])
                note(f"{place}: yellow is the most, {heat[1]:.3g} by {drawn.title}")
            if as_json:
                facts = {"schema": 1, "a": pair.a, "b": pair.b, "size": [x.shape[3], x.shape[2]], "map": place}
                typer.echo(json.dumps({**facts, "values": plain(values)}))
            elif many:
                print_row(widths, [pair.name, *(text(m, values[m.name]) for m in metrics)])
            else:
                print_list(metrics, values)
            value = values[first.name]
            if fail_above is not None and value is not None and value > fail_above:
                typer.secho(f"{pair.name}: {first.title} is {value:g}, above {fail_above:g}", fg="red", err=True)
                beyond += 1
    finally:  # what is measured is kept, whatever ends the run
        if table:
            deliver(table, _csv([*losses], found))
    failed = len(pairs) - len(found)
    summary = summarize(list(found.values()))
    if many and as_json:
        numbers = {name: {**plain(asdict(s)), "at": list(found)[s.at][1:]} for name, s in summary.items()}
        counts = {"schema": 1, "pairs": len(found), "failed": failed, "alone": alone}
        typer.echo(json.dumps({**counts, "metrics": numbers}))
    elif many and found:
        print_summary(widths, summary, list(found), metrics)
    if failed:
        typer.echo(f"{failed} of {len(pairs)} pairs can't be compared", err=True)
    if failed or beyond:
        sys.exit(1)


def _plan(pairs: Sequence[Pair], map_to: str | None, reads: Sequence[str], *, force: bool) -> Sequence[Target | None]:
    """A file for each pair's map, or None; refuses what would be overwritten."""
    if map_to is None:
        return [None] * len(pairs)
    inputs = [Input(pair.name, str(Path(pair.name).parent)) for pair in pairs]
    if len(pairs) > 1 and not (map_to.endswith(("/", "\\")) or Path(map_to).is_dir()):
        raise SettingsError(f"--map {map_to} is one file for {len(pairs)} pairs", f"use --map {Path(map_to).stem}/")
    return plan_outputs(inputs, "_map", map_to, force=force, protected=reads)


def _csv(names: Sequence[str], found: Mapping[Pair, Values]) -> bytes:
    rows = io.StringIO()
    table = csv.writer(rows)
    table.writerow(["a", "b", *names])
    table.writerows([pair.a, pair.b, *values.values()] for pair, values in found.items())
    return rows.getvalue().encode("utf-8", "surrogateescape")
