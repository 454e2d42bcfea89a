"""``vggapps compare``: how alike two pictures are, or the pictures of two folders."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vggapps.cli.inputs import Input
from vggapps.cli.limits import read_limits
from vggapps.cli.options import Device, Json, Quiet, Verbose, words
from vggapps.cli.outcome import tell_in_passing
from vggapps.cli.outputs import plan_distinct, plan_file, plan_outputs
from vggapps.cli.pairs import ANY, Pair, find_pairs
from vggapps.cli.progress import silence, tracked
from vggapps.cli.rows import Comparer, Row
from vggapps.cli.saving import Target, deliver
from vggapps.cli.tables import (
    as_csv,
    print_head,
    print_json,
    print_json_summary,
    print_list,
    print_row,
    print_summary,
)
from vggapps.errors import SettingsError, in_a_line

HELP = """
Measure how alike two pictures are.

A and B are two pictures of one size; or two folders; or a picture and a
folder of its versions. In folders and their subfolders, pictures of one name
at the same place are a pair; so are a.png and a.jpg or A.PNG, if no other
could be meant. --pattern-a '{}_gt' --pattern-b '{}_sr' pairs a_gt.png with
a_sr.png.

[bold]perceptual[/bold], [bold]lpips[/bold], [bold]lpips-vgg[/bold], [bold]lpips-squeeze[/bold] and [bold]dists[/bold]
are 0 for equal pictures, [bold]ssim[/bold] and [bold]ms-ssim[/bold] are 1, and [bold]psnr[/bold] is inf
(in JSON the word "inf"; a mean leaves it out). Without --metric all are
measured that need no download; one that is named and not here is downloaded.

The exit code is 1 if a value is beyond a limit, a picture of a folder has no
partner, or a pair failed; the CSV and the JSON tell why.

[bold]Examples[/bold]

  vggapps compare original.png compressed.jpg

  vggapps compare original.png compressed.jpg --metric lpips --map where.png

  vggapps compare wanted/ made/ --metric perceptual,ssim --fail-above 0.05

  vggapps compare Set5/ x4/ --metric psnr,ssim --y-channel --crop-border 4
