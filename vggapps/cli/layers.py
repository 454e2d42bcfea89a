"""``vggapps layers``: what each layer of a network is, sees and costs."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated, Any

import typer

from vggapps.cli.options import Json, Verbose, with_settings
from vggapps.cli.outcome import print_json, print_totals
from vggapps.errors import SettingsError
from vggapps.vgg._settings import LayersSettings


@with_settings(LayersSettings)
def layers(
    settings: LayersSettings,
    network: Annotated[
        str, typer.Argument(help="vgg11 ... vgg19, with or without _bn, or the paper's A to E.")
    ] = "vgg19",
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Show every layer's shape, parameters, multiply-adds, receptive field, stride and memory, and the sums.

    With --json a line is a layer, and the last line has the sums: {"total": {"parameters": ..., ...}}.

    [dim]vggapps layers vgg16[/dim]
    [dim]vggapps layers E --size 640x480 --head none --json[/dim]
    """
    from vggapps.vgg._plan import get_plan, layer_facts

    plan = get_plan(network)
    height, width = height_and_width(settings.size)
    facts = [asdict(fact) for fact in layer_facts(plan, (height, width), settings.head)]
    if as_json:
        for fact in facts:
            # The arithmetic's 0 stands for "the whole picture"; null can't be taken for a number.
            whole = {key: fact[key] or None for key in ("receptive_field", "stride")}
            print_json(**fact | whole)
        print_totals(network=plan.name, layers=len(facts), size=[width, height], head=settings.head, **totals(facts))
    else:
        _print(f"{plan.name}, configuration {plan.configuration}, a picture of {width} × {height}", facts)


def height_and_width(size: str) -> tuple[int, int]:
    """``224`` or ``640x480``, which is width × height as people say it, to (height, width).

    >>> height_and_width("640x480")
    (480, 640)
    """
    sides = size.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(re.fullmatch(r"\s*0*[1-9][0-9]{0,8}\s*", side) for side in sides):
        raise SettingsError(f"--size is '{size}'", "give it a side, 224, or width and height, 640x480")
    return int(sides[-1]), int(sides[0])


def totals(facts: list[dict[str, Any]]) -> dict[str, int]:
    """The sums over all layers of what can be added up."""
    return {key: sum(fact[key] for fact in facts) for key in ("parameters", "multiply_adds", "bytes")}


def _print(title: str, facts: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_footer=True, padding=0)
    sums = totals(facts)
    for name, foot in {
        "layer": "total",
        "shape": "",
        "parameters": f"{sums['parameters']:,}",
        "multiply-adds": f"{sums['multiply_adds']:,}",
        "sees": "",
        "stride": "",
        "memory": _mebibytes(sums["bytes"]),
    }.items():
        table.add_column(name, foot, justify="left" if name in ("layer", "shape") else "right", no_wrap=True)
    for fact in facts:
        table.add_row(
            fact["name"],
            " × ".join(map(str, fact["shape"])),
            f"{fact['parameters']:,}" if fact["parameters"] else "",
            f"{fact['multiply_adds']:,}" if fact["multiply_adds"] else "",
            f"{fact['receptive_field']}" if fact["receptive_field"] else "all",
            f"{fact['stride']}" if fact["stride"] else "",
            _mebibytes(fact["bytes"]),
        )
    console = Console()
    wide = console.options.update(max_width=1000)
    console.width = max(console.width, console.measure(table, options=wide).maximum)  # a number is never cut
    console.print(table)
    console.print(
        "shape: channels × height × width. sees: side of the receptive field, and stride, in pixels of the "
        "picture. memory: the output in float32, MiB.",
        style="dim",
    )


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.2f}"
