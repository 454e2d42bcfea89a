"""``vggapps stylize``: a photo painted like a painting."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from vggapps.cli.drain import drain
from vggapps.cli.each import each
from vggapps.cli.options import Force, Json, Output, PreviewEvery, Quiet, Verbose, with_settings
from vggapps.cli.outputs import expand, plan_outputs, read
from vggapps.cli.progress import Stop, silence
from vggapps.errors import SettingsError
from vggapps.stylize.settings import StylizeSettings

log = logging.getLogger(__name__)

HELP = """
Paint a photo in the style of a painting.

The result is [bold]CONTENT_by_STYLE.png[/bold] in the current folder; its settings are inside it. CONTENT may be a
folder or a pattern: each picture gets its own result. Several styles are mixed, [bold]a.jpg:0.7 b.jpg:0.3[/bold].
Ctrl-C keeps the picture as it is.

[bold]Examples[/bold]

  vggapps stylize town.jpg starry-night.jpg

  vggapps stylize town.jpg starry-night.jpg:0.7 waves.jpg:0.3 --strength 0.7 --size 1024 -o painted.png

  vggapps stylize photos/ waves.jpg --colors content -o painted/
"""


Content = Annotated[
    str, typer.Argument(metavar="CONTENT", help="A photo, a folder, a pattern, or - for stdin.", show_default=False)
]
Styles = Annotated[
    list[str] | None,
    typer.Argument(metavar="STYLE...", help="One or more paintings, each with :weight if you like."),
]
Recorded = Annotated[
    str | None,
    typer.Option(
        "--settings", metavar="PICTURE", help="Take the settings of a picture made earlier; alone: make it again."
    ),
]


@with_settings(StylizeSettings)
def stylize(  # noqa: D103 - people see HELP
    given: dict[str, Any],
    content: Content = "",
    styles: Styles = None,
    output: Output = None,
    recorded: Recorded = None,
    preview_every: PreviewEvery = 0,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    from vggapps.stylize import recipe as recipes
    from vggapps.stylize.machine import differences

    silence(quiet)
    weighted = [_weighted(style) for style in styles or ()]
    if recorded is not None:
        found = recipes.read_recipe(recorded)
        files = recipes.files_from(found, recorded, given)
        settings = recipes.settings_from(found, recorded, files | given)
        for line in differences(found.machine, settings):
            log.warning("%s: %s", recorded, line)
        content = content or recipes.content_from(found, recorded)
        weighted = weighted or recipes.styles_from(found, recorded)
    else:
        settings = StylizeSettings(**given)
    if not content or not weighted:
        raise SettingsError("a photo and at least one style are needed", "vggapps stylize photo.jpg painting.jpg")
    photos = expand(content)
    suffix = "_by_" + "_".join(Path(path).stem for path, _ in weighted)
    read_too = [*(path for path, _ in weighted), settings.init, *([recorded] if recorded else [])]
    targets = plan_outputs(photos, suffix, output, force=force, protected=read_too)

    from vggapps.image import open_picture
    from vggapps.stylize.transfer import load_backbone, painted, stylize

    # Which files these are is noted as they are read: in a long run they may be replaced, or go.
    used = recipes.identify_files(settings)
    paintings, known = [], []
    for path, weight in weighted:
        data, identity = recipes.opened(path)
        paintings.append((open_picture(data, name=Path(path).name), weight))
        known.append((identity, weight))
    vgg = load_backbone(settings)

    def make(photo: str, target: str, stop: Stop) -> dict[str, Any]:
        data, identity = recipes.opened(read(photo))
        picture = open_picture(data, name=Path(photo).name)
        return drain(
            stylize(picture, paintings, settings, vgg=vgg),
            target,
            stop,
            title=picture.name,
            picture_of=partial(painted, content=picture),
            recipe=recipes.recipe(settings, identity, known, used),
            preview_every=preview_every,
            quiet=quiet,
        )

    each(photos, targets, make, as_json=as_json)


def _weighted(word: str) -> tuple[str, float]:
    """``style.jpg:0.7`` as path and weight; a colon that belongs to the name stays there."""
    path, colon, weight = word.rpartition(":")
    if not colon or Path(word).exists():
        return word, 1.0
    try:
        return path, float(weight)
    except ValueError:
        return word, 1.0
