"""``vggapps dream``: DeepDream."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vggapps.cli.inputs import Input, expand, read_input
from vggapps.cli.interrupt import Stop
from vggapps.cli.options import Force, Images, Json, Output, Quiet, Recorded, SkipExisting, with_settings
from vggapps.cli.outputs import check_stdout, plan_outputs
from vggapps.cli.runs import Watching, plan_film, run_each, run_steps, save_frames
from vggapps.cli.saving import DEFAULT, Saving, Target, check_room
from vggapps.errors import SettingsError
from vggapps.visualization._settings import DreamSettings

Objective = Annotated[
    str, typer.Option("--objective", metavar="OBJECTIVE", help="What to amplify: a layer, a channel or a class.")
]
Zoom = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=10000, help="Make a film of N frames: .webp, .gif, .png or .mp4."),
]


@with_settings(DreamSettings, saving=Saving, watching=Watching)
def dream(
    settings: DreamSettings,
    saving: Saving,
    watching: Watching,
    images: Images,
    objective: Objective = "relu5_1",
    zoom: Zoom = None,
    output: Output = None,
    recorded: Recorded = None,
    skip_existing: SkipExisting = False,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Amplify what the network detects in a picture (DeepDream).

    --objective is a layer, from [bold]relu3_3[/bold] (beads and scales) over [bold]relu4_3[/bold] (eyes)
    to [bold]relu5_1[/bold] (heads); a channel, [bold]conv5_1:7[/bold]; a class, [bold]class:peacock[/bold]; or a
    sum of them. With --guide the features of another picture are amplified.
    The result is [bold]IMAGE_dream.png[/bold] in the current folder. It contains its
    settings. Ctrl-C stops early and keeps the picture so far.

    --zoom makes a film that moves into the dream.

    [bold]Examples[/bold]

      vggapps dream town.jpg

      vggapps dream town.jpg --objective relu4_3 --size 1024 -o dream.png

      vggapps dream photos/ --guide flowers.jpg -o dreams/

      vggapps dream town.jpg --size 384 --zoom 100 -o dream.webp
    """
    check_stdout(output, as_json=as_json)
    photos = expand(images, quiet=quiet)
    guides = [settings.guide] if settings.guide else []
    if zoom is None:
        targets = plan_outputs(
            photos, "_dream", output,
            force=force, protected=guides, saving=saving, skip_existing=skip_existing, quiet=quiet,
        )  # fmt: skip
    else:
        if saving != DEFAULT or watching != Watching() or skip_existing:
            raise SettingsError(
                "--zoom makes a film, without previews, frames and options of picture files", "leave these options out"
            )
        targets = [plan_film(photos, output, guides, force=force)]

    from vggapps.image import open_picture
    from vggapps.image._recipe import identify_files, recipe
    from vggapps.objectives._networks import load_networks
    from vggapps.visualization._deepdream import dream_steps, objective_of
    from vggapps.visualization._zooming import zoom_steps

    used = identify_files(settings)
    networks = load_networks([objective], settings)
    parsed = objective_of(objective, settings, networks)

    def make(photo: Input, target: Target, stop: Stop) -> dict[str, Any]:
        data, identity = read_input(photo.path)
        picture = open_picture(data, at_least=2 * settings.size, name=Path(photo.path).name)
        facts = recipe("dream", settings, {"images": [identity], **used}, {"objective": objective, "zoom": zoom})
        if zoom is not None:
            steps = zoom_steps(picture, zoom, parsed, settings, network=networks)
            return save_frames(steps, target, stop, facts, quiet=quiet)
        check_room(target, facts, metadata=picture.metadata)
        return run_steps(
            dream_steps(picture, parsed, settings, network=networks), target, stop,
            title=picture.name, picture_of=lambda step: picture.with_rgb(step.full_image()), recipe=lambda: facts,
            watching=watching, quiet=quiet,
        )  # fmt: skip

    run_each(photos, targets, make, as_json=as_json)
