"""``vggapps layers``: shapes, receptive fields and costs of a network's layers."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated, Any

import typer

from vggapps.cli.options import Json, with_settings
from vggapps.cli.outcome import print_json, print_totals
from vggapps.errors import SettingsError
from vggapps.vgg._settings import LayersSettings


@with_settings(LayersSettings)
def layers(
    settings: LayersSettings,
    network: Annotated[
        str,
        typer.Argument(help="vgg11 ... vgg19, optionally with _bn; A to E as in the paper; or blocks: 64x2-128x2_bn."),
    ] = "vgg19",
    as_json: Json = False,
) -> None:
    """Show the shape, parameters, multiply-adds, receptive field, stride and memory of each layer, and totals.

    --json prints a line for each layer; the last line has the totals: {"total": {"parameters": ..., ...}}.

    [dim]vggapps layers vgg16[/dim]
    [dim]vggapps layers E --size 640x480 --head none --json[/dim]
    [dim]vggapps layers 64x2-128x2-200+256x2_bn --size 28 --head gap[/dim]
    """
    from vggapps.vgg._facts import layer_facts
    from vggapps.vgg._plan import get_plan

    plan = get_plan(network)
    height, width = height_and_width(settings.size)
    facts = [asdict(fact) for fact in layer_facts(plan, (height, width), settings.head)]
    if as_json:
        for fact in facts:
            # layer_facts uses 0 for "the whole picture".
            whole = {key: fact[key] or None for key in ("receptive_field", "stride")}
            print_json(**fact | whole)
        print_totals(network=plan.name, layers=len(facts), size=[width, height], head=settings.head, **totals(facts))
    else:
        letter = f", configuration {plan.configuration}" if plan.configuration else ""
        _print(f"{plan.name}{letter}, a picture of {width} × {height}", facts)


def height_and_width(size: str) -> tuple[int, int]:
    """Parse ``224`` or ``640x480``, which is width × height.

    >>> height_and_width("640x480")
    (480, 640)
    """
    sides = size.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(re.fullmatch(r"\s*0*[1-9][0-9]{0,8}\s*", side) for side in sides):
        raise SettingsError(f"--size is '{size}'", "give a side, 224, or width and height, 640x480")
    return int(sides[-1]), int(sides[0])


def totals(facts: list[dict[str, Any]]) -> dict[str, int]:
    """The sums over all layers."""
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
    console.width = max(console.width, console.measure(table, options=wide).maximum)  # never cut a number
    console.print(table)
    console.print(
        "shape: channels × height × width. sees: side of the receptive field in pixels of the picture; so is the "
        "stride. memory: of the float32 output in MiB.",
        style="dim",
    )


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.2f}"
