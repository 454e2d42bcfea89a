"""``vggapps visualize``: feature visualization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps.cli.inputs import Input
from vggapps.cli.interrupt import Stop
from vggapps.cli.options import Force, Json, Output, Quiet, Recorded, with_settings
from vggapps.cli.outcome import note
from vggapps.cli.outputs import check_stdout, deliver_list, file_name, plan_list, plan_outputs
from vggapps.cli.runs import Watching, run_each, run_steps
from vggapps.cli.saving import Target
from vggapps.visualization._settings import VisualizeSettings

if TYPE_CHECKING:
    from vggapps.image import Picture
    from vggapps.optimize._step import Step
    from vggapps.visualization._visualized import Visualized

Objectives = Annotated[
    list[str], typer.Argument(metavar="OBJECTIVE...", help="LAYER, LAYER:CHANNEL, class:NAME, or a sum of them.")
]
Grid = Annotated[bool, typer.Option("--grid", help="Visualize every channel of the layers.")]


@with_settings(VisualizeSettings, watching=Watching)
def visualize(
    settings: VisualizeSettings,
    watching: Watching,
    objectives: Objectives,
    grid: Grid = False,
    output: Output = None,
    recorded: Recorded = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a picture that activates a layer, a channel or a class.

    OBJECTIVE is a channel, [bold]conv4_3:12[/bold]; a range of channels, [bold]conv4_3:0-63[/bold]; a
    layer, [bold]conv4_3[/bold], or with --grid each of its channels; a class,
    [bold]class:tabby[/bold]; or a sum, [bold]"conv4_3:12 - 0.5*conv4_3:200"[/bold]. Several
    objectives make a contact sheet and a .json file that lists its pictures.
    docs/visualize.md describes all objectives.

    Use the layers before the ReLU, conv4_3 rather than relu4_3: an inactive
    channel has no gradient behind a ReLU. The number below a picture compares
    its activation with the largest on 1,000 photographs: x2 is twice as large;
    below x1 it is marked as unfinished and needs more --steps. Ctrl-C stops
    early and keeps the picture so far.

    [bold]Examples[/bold]

      vggapps visualize conv4_3:12

      vggapps visualize class:tabby -o tabby.png

      vggapps visualize conv3_1:0-63

      vggapps visualize "conv4_2:29 + 5000*diversity(conv3_1)" --pictures 4
    """
    check_stdout(output, as_json=as_json)
    reads = [settings.start] if settings.start else []
    (target,) = plan_outputs([Input(f"{file_name(objectives)}.png")], "", output, force=force, protected=reads)
    assert target is not None

    from vggapps.image._recipe import identify_files
    from vggapps.objectives._networks import load_networks
    from vggapps.objectives._text import expand, parse
    from vggapps.visualization._render import visualize_steps
    from vggapps.visualization._visualized import score_pictures

    used = identify_files(settings)
    networks = load_networks(objectives, settings)
    parsed = [parse(text, networks) for word in objectives for text in expand(word, networks, grid)]
    result: Visualized | None = None
    is_sheet = max(len(parsed), settings.pictures) > 1
    if is_sheet and target.named and not target.is_stream:
        plan_list(target)

    def picture_of(step: Step) -> Picture:
        nonlocal result
        result = score_pictures(step.image(), parsed, networks)
        return result.picture()

    def recipe() -> dict[str, Any]:
        assert result is not None
        return result.recipe(settings, used, {"objectives": objectives, "grid": grid})

    def make(_: str, target: Target, stop: Stop) -> dict[str, Any]:
        made = run_steps(
            visualize_steps(parsed, settings, network=networks), target, stop,
            title=parsed[0].text if len(parsed) == 1 else f"{len(parsed)} pictures",
            picture_of=picture_of, recipe=recipe, watching=watching, quiet=quiet,
        )  # fmt: skip
        assert result is not None
        if few := result.unfinished():
            note(f"{few} of {len(result.pictures)} pictures are unfinished: use more --steps", quiet=quiet)
        if is_sheet and not target.is_stream:
            deliver_list(made["output"], result.manifest() | made, target)
        return made

    run_each([", ".join(objectives)], [target], make, as_json=as_json, named=str)
