"""``vggapps visualize``: what a layer, a channel or a class looks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps.cli.drain import Watching, drain, each
from vggapps.cli.inputs import Input
from vggapps.cli.options import (
    Force,
    FramesEvery,
    Json,
    Output,
    PreviewEvery,
    Quiet,
    Recorded,
    Verbose,
    with_settings,
)  # fmt: skip
from vggapps.cli.outcome import note
from vggapps.cli.outputs import check_stdout, deliver_list, file_name, plan_list, plan_outputs
from vggapps.cli.progress import Stop, silence
from vggapps.cli.saving import Target
from vggapps.visualization._settings import VisualizeSettings

if TYPE_CHECKING:
    from vggapps.image import Picture
    from vggapps.optimize._step import Step
    from vggapps.visualization._made import Visualized

HELP = """
Show what a layer, a channel or a class of the network looks for.

OBJECTIVE is a channel, [bold]conv4_3:12[/bold]; a range of them, [bold]conv4_3:0-63[/bold]; a whole
layer, [bold]conv4_3[/bold], which with --grid means each of its channels; a class,
[bold]class:tabby[/bold]; or a sum, [bold]"conv4_3:12 - 0.5*conv4_3:200"[/bold]. Several make a
contact sheet, and a list of what is on it beside it, .json.
docs/visualize.md has them all.

Names are those before the ReLU: conv4_3, not relu4_3, so that silent
channels can be found, too. Numbers below the pictures say how far they go
beyond 1,000 photographs: x2 is twice the largest of them, and what is below
x1 is unfinished. Ctrl-C keeps the picture as it is.

[bold]Examples[/bold]

  vggapps visualize conv4_3:12

  vggapps visualize class:tabby -o tabby.png

  vggapps visualize conv3_1:0-63

  vggapps visualize "conv4_2:29 + 5000*diversity(conv3_1)" --pictures 4
"""

Objectives = Annotated[
    list[str], typer.Argument(metavar="OBJECTIVE...", help="LAYER, LAYER:CHANNEL, class:NAME, or a sum of them.")
]
Grid = Annotated[bool, typer.Option("--grid", help="Every channel of the layers that are named.")]


@with_settings(VisualizeSettings)
def visualize(  # noqa: D103 - people see HELP
    settings: VisualizeSettings,
    objectives: Objectives,
    grid: Grid = False,
    output: Output = None,
    recorded: Recorded = None,
    preview_every: PreviewEvery = 0,
    frames_every: FramesEvery = 0,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    check_stdout(output, as_json=as_json)
    reads = [settings.start] if settings.start else []
    (target,) = plan_outputs([Input(f"{file_name(objectives)}.png")], "", output, force=force, protected=reads)
    assert target is not None

    from vggapps.image._recipe import identify_files
    from vggapps.objectives._networks import load_networks
    from vggapps.objectives._text import expand, parse
    from vggapps.visualization._made import score_pictures
    from vggapps.visualization._render import visualize_steps

    used = identify_files(settings)
    networks = load_networks(objectives, settings)
    parsed = [parse(text, networks) for word in objectives for text in expand(word, networks, grid)]
    result: Visualized | None = None
    several = max(len(parsed), settings.pictures) > 1
    if several and target.named and not target.is_stream:
        plan_list(target)

    def picture_of(step: Step) -> Picture:
        nonlocal result
        result = score_pictures(step.image(), parsed, networks)
        return result.picture()

    def recipe(_: Step) -> dict[str, Any]:
        assert result is not None, "the picture comes first"
        return result.recipe(settings, used, {"objectives": objectives, "grid": grid})

    def make(_: str, target: Target, stop: Stop) -> dict[str, Any]:
        made = drain(
            visualize_steps(parsed, settings, network=networks),
            target,
            stop,
            title=parsed[0].text if len(parsed) == 1 else f"{len(parsed)} pictures",
            picture_of=picture_of,
            recipe=recipe,
            watching=Watching(preview_every, frames_every, quiet),
        )
        assert result is not None
        if few := result.unfinished():
            note(f"{few} of {len(result.pictures)} unfinished: more --steps take them further", quiet=quiet)
        if several and not target.is_stream:
            deliver_list(made["output"], result.manifest() | made, target)
        return made

    each([", ".join(objectives)], [target], make, as_json=as_json, named=str)
