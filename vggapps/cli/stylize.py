"""``vggapps stylize``: style transfer."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vggapps.cli.inputs import Input, Mixture, expand, mixtures_of, read_input, weighted_style
from vggapps.cli.interrupt import Stop
from vggapps.cli.options import Force, Json, Output, Quiet, Recorded, SkipExisting, with_settings
from vggapps.cli.outputs import check_stdout, plan_outputs
from vggapps.cli.runs import Watching, run_each, run_steps
from vggapps.cli.saving import Saving, Target, check_room
from vggapps.errors import SettingsError
from vggapps.style._settings import StylizeSettings

if TYPE_CHECKING:
    from vggapps.image import Picture

log = logging.getLogger(__name__)

Content = Annotated[
    str, typer.Argument(metavar="CONTENT", help="A photo, a folder, a pattern, or - for stdin.", show_default=False)
]
Styles = Annotated[
    list[str] | None,
    typer.Argument(metavar="STYLE...", help="Paintings, optionally with :weight, or folders of paintings."),
]
EachStyle = Annotated[bool, typer.Option("--each-style", help="Make one picture per style instead of mixing them.")]


@with_settings(StylizeSettings, saving=Saving, watching=Watching)
def stylize(
    settings: StylizeSettings,
    saving: Saving,
    watching: Watching,
    content: Content = "",
    styles: Styles = None,
    output: Output = None,
    recorded: Recorded = None,
    each_style: EachStyle = False,
    skip_existing: SkipExisting = False,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Paint a photo in the style of a painting.

    The result is [bold]CONTENT_by_STYLE.png[/bold] in the current folder. It contains its
    settings. CONTENT may be a folder or a pattern: each picture gets its own
    result, and subfolders are kept. Several styles are mixed:
    [bold]a.jpg:0.7 b.jpg:0.3[/bold].
    With --each-style, or if STYLE is a folder, there is one result per style.
    Ctrl-C stops early and keeps the picture so far.

    [bold]Examples[/bold]

      vggapps stylize town.jpg starry-night.jpg

      vggapps stylize town.jpg starry-night.jpg:0.7 waves.jpg:0.3 --strength 0.7

      vggapps stylize photos/ waves.jpg -o painted/ --skip-existing

      vggapps stylize town.jpg styles/ --size original --format jpg
    """
    from vggapps.style import _recipe as recipes

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

    from vggapps.image import scaled
    from vggapps.image._recipe import identify_files
    from vggapps.style._recipe import differences
    from vggapps.style._styles import open_photo, open_style
    from vggapps.style._transfer import load_backbone, stylize_steps

    for line in differences(made_on, settings):
        log.warning("%s: %s", recorded and recorded.picture, line)
    # All files are read now: they may change during a long run.
    used = identify_files(settings)
    read_styles = {path: read_input(path) for path in paths}
    vgg = load_backbone(settings)

    @cache
    def painting(path: str, size: int) -> Picture:
        return open_style(read_styles[path][0], size, settings.style_size, Path(path).name)

    def make(job: tuple[Input, Mixture], target: Target, stop: Stop) -> dict[str, Any]:
        photo, mixture = job
        data, identity = read_input(photo.path)
        picture, size = open_photo(data, settings, Path(photo.path).name)
        recipe = recipes.recipe(settings, identity, [(read_styles[path][1], weight) for path, weight in mixture], used)
        check_room(target, recipe, scaled(*picture.size, size), picture.metadata)
        styles = [(painting(path, size), weight) for path, weight in mixture]
        steps = stylize_steps(picture, styles, settings, vgg=vgg, size=size)
        return run_steps(
            steps, target, stop,
            title=picture.name, picture_of=lambda step: picture.with_rgb(step.full_image()), recipe=lambda: recipe,
            watching=watching, quiet=quiet,
        )  # fmt: skip

    run_each(jobs, targets, make, as_json=as_json, named=lambda job: job[0].path)
