"""``vggapps stylize``: style transfer, by optimization or by a painter."""

from __future__ import annotations

from typing import Annotated

import typer

from vggapps.cli.options import Force, Json, Output, Quiet, Recorded, SkipExisting, with_settings
from vggapps.cli.outputs import check_stdout
from vggapps.cli.painting import is_of_painter, paint_each
from vggapps.cli.runs import Watching
from vggapps.cli.saving import Saving
from vggapps.cli.stylizing import Order
from vggapps.cli.transferring import transfer
from vggapps.errors import SettingsError
from vggapps.style._settings import StylizeSettings

Content = Annotated[
    str, typer.Argument(metavar="CONTENT", help="A photo, a folder, a pattern, or - for stdin.", show_default=False)
]
Styles = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="STYLE...",
        help="Paintings, optionally with :weight, or folders of paintings; with --painter, names of its styles.",
    ),
]
Painter = Annotated[
    str | None,
    typer.Option(
        "--painter",
        metavar="NAME.safetensors[:STYLE]",
        help="Paint in one pass, by a small network for some styles.",
    ),
]
EachStyle = Annotated[bool, typer.Option("--each-style", help="Make one picture per style instead of mixing them.")]


@with_settings(StylizeSettings, saving=Saving, watching=Watching)
def stylize(
    settings: StylizeSettings,
    saving: Saving,
    watching: Watching,
    typed: frozenset[str],
    content: Content = "",
    styles: Styles = None,
    painter: Painter = None,
    output: Output = None,
    recorded: Recorded = None,
    each_style: EachStyle = False,
    skip_existing: SkipExisting = False,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Paint a photo in the style of a painting.

    The result is [bold]CONTENT_by_STYLE.png[/bold] in the current folder. It contains its
    settings. CONTENT may be a folder or a pattern: each picture gets its own
    result, and subfolders are kept. Several styles are mixed:
    [bold]a.jpg:0.7 b.jpg:0.3[/bold].
    With --each-style, or if STYLE is a folder, there is one result per style.
    Ctrl-C stops early and keeps the picture so far.

    With [bold]--painter[/bold], a small network paints in one pass, in a style that it was
    trained for by [bold]vggapps train-style[/bold].

    [bold]Examples[/bold]

      vggapps stylize town.jpg starry-night.jpg

      vggapps stylize town.jpg starry-night.jpg:0.7 waves.jpg:0.3 --strength 0.7

      vggapps stylize photos/ waves.jpg -o painted/ --skip-existing

      vggapps stylize town.jpg styles/ --size original --format jpg

      vggapps stylize photos/ --painter prints.safetensors:ink -o painted/
    """
    check_stdout(output, as_json=as_json)
    order = Order(
        content, styles or (), output, saving, each_style=each_style, skip_existing=skip_existing, force=force,
        as_json=as_json, quiet=quiet,
    )  # fmt: skip
    if painter is None and not is_of_painter(recorded):
        transfer(order, settings, watching, recorded)
        return
    if recorded and not is_of_painter(recorded):
        raise SettingsError(f"{recorded.picture} was not made by a painter", "leave out --settings or --painter")
    paint_each(order, settings, painter, recorded, typed)
