"""``vggapps weights``: list, download and verify weights."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from vggapps._progress import downloading
from vggapps.cli.options import Json, Quiet, Verbose
from vggapps.cli.outcome import print_json, print_totals
from vggapps.errors import WeightsError
from vggapps.weights import _store as store
from vggapps.weights._download import human_size
from vggapps.weights._records import RECORDS, WeightsRecord, get_record

app = typer.Typer(help="List, download and verify weights.", no_args_is_help=True, rich_markup_mode="rich")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A name from 'vggapps weights list'.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names from 'vggapps weights list'.")]
NamesOrAll = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME...|all]", help="The weights; default all on this machine.")
]


@app.command("list")
def list_(as_json: Json = False, verbose: Verbose = 0) -> None:
    """Show all weights: size, licence, published accuracy in percent, and whether they are on this machine.

    [bold]Examples[/bold]

      vggapps weights list
      vggapps weights list --json | jq '.name // empty'
    """
    from rich.console import Console
    from rich.table import Table

    rows = [_facts(record) for record in RECORDS.values()]
    if as_json:
        for row in rows:
            print_json(**row)
        print_totals(rows=len(rows), here=sum(row["path"] is not None for row in rows))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")  # fits 80 columns
    for title in ("name", "layers", "size", "where", "licence", "top-1", "top-5"):
        table.add_column(title, justify="right" if title in ("size", "top-1", "top-5") else "left", no_wrap=True)
    for row in rows:
        size = human_size(row["size"]) if row["size"] else ""
        accuracy = [f"{percent:.1f}" if percent else "" for percent in (row["top1"], row["top5"])]
        cells = [row["name"], row["layers"], size, row["where"], row["licence"], *accuracy]
        table.add_row(*cells, style=None if row["path"] else "dim")
    Console().print(table)


@app.command(no_args_is_help=True)
def download(names: Names, quiet: Quiet = False, verbose: Verbose = 0) -> None:
    """Download weights, continuing interrupted downloads, and print their paths.

    [bold]Examples[/bold]

      vggapps weights download vgg19
      VGGAPPS_CACHE=/data/weights vggapps weights download vgg16
    """
    for record in [get_record(name) for name in names]:  # a wrong name raises before the first download
        with downloading(record.name, quiet=quiet) as progress:
            path = store.get(record, progress)
        typer.echo(path)


@app.command()
def verify(names: NamesOrAll = None, as_json: Json = False, verbose: Verbose = 0) -> None:
    """Compare the SHA-256 of weights on this machine. The exit code is 5 if any are damaged or missing.

    [bold]Examples[/bold]

      vggapps weights verify
      vggapps weights verify vgg19 vgg16
    """
    everything = not names or names == ["all"]
    bad = []
    records = [get_record(name) for name in (RECORDS if everything else names or ())]
    found = [(record, store.find(record)) for record in records]
    if everything:  # each file once: records of parts may share the file of another record
        first = {path: record for record, path in reversed(found)}
        found = [(record, path) for record, path in found if path and first[path] is record]
    width = max((len(record.name) for record, _ in found), default=0)
    for record, path in found:
        state = "not here" if path is None else "ok" if store.is_intact(path, record) else "damaged"
        bad += [record.name] * (state != "ok")
        if as_json:
            print_json(name=record.name, state=state, path=str(path) if path else None)
        else:
            typer.echo(f"{state:<8}  {record.name:<{width}}  {path or ''}".rstrip())
    if as_json:
        print_totals(rows=len(found), bad=len(bad))
    if bad:
        raise WeightsError(f"damaged or not here: {', '.join(bad)}", run=f"vggapps weights download {' '.join(bad)}")


@app.command(no_args_is_help=True)
def path(name: Name, verbose: Verbose = 0) -> None:
    """Print the path of weights on this machine. The exit code is 5 if they are missing.

    [bold]Examples[/bold]

      vggapps weights path vgg19-installed
      ls -l $(vggapps weights path vgg19)
    """
    found = store.find(get_record(name))
    if found is None:
        raise WeightsError(f"{name} is not on this machine", run=f"vggapps weights download {name}")
    typer.echo(found)


def _facts(record: WeightsRecord) -> dict[str, Any]:
    found = store.find(record)
    where = "not here" if found is None else "installed" if record.distribution else "here"
    return {**asdict(record), "where": where, "path": str(found) if found else None}
