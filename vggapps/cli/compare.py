"""``vggapps compare``: metrics for two pictures, or for the pictures of two folders."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vggapps._progress import tracked
from vggapps.cli.limits import Above, Below, is_beyond, read_limits
from vggapps.cli.options import Force, Json, Quiet, Recorded, with_settings
from vggapps.cli.outcome import Failures, note, print_error_line
from vggapps.cli.outputs import plan_distinct, plan_file
from vggapps.cli.pairs import ANY, PatternA, PatternB, find_pairs, plan_maps
from vggapps.cli.rows import Comparer
from vggapps.cli.saving import deliver
from vggapps.cli.tables import Report
from vggapps.errors import SettingsError
from vggapps.losses._settings import CompareSettings

A = Annotated[str, typer.Argument(metavar="A", help="A picture or a folder.", show_default=False)]
B = Annotated[str, typer.Argument(metavar="B", help="What it is compared with.", show_default=False)]
MapTo = Annotated[
    str | None,
    typer.Option("--map", metavar="PATH", help="Write a heat map: a file, or folder/ for several pairs."),
]
CsvTo = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write the values to a CSV file, too.")]


@with_settings(CompareSettings)
def compare(
    settings: CompareSettings,
    a: A,
    b: B,
    map_to: MapTo = None,
    csv_to: CsvTo = None,
    fail_above: Above = "",
    fail_below: Below = "",
    pattern_a: PatternA = ANY,
    pattern_b: PatternB = ANY,
    recorded: Recorded = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure the similarity of two pictures.

    A and B are two pictures of the same size, two folders, or a picture and a
    folder of its versions. In folders and their subfolders, pictures with the
    same name at the same place are a pair; so are a.png and a.jpg or A.PNG if
    this is unambiguous. --pattern-a '{}_gt' --pattern-b '{}_sr' pairs a_gt.png
    with a_sr.png.

    [bold]perceptual[/bold], [bold]lpips[/bold], [bold]lpips-vgg[/bold], [bold]lpips-squeeze[/bold] and
    [bold]dists[/bold] are 0 for equal pictures, [bold]ssim[/bold] and [bold]ms-ssim[/bold] are 1, psnr is inf
    (in JSON the string "inf"; means leave it out). The default is every metric
    whose weights are on this machine; named metrics are downloaded.

    The exit code is 1 if a value is beyond a limit, a picture of a folder has no
    partner, or a pair failed; CSV and JSON contain the reason.

    [bold]Examples[/bold]

      vggapps compare original.png compressed.jpg

      vggapps compare original.png compressed.jpg --metric lpips --map where.png

      vggapps compare wanted/ made/ --metric perceptual,ssim --fail-above 0.05

      vggapps compare Set5/ x4/ --metric psnr,ssim --y-channel --crop-border 4
    """
    many = Path(a).is_dir() or Path(b).is_dir()
    pairs, alone = find_pairs(a, b, (pattern_a, pattern_b), quiet=quiet)

    from vggapps.losses._comparison import available, get_metrics, install_commands, restricted
    from vggapps.vgg._device import pick_device

    metrics = get_metrics(settings.metric or available())
    if settings.y_channel or settings.crop_border:
        metrics = restricted(metrics, y_channel=settings.y_channel, crop_border=settings.crop_border)
    limits = read_limits(metrics, fail_above, fail_below)
    drawn = next((m for m in metrics if m.has_map), None) if map_to else None
    if map_to and drawn is None:
        raise SettingsError("none of these metrics has a map", "add perceptual or lpips")
    reads = [path for pair in pairs for path in (pair.a, pair.b)]
    table = plan_file(csv_to, reads, force=force) if csv_to else None
    maps = plan_maps(pairs, map_to, reads, force=force)
    plan_distinct(table, *maps)
    where = pick_device(settings.device)
    if alone:
        listed = ", ".join(one.a or one.b for one in alone[:9]) + (", ..." if len(alone) > 9 else "")
        print_error_line(f"{len(alone)} without a partner: {listed}")
    for command, names in {} if settings.metric else install_commands().items():
        note(f"not measured: {', '.join(names)} (to get them: {command})", quiet=quiet)
    needed = {*(settings.metric or ()), *(limit.metric.name for limit in limits), *([drawn.name] if drawn else [])}
    comparer = Comparer({m: m.make(where) for m in metrics}, needed, drawn, where, settings, partial(note, quiet=quiet))

    failures, beyond = Failures(len(pairs), "pairs"), 0
    report = Report(metrics, pairs, settings, many=many, as_json=as_json)
    try:
        for pair, target in tracked(zip(pairs, maps, strict=True), "comparing", len(pairs), quiet=quiet, printing=True):
            row = comparer.row(pair, target)
            report.add(row)
            beyond += is_beyond(limits, row.values, pair.name)
            for error in row.errors:
                if not many:
                    raise error
                text = str(error)
                print_error_line(text if text.startswith(pair[1:]) else f"{pair.name}: {text}")
            failures.count += bool(row.errors)
    finally:  # an interrupted run keeps its values
        if table:
            deliver(table, report.as_csv(alone))
    report.end(alone, beyond)
    if beyond and many:
        typer.echo(f"{beyond} of {len(pairs)} pairs beyond a limit", err=True)
    failures.end(1 if beyond or alone else 0)
