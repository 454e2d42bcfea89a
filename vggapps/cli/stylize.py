"""``vggapps stylize``: a photo painted like a painting."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps.cli.options import Json, Quiet, Verbose, with_settings
from vggapps.cli.outputs import STREAM, expand, plan_outputs, read
from vggapps.cli.progress import Stop, silence, stoppable, watched
from vggapps.errors import SettingsError, VggappsError
from vggapps.stylize.settings import StylizeSettings

if TYPE_CHECKING:
    from vggapps.image import Picture
    from vggapps.vgg.network import VGG

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
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="PATH", help="The file or folder/ to write; - for stdout."),
]
Recorded = Annotated[
    str | None,
    typer.Option(
        "--settings", metavar="PICTURE", help="Take the settings of a picture made earlier; alone: make it again."
    ),
]
PreviewEvery = Annotated[
    int,
    typer.Option(
        "--preview-every", metavar="N", min=0, help="Write OUTPUT.preview.png every N steps; it goes at the end."
    ),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the file that -o names.")]


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
    from vggapps.stylize.recipe import inputs_from, read_recipe, settings_from

    silence(quiet)
    if recorded is not None:
        found = read_recipe(recorded)
        settings = settings_from(found, recorded, given)
        if not content:
            content, styles = inputs_from(found, recorded)
    else:
        settings = StylizeSettings(**given)
    if not content or not styles:
        raise SettingsError("a photo and at least one style are needed", "vggapps stylize photo.jpg painting.jpg")
    weighted = [_weighted(style) for style in styles]
    photos = expand(content)
    suffix = "_by_" + "_".join(Path(path).stem for path, _ in weighted)
    targets = plan_outputs(photos, suffix, output, force=force, protected=[path for path, _ in weighted])

    from vggapps.image import open_picture
    from vggapps.stylize.transfer import load_backbone

    paintings = [(open_picture(path), weight) for path, weight in weighted]
    easel = Easel(weighted, paintings, settings, load_backbone(settings), preview_every, quiet)
    failed = 0
    with stoppable() as stop:
        for photo, target in zip(photos, targets, strict=True):
            try:
                made = easel.paint(photo, target, stop)
            except VggappsError as error:
                if len(photos) == 1:
                    raise
                failed += 1
                typer.secho(f"error: {error}", fg="red", err=True)
                continue
            if target != STREAM:
                typer.echo(json.dumps(made) if as_json else target)
            if stop.code:
                sys.exit(stop.code)
    if failed:
        typer.echo(f"{failed} of {len(photos)} pictures failed", err=True)
        sys.exit(1)


def _weighted(word: str) -> tuple[str, float]:
    """``style.jpg:0.7`` as path and weight; a colon that belongs to the name stays there."""
    path, colon, weight = word.rpartition(":")
    if not colon or Path(word).exists():
        return word, 1.0
    try:
        return path, float(weight)
    except ValueError:
        return word, 1.0


@dataclass(frozen=True)
class Easel:
    """What stays the same from photo to photo."""

    styles: list[tuple[str, float]]
    paintings: list[tuple[Picture, float]]
    settings: StylizeSettings
    vgg: VGG
    preview_every: int
    quiet: bool

    def paint(self, photo: str, target: str, stop: Stop) -> dict[str, Any]:
        """Paint one photo into its file; what there is to say about it."""
        from vggapps.image import encode_picture, open_picture, save_picture
        from vggapps.stylize.recipe import recipe
        from vggapps.stylize.transfer import painted, stylize

        content = open_picture(read(photo), name=Path(photo).name)
        preview = Path(target).with_suffix(".preview.png") if self.preview_every and target != STREAM else None
        steps = stylize(content, self.paintings, self.settings, vgg=self.vgg)
        step = None
        for step in watched(steps, content.name, quiet=self.quiet):
            if preview and step.index % self.preview_every == 0:
                save_picture(painted(step, content), preview, overwrite=True)
            if stop.code:
                break
        assert step is not None, "settings ask for at least one step"
        picture, made = painted(step, content), recipe(self.settings, photo, self.styles)
        if target == STREAM:
            sys.stdout.buffer.write(encode_picture(picture, "png", settings=made))
        else:
            save_picture(picture, target, settings=made, overwrite=True)
        if preview:
            preview.unlink(missing_ok=True)
        return {
            "schema": 1,
            "output": target,
            "size": [picture.size[1], picture.size[0]],
            "seconds": round(step.seconds, 2),
            "steps": step.index,
            "interrupted": bool(stop.code),
            "loss": step.loss,
            "terms": dict(step.terms),
            **made,
        }
