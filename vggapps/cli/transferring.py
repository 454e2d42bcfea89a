"""Style transfer by optimization: what ``vggapps stylize`` does without a painter."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vggapps.cli.inputs import mixtures_of, read_input, weighted_style
from vggapps.cli.interrupt import Stop
from vggapps.cli.runs import Watching, run_steps
from vggapps.cli.saving import Target, check_room
from vggapps.cli.stylizing import Job, Make, Order
from vggapps.errors import SettingsError

if TYPE_CHECKING:
    from vggapps.image import Picture
    from vggapps.image._recipe import Recipe
    from vggapps.style._settings import StylizeSettings

log = logging.getLogger(__name__)


def transfer(order: Order, settings: StylizeSettings, watching: Watching, recorded: Recipe | None) -> None:
    """Optimize a picture for each photo and mixture of paintings."""
    from vggapps.style import _recipe as recipes

    made_on = recipes.machine_of(recorded) if recorded else {}
    if not order.content or not order.styles:
        raise SettingsError("a photo and at least one style are needed", "vggapps stylize photo.jpg painting.jpg")
    mixtures = mixtures_of(
        [weighted_style(style) for style in order.styles], each_style=order.each_style, quiet=order.quiet
    )
    paths = list(dict.fromkeys(path for mixture in mixtures for path, _ in mixture))

    def prepare() -> Make:
        from vggapps.image import scaled
        from vggapps.image._recipe import identify_files
        from vggapps.style._styles import open_photo, open_style
        from vggapps.style._transfer import load_backbone, stylize_steps

        for line in recipes.differences(made_on, settings):
            log.warning("%s: %s", recorded and recorded.picture, line)
        # All files are read now: they may change during a long run.
        used = identify_files(settings)
        read_styles = {path: read_input(path) for path in paths}
        vgg = load_backbone(settings)

        @cache
        def painting(path: str, size: int) -> Picture:
            return open_style(read_styles[path][0], size, settings.style_size, Path(path).name)

        def make(job: Job, target: Target, stop: Stop) -> dict[str, Any]:
            photo, mixture = job
            data, identity = read_input(photo.path)
            picture, size = open_photo(data, settings, Path(photo.path).name)
            recipe = recipes.recipe(
                settings, identity, [(read_styles[path][1], weight) for path, weight in mixture], used
            )
            check_room(target, recipe, scaled(*picture.size, size), picture.metadata)
            styles = [(painting(path, size), weight) for path, weight in mixture]
            steps = stylize_steps(picture, styles, settings, vgg=vgg, size=size)
            return run_steps(
                steps, target, stop,
                title=picture.name, picture_of=lambda step: picture.with_rgb(step.full_image()), recipe=lambda: recipe,
                watching=watching, quiet=order.quiet,
            )  # fmt: skip

        return make

    picture = [recorded.picture] if recorded else []
    order.run(mixtures, prepare, protected=[*paths, settings.init, *picture])
