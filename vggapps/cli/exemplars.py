"""``vggapps exemplars``: the pictures that activate a channel most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vggapps._progress import tracked
from vggapps.cli.inputs import identify_inputs, paths_of
from vggapps.cli.options import Force, Json, Output, Pictures, Quiet, Recorded, with_settings
from vggapps.cli.outcome import Failures, print_json, print_totals
from vggapps.cli.outputs import check_stdout, plan_distinct, plan_file, plan_picture
from vggapps.cli.saving import deliver, deliver_picture
from vggapps.errors import SettingsError
from vggapps.visualization._settings import ExemplarsSettings

if TYPE_CHECKING:
    from vggapps.visualization._retrieval import Exemplar

MOST_CHANNELS = 64  # on a sheet or page
Page = Annotated[str | None, typer.Option("--report", metavar="FILE", help="Write an HTML page.")]


@with_settings(ExemplarsSettings)
def exemplars(
    settings: ExemplarsSettings,
    pictures: Pictures,
    output: Output = None,
    page: Page = None,
    recorded: Recorded = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the pictures that activate a channel most.

    Each picture is scaled as the network was trained, mostly to a shorter side of
    224, and represented by the position where the channel is strongest. Prints
    the strongest pictures of each channel. -o draws the patches that these
    positions see as a sheet, one row per channel. --report writes them to a page,
    beside a feature visualization of the channel. Boxes are left, top, right and
    bottom in pixels of the scaled picture.

    The last line of --json has totals. The exit code is 1 if some pictures
    can't be read.

    [bold]Examples[/bold]

      vggapps exemplars photos/ --channel 12,200 -o sheet.png

      vggapps exemplars photos/ --layer conv5_1 --channel 7 --report page.html

      vggapps exemplars photos/ --layer conv4_3 --channel all --json
    """
    check_stdout(output, printing=True)
    chosen, layer = settings.channels, settings.layer
    if (output or page) and (chosen is None or len(chosen) > MOST_CHANNELS):
        raise SettingsError(f"a sheet or page has at most {MOST_CHANNELS} channels", "select some: --channel 12,200")
    paths = paths_of(pictures, quiet=quiet)
    sheet = plan_picture(output, 1, paths, force=force) if output else None
    page_file = plan_file(page, paths, force=force, suffixes=[".html", ".htm"]) if page else None
    plan_distinct(sheet, page_file)

    from vggapps.figures._sheet import short_number
    from vggapps.image._recipe import identify_files, recipe
    from vggapps.objectives._networks import load_networks
    from vggapps.visualization import _retrieval as room
    from vggapps.visualization._report import report, visualize_channels

    inputs = {"pictures": identify_inputs(pictures), **identify_files(settings)} if sheet else {}
    network = load_networks([layer], settings.drawing)[""]
    found = room.exemplars(network, layer, tracked(paths, "searching", quiet=quiet), chosen, settings.top)
    for number, best in found.by_channel.items():
        if as_json:
            print_json(layer=layer, channel=number, exemplars=[_record(e) for e in best])
        else:
            typer.echo("\n".join(f"{layer}:{number}  {short_number(e.activation)}  {e.path}" for e in best))
    if sheet:
        facts = recipe("exemplars", settings, inputs, seen=found.pictures)
        deliver_picture(sheet, room.exemplar_sheet(found, layer, settings.top), facts)
    if page_file:
        made = visualize_channels(network, layer, list(found.by_channel), settings.drawing)
        made = tracked(made, "drawing", len(found.by_channel), quiet=quiet)
        deliver(page_file, report(network, layer, found, list(made)).encode("utf-8", "replace"))
    failures = Failures(len(paths), count=len(found.failed))
    if as_json:
        print_totals(rows=len(found.by_channel), pictures=found.pictures, failed=failures.count)
    failures.end()


def _record(e: Exemplar) -> dict[str, object]:
    place = {"row": e.row, "column": e.column, "box": list(e.box), "size": [e.size[1], e.size[0]]}
    return {"path": e.path, "activation": e.activation, **place}
