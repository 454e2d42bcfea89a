"""``vggapps dream``: what a network believes to see in a picture, drawn into it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vggapps.cli.drain import Watching, drain, each
from vggapps.cli.films import plan_film, save_zoom
from vggapps.cli.inputs import Input, expand, opened
from vggapps.cli.options import (
    Force,
    FramesEvery,
    Images,
    Json,
    Output,
    PreviewEvery,
    Quiet,
    Recorded,
    SkipExisting,
    Verbose,
    with_settings,
)  # fmt: skip
from vggapps.cli.outputs import check_stdout, plan_outputs
from vggapps.cli.progress import Stop, silence
from vggapps.cli.saving import DEFAULT, Saving, Target, check_room
from vggapps.errors import SettingsError
from vggapps.visualization._settings import DreamSettings

HELP = """
Draw into a picture what the network believes to see in it.

What grows is the --objective: a layer, from [bold]relu3_3[/bold], beads and scales,
over [bold]relu4_3[/bold], eyes, to [bold]relu5_1[/bold], heads; a channel, [bold]conv5_1:7[/bold]; a class,
[bold]class:peacock[/bold]; or a sum of those. With --guide it is what another picture
shows. The result is [bold]IMAGE_dream.png[/bold] in the current folder; its settings
are inside it. Ctrl-C keeps the picture as it is.

--zoom makes a film of so many frames that moves into the dream.

[bold]Examples[/bold]

  vggapps dream town.jpg

  vggapps dream town.jpg --objective relu4_3 --size 1024 -o dream.png

  vggapps dream photos/ --guide flowers.jpg -o dreams/

  vggapps dream town.jpg --size 384 --zoom 100 -o dream.webp
"""

Grows = Annotated[str, typer.Option("--objective", metavar="OBJECTIVE", help="What grows: a layer, channel, class.")]
Zoom = Annotated[
    int | None, typer.Option(metavar="N", min=1, max=10000, help="N frames of a film: .webp, .gif, .png or .mp4.")
]


@with_settings(DreamSettings, saving=Saving)
def dream(  # noqa: D103 - people see HELP
    settings: DreamSettings,
    saving: Saving,
    images: Images,
    objective: Grows = "relu5_1",
    zoom: Zoom = None,
    output: Output = None,
    recorded: Recorded = None,
    skip_existing: SkipExisting = False,
    preview_every: PreviewEvery = 0,
    frames_every: FramesEvery = 0,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    check_stdout(output, as_json=as_json)
    photos = expand(images, quiet=quiet)
    guides = [settings.guide] if settings.guide else []
    watching = Watching(preview_every, frames_every, quiet)
    if zoom is None:
        targets = plan_outputs(
            photos, "_dream", output,
            force=force, protected=guides, saving=saving, skip_existing=skip_existing, quiet=quiet,
        )  # fmt: skip
    else:
        if saving != DEFAULT or watching != Watching(quiet=quiet) or skip_existing:
            raise SettingsError("a film has no use for previews, frames and options of picture files", "leave them out")
        targets = [plan_film(photos, output, guides, force=force)]

    from vggapps.image import open_picture
    from vggapps.image._recipe import identify_files, recipe
    from vggapps.objectives._networks import load_networks
    from vggapps.visualization._deepdream import dream_steps, objective_of
    from vggapps.visualization._zooming import zoom_steps as zoomed

    used = identify_files(settings)
    networks = load_networks([objective], settings)
    wanted = objective_of(objective, settings, networks)

    def make(photo: Input, target: Target, stop: Stop) -> dict[str, Any]:
        data, identity = opened(photo.path)
        picture = open_picture(data, at_least=2 * settings.size, name=Path(photo.path).name)
        told = recipe("dream", settings, {"images": [identity], **used}, {"objective": objective, "zoom": zoom})
        if zoom is not None:
            return save_zoom(zoomed(picture, zoom, wanted, settings, network=networks), target, stop, told, quiet=quiet)
        check_room(target, told, metadata=picture.metadata)
        return drain(
            dream_steps(picture, wanted, settings, network=networks),
            target,
            stop,
            title=picture.name,
            picture_of=lambda step: picture.with_rgb(step.full_image()),
            recipe=told,
            watching=watching,
        )

    each(photos, targets, make, as_json=as_json)
