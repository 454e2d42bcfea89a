"""``vggapps invert``: what layers know of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps.cli.drain import Watching, drain, each
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
    words,
)  # fmt: skip
from vggapps.cli.outputs import check_stdout, plan_outputs
from vggapps.cli.progress import Stop, silence
from vggapps.cli.saving import Saving, Target
from vggapps.visualization._settings import InvertSettings

if TYPE_CHECKING:
    from vggapps.image import Picture
    from vggapps.optimize._step import Step

HELP = """
Show what a layer knows of a picture.

From noise a picture is made that looks the same to the layer. What the
layer has forgotten is made up: little at [bold]conv1_1[/bold], much at [bold]conv4_3[/bold], nearly
all but parts and textures at [bold]conv5_4[/bold]. Several layers make a sheet, the
picture first, with the error of each: the squared distance of what the
layer sees from what it saw, relative to that.

The result is [bold]IMAGE_inverted.png[/bold] in the current folder; its settings are
inside it. Ctrl-C keeps the picture as it is.

[bold]Examples[/bold]

  vggapps invert cat.jpg

  vggapps invert cat.jpg --layer conv1_2,conv2_2,conv3_4,conv4_4,conv5_4

  vggapps invert cat.jpg --layer conv5_1 --method mv2016 --size 320 -o cat5.png
"""

Layer = Annotated[str, typer.Option("--layer", metavar="LAYER,...", help="Where the pictures are to look the same.")]


@with_settings(InvertSettings, saving=Saving)
def invert(  # noqa: D103 - people see HELP
    settings: InvertSettings,
    saving: Saving,
    images: Images,
    layer: Layer = "conv4_3",
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
    layers = tuple(dict.fromkeys(words(layer)))
    photos = expand(images, quiet=quiet)
    targets = plan_outputs(
        photos, "_inverted", output, force=force, saving=saving, skip_existing=skip_existing, quiet=quiet
    )

    from vggapps.image import open_picture
    from vggapps.image._recipe import identify_files, recipe
    from vggapps.objectives._networks import load_networks
    from vggapps.visualization._inversion import errors, inversion_sheet, invert_steps

    used = identify_files(settings)
    networks = load_networks(layers, settings)

    def make(photo: Input, target: Target, stop: Stop) -> dict[str, Any]:
        data, identity = opened(photo.path)
        picture = open_picture(data, at_least=2 * settings.size, name=Path(photo.path).name)
        found: dict[str, float] = {}

        def picture_of(step: Step) -> Picture:
            made = step.image()
            found.update(errors(picture, made, layers, networks))
            return inversion_sheet(picture, made, found)

        return drain(
            invert_steps(picture, layers, settings, network=networks),
            target,
            stop,
            title=picture.name,
            picture_of=picture_of,
            recipe=lambda _: recipe("invert", settings, {"images": [identity], **used}, {"layer": layer}, errors=found),
            watching=Watching(preview_every, frames_every, quiet),
        )

    each(photos, targets, make, as_json=as_json)
