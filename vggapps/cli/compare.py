"""``vggapps compare``: how alike two pictures are, or the pictures of two folders."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TextIO

import typer

from vggapps.cli.foreign import known
from vggapps.cli.options import Device, Json, Quiet, Verbose, words
from vggapps.cli.outputs import plan_outputs
from vggapps.cli.pairs import Pair, find_pairs, opened
from vggapps.cli.progress import silence, tracked
from vggapps.cli.tables import Values, plain, print_list, print_row, print_summary, text
from vggapps.errors import OutputExistsError, PictureError, SettingsError

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
    pairs, alone = find_pairs(a, b)

    from vggapps.image import save_picture
    from vggapps.losses.comparison import available, get_metrics, heat_map, measure, summarize, wanting
    from vggapps.vgg.fast import pick_device

    named = words(metric)
    metrics = get_metrics(named or available())
    first, drawn = metrics[0], next((m for m in metrics if m.has_map), None)
    if fail_above is not None and not first.lower_is_better:
        raise SettingsError(f"--fail-above, and of {first.title} more is better", "name perceptual or lpips first")
    if map_to and drawn is None:
        raise SettingsError("none of these metrics has a map", "name perceptual or lpips, too")
    maps = _plan(pairs, map_to, csv_to, force=force)
    where = pick_device(device)
    if alone:
        note(f"{len(alone)} without a partner: {', '.join(alone[:9])}{', ...' if len(alone) > 9 else ''}")
    for command, names in {} if named else wanting().items():
        note(f"not measured: {', '.join(names)} (to have them: {command})")
    losses = {m.name: m.make(where) for m in metrics}

    found: dict[Pair, Values] = {}
    beyond = 0
    widths = [-max(6, *(len(pair.name) for pair in pairs)), *(max(8, len(m.name)) for m in metrics)]
    with _open_table(csv_to) as file:
        csv.writer(file).writerow(["a", "b", *losses])
        if many and not as_json:
            print_row(widths, ["", *losses])
            print_row(widths, ["better", *("lower" if m.lower_is_better else "higher" for m in metrics)])
        for pair, target in tracked(zip(pairs, maps, strict=True), len(pairs), "comparing", shown=many and not quiet):
            try:
                x, y = (picture.to(where) for picture in opened(pair, size, note))
                values = measure(losses, x, y, needed=named or [first.name])
                if target and drawn:
                    picture, peak = heat_map(losses[drawn.name], x, y)
                    save_picture(picture, target, overwrite=True)
                    note(f"{target}: yellow is the most, {peak:.3g} by {drawn.title}")
            except Exception as error:
                told = known(error, pair.name)
                if told is None or not many:
                    raise
                typer.secho(f"error: {told}", fg="red", err=True)
                continue
            found[pair] = values
            csv.writer(file).writerow([pair.a, pair.b, *values.values()])
            if as_json:
                facts = {"schema": 1, "a": pair.a, "b": pair.b, "size": [x.shape[3], x.shape[2]], "map": target}
                typer.echo(json.dumps({**facts, "values": plain(values)}))
            elif many:
                print_row(widths, [pair.name, *(text(m, values[m.name]) for m in metrics)])
            else:
                print_list(metrics, values)
            value = values[first.name]
            if fail_above is not None and value is not None and value > fail_above:
                typer.secho(f"{pair.name}: {first.title} is {value:g}, above {fail_above:g}", fg="red", err=True)
                beyond += 1
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


def _plan(pairs: Sequence[Pair], map_to: str | None, csv_to: str | None, *, force: bool) -> Sequence[str | None]:
    """A file for each pair's map, or None; refuses what would be overwritten."""
    from vggapps.image import check_target

    pictures = {Path(path).resolve() for pair in pairs for path in pair[1:]}
    for path in filter(None, (map_to, csv_to)):
        if Path(path).resolve() in pictures:
            raise SettingsError(f"{path} is one of the pictures that are read", "choose another name")
    if csv_to and Path(csv_to).exists() and not force:
        raise OutputExistsError(f"{csv_to} exists", "choose another name, or overwrite it with --force")
    if map_to is None:
        return [None] * len(pairs)
    if map_to.endswith(("/", "\\")) or Path(map_to).is_dir():
        return plan_outputs([pair.name for pair in pairs], "_map", map_to, force=force)
    if len(pairs) > 1:
        raise SettingsError(f"--map {map_to} is one file for {len(pairs)} pairs", f"use --map {Path(map_to).stem}/")
    check_target(map_to, overwrite=force)
    return [map_to]


def _open_table(path: str | None) -> TextIO:
    """The file of rows, or where nobody reads them."""
    try:
        return Path(path).open("w", newline="", encoding="utf-8") if path else io.StringIO()
    except OSError as error:
        raise PictureError(f"{path}: it can't be written: {error.strerror}", "choose another name or folder") from None
