"""``vggapps stylize``: a photo painted like a painting."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from vggapps.cli.drain import Watching, drain, each
from vggapps.cli.inputs import Input, Mixture, expand, mixtures_of, opened, weighted_style
from vggapps.cli.options import (
    Force,
    FramesEvery,
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
from vggapps.cli.saving import Saving, Target, check_room
from vggapps.errors import SettingsError
from vggapps.style._settings import StylizeSettings

log = logging.getLogger(__name__)

HELP = """
Paint a photo in the style of a painting.

The result is [bold]CONTENT_by_STYLE.png[/bold] in the current folder; its settings are
inside it. CONTENT may be a folder or a pattern: each picture gets its own
result, and subfolders are kept. Several styles are mixed, [bold]a.jpg:0.7 b.jpg:0.3[/bold];
with --each-style, or where STYLE is a folder, each style makes a picture of
its own. Ctrl-C keeps the picture as it is.

[bold]Examples[/bold]

  vggapps stylize town.jpg starry-night.jpg

  vggapps stylize town.jpg starry-night.jpg:0.7 waves.jpg:0.3 --strength 0.7

  vggapps stylize photos/ waves.jpg -o painted/ --skip-existing

  vggapps stylize town.jpg styles/ --size original --format jpg
"""

Content = Annotated[
    str, typer.Argument(metavar="CONTENT", help="A photo, a folder, a pattern, or - for stdin.", show_default=False)
]
Styles = Annotated[
    list[str] | None,
    typer.Argument(metavar="STYLE...", help="Paintings, each with :weight if you like; or folders of them."),
]
EachStyle = Annotated[bool, typer.Option("--each-style", help="Don't mix several styles: make a picture of each.")]


@with_settings(StylizeSettings, saving=Saving)
def stylize(  # noqa: D103 - people see HELP
    settings: StylizeSettings,
    saving: Saving,
    content: Content = "",
    styles: Styles = None,
    output: Output = None,
    recorded: Recorded = None,
    each_style: EachStyle = False,
    skip_existing: SkipExisting = False,
    preview_every: PreviewEvery = 0,
    frames_every: FramesEvery = 0,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    from vggapps.style import _recipe as recipes

    silence(quiet)
    check_stdout(output, as_json=as_json)
    made_on = recipes.machine_of(recorded) if recorded else {}
    if not content or not styles:
        raise SettingsError("a photo and at least one style are needed", "vggapps stylize photo.jpg painting.jpg")
    mixtures = mixtures_of([weighted_style(style) for style in styles], each_style=each_style, quiet=quiet)
    jobs = [(photo, mixture) for photo in expand([content], quiet=quiet) for mixture in mixtures]
    paths = list(dict.fromkeys(path for mixture in mixtures for path, _ in mixture))
    targets = plan_outputs(
        [photo for photo, _ in jobs],
        ["_by_" + "_".join(Path(path).stem for path, _ in mixture) for _, mixture in jobs],
        output,
        force=force,
        protected=[*paths, settings.init, *([recorded.picture] if recorded else [])],
        saving=saving,
        skip_existing=skip_existing,
        quiet=quiet,
    )

    from vggapps.image import Picture, scaled
    from vggapps.image._recipe import identify_files
    from vggapps.style._machine import differences
    from vggapps.style._styles import open_photo, open_style
    from vggapps.style._transfer import load_backbone, stylize_steps

    for line in differences(made_on, settings):
        log.warning("%s: %s", recorded and recorded.picture, line)
    # Which files these are is noted as they are read: in a long run they may be replaced, or go.
    used = identify_files(settings)
    read_styles = {path: opened(path) for path in paths}
    vgg = load_backbone(settings)

    @cache
    def painting(path: str, size: int) -> Picture:
        return open_style(read_styles[path][0], size, settings.style_size, Path(path).name)

    def make(job: tuple[Input, Mixture], target: Target, stop: Stop) -> dict[str, Any]:
        photo, mixture = job
        data, identity = opened(photo.path)
        picture, size = open_photo(data, settings, Path(photo.path).name)
        recipe = recipes.recipe(settings, identity, [(read_styles[path][1], weight) for path, weight in mixture], used)
        check_room(target, recipe, scaled(*picture.size, size), picture.metadata)
        styles = [(painting(path, size), weight) for path, weight in mixture]
        return drain(
            stylize_steps(picture, styles, settings, vgg=vgg, size=size),
            target,
            stop,
            title=picture.name,
            picture_of=lambda step: picture.with_rgb(step.full_image()),
            recipe=recipe,
            watching=Watching(preview_every, frames_every, quiet),
        )

    each(jobs, targets, make, as_json=as_json, named=lambda job: job[0].path)
