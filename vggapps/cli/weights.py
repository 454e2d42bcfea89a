"""``vggapps weights``: which there are, which are here, and getting them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps._progress import downloading
from vggapps.cli.options import Json, Quiet, Verbose
from vggapps.cli.outcome import print_json, print_totals

if TYPE_CHECKING:
    from vggapps.weights._records import WeightsRecord

app = typer.Typer(help="List, download and check weights.", no_args_is_help=True, rich_markup_mode="rich")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A name that 'vggapps weights list' shows.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names that 'vggapps weights list' shows.")]


def _examples(*lines: str) -> str:
    """An epilog; a blank line keeps what follows on its own line."""
    return "\n\n".join(["[bold]Examples[/bold]", *lines])


@app.command("list", epilog=_examples("vggapps weights list", "vggapps weights list --json | jq '.name // empty'"))
def list_(as_json: Json = False, verbose: Verbose = 0) -> None:
    """Show all weights: size, licence, published accuracy in percent, and whether they are on this machine."""
    from rich.console import Console
    from rich.table import Table

    from vggapps.weights._download import human_size
    from vggapps.weights._records import RECORDS

    if as_json:
        for record in RECORDS.values():
            print_json(**_facts(record))
        print_totals(rows=len(RECORDS), here=sum(_where(record) != "not here" for record in RECORDS.values()))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")  # fits 80 columns
    for title in ("name", "layers", "size", "where", "licence", "top-1", "top-5"):
        right = title in ("size", "top-1", "top-5")
        table.add_column(title, justify="right" if right else "left", no_wrap=True)
    for record in RECORDS.values():
        size = human_size(record.size) if record.size else ""
        accuracy = [f"{percent:.1f}" if percent else "" for percent in (record.top1, record.top5)]
        row = [record.name, record.layers, size, _where(record), record.licence, *accuracy]
        table.add_row(*row, style=None if _where(record) != "not here" else "dim")
    Console().print(table)


@app.command(
    no_args_is_help=True,
    epilog=_examples("vggapps weights download vgg19", "VGGAPPS_CACHE=/data/weights vggapps weights download vgg16"),
)
def download(names: Names, quiet: Quiet = False, verbose: Verbose = 0) -> None:
    """Download weights, or the rest of them, and print where they lie. What is here is not fetched again."""
    from vggapps.weights import _store as store
    from vggapps.weights._records import get_record

    for record in [get_record(name) for name in names]:  # a wrong name is told before the first byte
        with downloading(record.name, quiet=quiet) as progress:
            path = store.get(record, progress)
        typer.echo(path)


@app.command(epilog=_examples("vggapps weights verify", "vggapps weights verify vgg19 vgg16"))
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...|all]", help="Which; all that are here if left out."),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Read weights on this machine and compare their SHA-256. Exit code 5 if any is damaged or not here."""
    from vggapps.errors import WeightsError
    from vggapps.weights import _store as store
    from vggapps.weights._records import RECORDS, get_record

    everything = not names or names == ["all"]
    bad = []
    records = [get_record(name) for name in (RECORDS if everything else names or ())]
    found = [(record, store.find(record)) for record in records]
    if everything:  # each file once, though a part may have to be taken from the file of another name
        first = {path: record for record, path in reversed(found)}
        found = [(record, path) for record, path in found if path and first[path] is record]
    width = max((len(record.name) for record, _ in found), default=0)
    for record, path in found:
        state = "not here" if path is None else "ok" if store.is_sound(path, record) else "damaged"
        bad += [record.name] * (state != "ok")
        if as_json:
            print_json(name=record.name, state=state, path=str(path) if path else None)
        else:
            typer.echo(f"{state:<8}  {record.name:<{width}}  {path or ''}".rstrip())
    if as_json:
        print_totals(rows=len(found), bad=len(bad))
    if bad:
        raise WeightsError(f"damaged or not here: {', '.join(bad)}", run=f"vggapps weights download {' '.join(bad)}")


@app.command(
    no_args_is_help=True,
    epilog=_examples("vggapps weights path vgg19-installed", "ls -l $(vggapps weights path vgg19)"),
)
def path(name: Name, verbose: Verbose = 0) -> None:
    """Print where weights lie on this machine. Exit code 5 if they are not here."""
    from vggapps.errors import WeightsError
    from vggapps.weights import _store as store
    from vggapps.weights._records import get_record

    found = store.find(get_record(name))
    if found is None:
        raise WeightsError(f"{name} is not on this machine", run=f"vggapps weights download {name}")
    typer.echo(found)


def _where(record: WeightsRecord) -> str:
    from vggapps.weights import _store as store

    if store.find(record) is None:
        return "not here"
    return "installed" if record.distribution else "here"


def _facts(record: WeightsRecord) -> dict[str, Any]:
    from dataclasses import asdict

    from vggapps.weights import _store as store

    found = store.find(record)
    return {**asdict(record), "where": _where(record), "path": str(found) if found else None}