"""

A = Annotated[str, typer.Argument(metavar="A", help="A picture or a folder.", show_default=False)]
B = Annotated[str, typer.Argument(metavar="B", help="What it is compared with.", show_default=False)]
Names = Annotated[str, typer.Option(metavar="NAME,...", help="What to measure.", show_default=False)]
MapTo = Annotated[
    str | None,
    typer.Option("--map", metavar="PATH", help="Draw where they differ: a file, or folder/ for several pairs."),
]
CsvTo = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write the numbers to this file, too.")]
Above = Annotated[
    str,
    typer.Option(
        metavar="[METRIC=]X,...", help="Fail if a metric, or the first, is above X for any pair.", show_default=False
    ),
]
Below = Annotated[
    str, typer.Option(metavar="[METRIC=]X,...", help="The same for PSNR, SSIM and MS-SSIM below X.", show_default=False)
]
Size = Annotated[int | None, typer.Option(metavar="SIDE", min=1, help="Scale both down first: longer side in pixels.")]
ScaleToA = Annotated[
    bool, typer.Option("--scale-to-a", help="Scale B to the size of A, if it has another: bicubic, antialiased.")
]
YChannel = Annotated[
    bool, typer.Option("--y-channel", help="PSNR and SSIM of luma alone (BT.601, 16 to 235), as of super-resolution.")
]
Crop = Annotated[int, typer.Option(metavar="N", min=0, help="PSNR and SSIM without N pixels at each border.")]
PatternA = Annotated[str, typer.Option(metavar="NAME", help="Names in folder A; {} is what partners have in common.")]
PatternB = Annotated[str, typer.Option(metavar="NAME", help="Names in folder B.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the files that --map and --csv name.")]


def compare(  # noqa: D103 - people see HELP
    a: A,
    b: B,
    metric: Names = "",
    map_to: MapTo = None,
    csv_to: CsvTo = None,
    fail_above: Above = "",
    fail_below: Below = "",
    size: Size = None,
    scale_to_a: ScaleToA = False,
    y_channel: YChannel = False,
    crop_border: Crop = 0,
    pattern_a: PatternA = ANY,
    pattern_b: PatternB = ANY,
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)

    def note(text: str) -> None:
        if not quiet:
            typer.echo(in_a_line(text), err=True)

    many = Path(a).is_dir() or Path(b).is_dir()
    pairs, alone = find_pairs(a, b, (pattern_a, pattern_b), quiet=quiet)

    from vggapps.losses._comparison import available, get_metrics, restricted, wanting
    from vggapps.losses._summary import summarize
    from vggapps.vgg._fast import pick_device

    named = words(metric)
    metrics = get_metrics(named or available())
    if y_channel or crop_border:
        metrics = restricted(metrics, y_channel=y_channel, crop_border=crop_border)
    limits = read_limits(metrics, fail_above, fail_below)
    drawn = next((m for m in metrics if m.has_map), None) if map_to else None
    if map_to and drawn is None:
        raise SettingsError("none of these metrics has a map", "name perceptual or lpips, too")
    reads = [path for pair in pairs for path in (pair.a, pair.b)]
    table = plan_file(csv_to, reads, force=force) if csv_to else None
    maps = _plan(pairs, map_to, reads, force=force)
    plan_distinct(table, *maps)
    where = pick_device(device)
    if alone:
        listed = ", ".join(one.a or one.b for one in alone[:9]) + (", ..." if len(alone) > 9 else "")
        tell_in_passing(f"{len(alone)} without a partner: {listed}")
    for command, names in {} if named else wanting().items():
        note(f"not measured: {', '.join(names)} (to have them: {command})")
    needed = {*named, *(limit.metric.name for limit in limits), *([drawn.name] if drawn else [])}
    comparer = Comparer({m: m.make(where) for m in metrics}, needed, drawn, where, size, scale_to_a, note)

    about = {"schema": 1, "y_channel": y_channel, "crop_border": crop_border}
    rows: list[Row] = []
    beyond = 0
    widths = [-max(6, *(len(in_a_line(pair.name)) for pair in pairs)), *(max(8, len(m.name)) for m in metrics)]
    if many and not as_json:
        print_head(widths, metrics)
    try:
        for pair, target in tracked(zip(pairs, maps, strict=True), len(pairs), "comparing", shown=many and not quiet):
            row = comparer.row(pair, target)
            rows.append(row)
            if as_json:
                print_json(row, about)
            elif many and row.is_measured:
                print_row(widths, [pair.name, *(m.text(row.values[m.name]) for m in metrics)])
            elif row.is_measured:
                print_list(metrics, row)
            wrong = [told for limit in limits if (told := limit.told(row.values[limit.metric.name]))]
            for told in wrong:
                typer.secho(in_a_line(f"{pair.name}: {told}"), fg="red", err=True)
            beyond += bool(wrong)
            for error in row.errors:
                if not many:
                    raise error
                told = str(error)
                tell_in_passing(told if told.startswith(pair[1:]) else f"{pair.name}: {told}")
    finally:  # what is measured is kept, whatever ends the run
        if table:
            deliver(table, as_csv([m.name for m in metrics], rows, alone))
    summary = summarize([row.values for row in rows])
    if many and as_json:
        print_json_summary(summary, rows, alone, beyond, about)
    elif many and summary:
        print_summary(widths, summary, rows, metrics)
    failed = sum(bool(row.errors) for row in rows)
    for count, what in ((failed, "failed"), (beyond, "beyond a limit")) if many else ():
        if count:
            typer.echo(f"{count} of {len(pairs)} pairs {what}", err=True)
    if failed or beyond or alone:
        sys.exit(1)


def _plan(pairs: Sequence[Pair], map_to: str | None, reads: Sequence[str], *, force: bool) -> Sequence[Target | None]:
    """A file for each pair's map, or None; refuses what would be overwritten."""
    if map_to is None:
        return [None] * len(pairs)
    inputs = [Input(pair.name, str(Path(pair.name).parent)) for pair in pairs]
    if len(pairs) > 1 and not (map_to.endswith(("/", "\\")) or Path(map_to).is_dir()):
        raise SettingsError(f"--map {map_to} is one file for {len(pairs)} pairs", f"use --map {Path(map_to).stem}/")
    return plan_outputs(inputs, "_map", map_to, force=force, protected=reads)
