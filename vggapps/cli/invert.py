"""``vggapps invert``: feature inversion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps.cli.inputs import Input, expand, read_input
from vggapps.cli.interrupt import Stop
from vggapps.cli.options import Force, Images, Json, Output, Quiet, Recorded, SkipExisting, split_list, with_settings
from vggapps.cli.outputs import check_stdout, plan_outputs
from vggapps.cli.runs import Watching, run_each, run_steps
from vggapps.cli.saving import Saving, Target
from vggapps.visualization._settings import InvertSettings

if TYPE_CHECKING:
    from vggapps.image import Picture
    from vggapps.optimize._step import Step

Layer = Annotated[str, typer.Option("--layer", metavar="LAYER,...", help="The layers to invert.")]


@with_settings(InvertSettings, saving=Saving, watching=Watching)
def invert(
    settings: InvertSettings,
    saving: Saving,
    watching: Watching,
    images: Images,
    layer: Layer = "conv4_3",
    output: Output = None,
    recorded: Recorded = None,
    skip_existing: SkipExisting = False,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Reconstruct a picture from the features of a layer.

    Starting from noise, a picture is optimized until its feature maps match
    those of the original. Where it differs, the layer has lost information:
    little at [bold]conv1_1[/bold], much at [bold]conv4_3[/bold], and at [bold]conv5_4[/bold] only parts and
    textures remain. Several layers make a sheet that starts with the original
    and shows each layer's error, the relative squared distance of the features.

    The result is [bold]IMAGE_inverted.png[/bold] in the current folder. It contains its
    settings. Ctrl-C stops early and keeps the picture so far.

    [bold]Examples[/bold]

      vggapps invert cat.jpg

      vggapps invert cat.jpg --layer conv1_2,conv2_2,conv3_4,conv4_4,conv5_4

      vggapps invert cat.jpg --layer conv5_1 --method mv2016 -o cat5.png
    """
    check_stdout(output, as_json=as_json)
    layers = tuple(dict.fromkeys(split_list(layer)))
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
        data, identity = read_input(photo.path)
        picture = open_picture(data, at_least=2 * settings.size, name=Path(photo.path).name)
        found: dict[str, float] = {}

        def picture_of(step: Step) -> Picture:
            made = step.image()
            found.update(errors(picture, made, layers, networks))
            return inversion_sheet(picture, made, found)

        return run_steps(
            invert_steps(picture, layers, settings, network=networks), target, stop,
            title=picture.name, picture_of=picture_of,
            recipe=lambda: recipe("invert", settings, {"images": [identity], **used}, {"layer": layer}, errors=found),
            watching=watching, quiet=quiet,
        )  # fmt: skip

    run_each(photos, targets, make, as_json=as_json)
