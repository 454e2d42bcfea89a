"""Painters: what ``vggapps stylize --painter`` does."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vggapps.cli.inputs import Mixture, each_alone, read_input, weighted_style
from vggapps.cli.interrupt import Stop
from vggapps.cli.outcome import option
from vggapps.cli.runs import Watching
from vggapps.cli.saving import Target, check_room, deliver_picture
from vggapps.cli.stylizing import Job, Make, Order
from vggapps.errors import PictureError, SettingsError
from vggapps.painters._paint_settings import PaintSettings
from vggapps.style._settings import StylizeSettings

if TYPE_CHECKING:
    from vggapps.image._recipe import Recipe
    from vggapps.painters import Painter

_WITH_STYLE = re.compile(r"(samples|.+\.safetensors):(.+)", re.DOTALL)
_HINT = "give --painter"


def paint_each(
    order: Order, settings: StylizeSettings, word: str | None, recorded: Recipe | None, typed: Collection[str]
) -> None:
    """Paint each photo in each mixture of a painter's styles.

    Args:
        order: the words of the command.
        settings: of which a painter needs only a part; the others must not be typed.
        word: the painter, perhaps with a style; None for that of the recipe.
        recorded: a recipe that provided settings.
        typed: the names of arguments and options that were typed.
    """
    from vggapps.image._recipe import damaged
    from vggapps.painters import load_painter
    from vggapps.vgg._device import pick_device

    used = [field.name for field in fields(PaintSettings)]
    others = [field.name for kind in (StylizeSettings, Watching) for field in fields(kind) if field.name not in used]
    if wrong := next((name for name in others if name in typed), None):
        raise SettingsError(f"{option(wrong)} has no effect on a painter", "leave it out, or leave out --painter")
    if not order.content:
        raise SettingsError("a photo is needed", "vggapps stylize photo.jpg --painter prints.safetensors:ink")
    painter_settings = PaintSettings(**{name: getattr(settings, name) for name in used})
    path, style = _split(word) if word is not None else (_recorded_painter(recorded), None)
    if style is not None and "styles" in typed:
        raise SettingsError(f"{word} names a style, and {order.styles[0]} is another", "name the styles in one place")
    words = [style] if style is not None else order.styles
    if recorded and not all(isinstance(one, str) for one in words):
        raise damaged(recorded.picture, TypeError("its styles are not names"))
    painter = load_painter(path)
    mixtures = _mixtures(painter, words, each_style=order.each_style)
    for mixture in mixtures:
        painter.mix(dict(mixture), settings.strength)  # raises the error for an unknown style

    def prepare() -> Make:
        from vggapps.image import scaled
        from vggapps.painters._painting import painted, painted_recipe
        from vggapps.style._styles import open_photo

        painter.to(pick_device(settings.device))

        def make(job: Job, target: Target, _: Stop) -> dict[str, Any]:
            photo, mixture = job
            start = time.perf_counter()
            data, identity = read_input(photo.path)
            picture, size = open_photo(data, settings, Path(photo.path).name)
            weights = dict(mixture)
            recipe = painted_recipe(painter_settings, identity, painter.file, weights)
            check_room(target, recipe, scaled(*picture.size, size), picture.metadata)
            made = painted(painter, picture, size, weights, painter_settings, progress=not order.quiet)
            place = deliver_picture(target, made, recipe)
            seconds = round(time.perf_counter() - start, 2)
            return {"schema": 1, "output": place, "size": [*made.size[::-1]], "seconds": seconds, **recipe}

        return make

    protected = [str(path), *([recorded.picture] if recorded else [])]
    order.run(mixtures, prepare, protected=protected, stem=lambda name: name)


def is_of_painter(recorded: Recipe | None) -> bool:
    """Whether the picture of a recipe was made by a painter."""
    return recorded is not None and "painter" in recorded.inputs


def _split(word: str) -> tuple[str, str | None]:
    """The painter and the style of ``NAME.safetensors:STYLE``."""
    found = None if os.path.exists(word) else _WITH_STYLE.fullmatch(word)  # noqa: PTH110 - pathlib's may raise
    return (found[1], found[2]) if found else (word, None)


def _mixtures(painter: Painter, words: Sequence[str], *, each_style: bool) -> list[Mixture]:
    from vggapps.painters._painting import mixture_of

    weighted = [weighted_style(word) for word in words]
    if each_style:
        return [[(name, 1.0)] for name in each_alone(weighted) or painter.styles]
    return [list(mixture_of(painter, weighted or None).items())]


def _recorded_painter(recorded: Recipe | None) -> str:
    """The painter of a recipe, found in the current folder or beside the picture; or that of this installation."""
    from vggapps.image._recipe import find_input
    from vggapps.painters import load_painter
    from vggapps.painters._files import SAMPLES

    assert recorded is not None
    wanted = recorded.inputs["painter"][0]
    if wanted.name != SAMPLES:
        return find_input(wanted, recorded.picture, _HINT)
    if load_painter(SAMPLES).file != wanted:
        raise PictureError(f"{recorded.picture} was made with {SAMPLES} of another version of vggapps", _HINT)
    return SAMPLES
