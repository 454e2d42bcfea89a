"""``vggapps dream``: what a network believes to see in a picture, drawn into it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps.cli.drain import drain
from vggapps.cli.each import each
from vggapps.cli.options import Force, Images, Json, Output, PreviewEvery, Quiet, Verbose, with_settings
from vggapps.cli.outputs import expand, plan_outputs, read
from vggapps.cli.progress import Stop, silence, watched
from vggapps.errors import SettingsError
from vggapps.settings import nameless, to_dict, writable
from vggapps.visualize.dream_settings import DreamSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vggapps.optimize.step import Step

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


@with_settings(DreamSettings)
def dream(  # noqa: D103 - people see HELP
    given: dict[str, Any],
    images: Images,
    objective: Grows = "relu5_1",
    zoom: Zoom = None,
    output: Output = None,
    preview_every: PreviewEvery = 0,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    settings = DreamSettings(**given)
    photos = [path for word in images for path in expand(word)]
    if zoom is None:
        guides = [settings.guide] if settings.guide else []
        targets = plan_outputs(photos, "_dream", output, force=force, protected=guides)
    else:
        targets = [_film(photos, output, force=force)]

    from vggapps import __version__
    from vggapps.image import open_picture
    from vggapps.stylize.transfer import painted
    from vggapps.visualize.deepdream import dream, dream_networks, objective_of
    from vggapps.visualize.zooming import zoom as zoomed

    networks = dream_networks(objective, settings)
    wanted = objective_of(objective, settings, networks)

    def make(photo: str, target: str, stop: Stop) -> dict[str, Any]:
        picture = open_picture(read(photo), name=Path(photo).name)
        recipe = {
            "made_by": f"vggapps {__version__} dream",
            "image": writable(picture.name),
            "objective": objective,
            "settings": to_dict(nameless(settings, "guide", "weights")),
        }
        if zoom is not None:
            return _zoomed(zoomed(picture, zoom, wanted, settings, network=networks), target, stop, recipe, quiet=quiet)
        return drain(
            dream(picture, wanted, settings, network=networks),
            target,
            stop,
            title=picture.name,
            picture_of=partial(painted, content=picture),
            recipe=recipe,
            preview_every=preview_every,
            quiet=quiet,
        )

    each(photos, targets, make, as_json=as_json)


def _film(photos: list[str], output: str | None, *, force: bool) -> str:
    """The film to write, checked."""
    from vggapps.visualize.film import check_film

    if output is None or len(photos) > 1:
        raise SettingsError("a film is made of one picture, and needs a name", "for example -o dream.webp")
    if any(Path(photo).exists() and Path(photo).resolve() == Path(output).resolve() for photo in photos):
        raise SettingsError(f"-o {output} is the picture that is read", "choose another name")
    return str(check_film(output, overwrite=force))


def _zoomed(steps: Iterator[Step], target: str, stop: Stop, recipe: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Frame by frame to a film; a stop keeps the frames so far."""
    from vggapps.image import Picture, to_pil
    from vggapps.visualize.film import save_film

    frames = []
    for step in watched(steps, "frames", quiet=quiet):
        frames.append(to_pil(Picture(step.image())))
        if stop.code:
            break
    save_film(frames, target, settings=recipe, overwrite=True)
    return {
        "schema": 1,
        "output": target,
        "size": list(frames[0].size),
        "frames": len(frames),
        "seconds": round(step.seconds, 2),
        "interrupted": len(frames) < step.total,
        **recipe,
    }
