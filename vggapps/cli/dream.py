"""``vggapps dream``: what a network believes to see in a picture, drawn into it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps.cli.drain import Watching, drain
from vggapps.cli.each import each
from vggapps.cli.inputs import Input, expand, read
from vggapps.cli.options import (
    Force,
    FramesEvery,
    Images,
    Json,
    Output,
    PreviewEvery,
    Quiet,
    SkipExisting,
    Verbose,
    with_settings,
)
from vggapps.cli.outputs import check_stdout, plan_file, plan_outputs
from vggapps.cli.progress import Stop, silence, watched
from vggapps.cli.saving import DEFAULT, Saving, Target, check_room, deliver
from vggapps.errors import SettingsError
from vggapps.settings import nameless, to_dict, writable
from vggapps.visualization._dream_settings import DreamSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vggapps.optimize._step import Step

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
    given: dict[str, Any],
    saving: Saving,
    images: Images,
    objective: Grows = "relu5_1",
    zoom: Zoom = None,
    output: Output = None,
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
    settings = DreamSettings(**given)
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
        targets = [_film(photos, output, guides, force=force)]

    from vggapps import __version__
    from vggapps.image import open_picture
    from vggapps.style._transfer import painted
    from vggapps.visualization._deepdream import dream, dream_networks, objective_of
    from vggapps.visualization._zooming import zoom as zoomed

    networks = dream_networks(objective, settings)
    wanted = objective_of(objective, settings, networks)

    def make(photo: Input, target: Target, stop: Stop) -> dict[str, Any]:
        picture = open_picture(read(photo.path), at_least=2 * settings.size, name=Path(photo.path).name)
        recipe = {
            "made_by": f"vggapps {__version__} dream",
            "image": writable(picture.name),
            "objective": objective,
            "settings": to_dict(nameless(settings, "guide", "backbone", "classes")),
        }
        if zoom is not None:
            return _zoomed(zoomed(picture, zoom, wanted, settings, network=networks), target, stop, recipe, quiet=quiet)
        check_room(target, recipe, metadata=picture.metadata)
        return drain(
            dream(picture, wanted, settings, network=networks),
            target,
            stop,
            title=picture.name,
            picture_of=partial(painted, content=picture),
            recipe=recipe,
            watching=watching,
        )

    each(photos, targets, make, as_json=as_json)


def _film(photos: list[Input], output: str | None, guides: list[str], *, force: bool) -> Target:
    """The film to write, checked."""
    from vggapps.figures._film import check_film

    if output is None or len(photos) > 1:
        raise SettingsError("a film is made of one picture, and needs a name", "for example -o dream.webp")
    check_film(output, overwrite=True)  # whether it exists is asked below
    return plan_file(output, [*(photo.path for photo in photos), *guides], force=force)


def _zoomed(
    steps: Iterator[Step], target: Target, stop: Stop, recipe: dict[str, Any], *, quiet: bool
) -> dict[str, Any]:
    """Frame by frame to a film; a stop keeps the frames so far."""
    from vggapps.figures._film import save_film
    from vggapps.image import Picture, to_pil

    frames = []
    for step in watched(steps, "frames", quiet=quiet):
        frames.append(to_pil(Picture(step.image())))
        if stop.code:
            break
    stopped = len(frames) < step.total
    if stopped:  # does not replace a film that may be whole, not even with --force
        target = replace(target, force=False)
    place = deliver(target, lambda path: save_film(frames, path, settings=recipe))
    return {
        "schema": 1,
        "output": place,
        "size": list(frames[0].size),
        "frames": len(frames),
        "seconds": round(step.seconds, 2),
        "interrupted": stopped,
        **recipe,
    }
