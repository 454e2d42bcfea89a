"""Paint a photo: from files to a finished picture with its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vggapps._memory import available_memory
from vggapps.errors import SettingsError
from vggapps.image import Picture, resize, scaled
from vggapps.image._identity import Identity, identified
from vggapps.image._recipe import recipe
from vggapps.painters._files import load_painter
from vggapps.painters._network import Painter
from vggapps.painters._paint_settings import PaintSettings
from vggapps.painters._tiles import paint_tensor
from vggapps.style._color import match_colors
from vggapps.style._memory import too_large
from vggapps.style._settings import StylizeSettings
from vggapps.style._styles import Source, open_photo, pairs_of
from vggapps.vgg._device import pick_device

Mixture = str | tuple[str, float] | list[str] | list[tuple[str, float]] | Mapping[str, float]
_BYTES = 12  # of a pixel: three channels in float32
_COPIES = 3  # pictures of the result's size that exist at once


def paint(
    painter: Painter | str | Path,
    photo: Source,
    styles: Mixture | None = None,
    settings: PaintSettings | None = None,
    *,
    progress: bool = False,
    **overrides: Any,
) -> Picture:
    """Paint a photo in one pass, as ``vggapps stylize`` does with a painter.

    >>> picture = vggapps.paint("prints.safetensors", "town.jpg", "ink", strength=0.7)   # doctest: +SKIP
    >>> picture.save("painted.png")                                                     # doctest: +SKIP

    Memory is bounded by the sizes of photo and result: a large photo is painted in parts.

    Args:
        painter: a file, ``samples`` (see :func:`load_painter`), or the painter from
            :func:`load_painter`, for many pictures. That one is moved to the device of the settings; ``auto`` leaves it
            where it is.
        photo: a file, a :class:`~vggapps.image.Picture`, or a 1 × 3 × H × W tensor of RGB in [0, 1].
        styles: names of the painter's styles: one, or several in any form of :func:`~vggapps.style.stylize`, which are
            mixed in proportion to their weights. By default the only style of the painter.
        settings: see :class:`PaintSettings`; ``overrides`` change single settings by name.
        progress: show a progress bar on stderr.

    Returns:
        The painted picture, with the photo's name, transparency and metadata. Its ``settings`` are the recipe, from
        which the command ``stylize`` can make the saved picture again. Strength 0 returns the photo at that size.

    Raises:
        SettingsError: an unknown style, none for a painter of several, or invalid settings.
        PictureError, WeightsError: a file can't be read.
        OutOfMemoryError: the result is too large for the available memory.
    """
    settings = replace(settings or PaintSettings(), **overrides)
    loaded = painter if isinstance(painter, Painter) else load_painter(painter)
    if loaded is not painter or settings.device != "auto":
        loaded.to(pick_device(settings.device))
    mixture = mixture_of(loaded, styles)
    loaded.mix(mixture, settings.strength)  # raises an error before the photo is read
    source, identity = identified(photo)
    opened, size = open_photo(source, StylizeSettings(size=settings.size), identity.name)
    made = painted_recipe(settings, identity, loaded.file, mixture)
    return replace(painted(loaded, opened, size, mixture, settings, progress=progress), settings=made)


def painted(
    painter: Painter,
    photo: Picture,
    longer_side: int,
    styles: Mapping[str, float],
    settings: PaintSettings,
    *,
    progress: bool = False,
) -> Picture:
    """The photo painted at that size in pixels, on the painter's device.

    Raises:
        OutOfMemoryError: the result is too large for the available memory.
    """
    size = scaled(*photo.size, longer_side)
    _check_memory(size)
    photo = photo.with_rgb(resize(photo.rgb, size))
    if settings.strength == 0:
        return photo
    strength, dtype = settings.strength, settings.dtype
    made = paint_tensor(painter, photo.rgb, styles, strength=strength, dtype=dtype, progress=progress)
    if settings.colors == "content":
        made = match_colors(made, photo.rgb, photo.alpha, photo.alpha).clamp_(0, 1)
    return photo.with_rgb(made)


def mixture_of(painter: Painter, styles: Mixture | None) -> dict[str, float]:
    """The styles and their weights, of any accepted form.

    Raises:
        SettingsError: there is none, and the painter has several.
    """
    if styles is None:
        if len(painter.styles) > 1:
            raise SettingsError(
                "a painter of several styles needs the name of one", f"the choices are: {', '.join(painter.styles)}"
            )
        styles = painter.styles[0]
    weights: dict[str, float] = {}
    for name, weight in pairs_of(styles):
        weights[name] = weights.get(name, 0.0) + weight
    return weights


def painted_recipe(
    settings: PaintSettings, content: Identity, painter: Identity | None, mixture: Mapping[str, float]
) -> dict[str, Any]:
    """The recipe to write into the picture."""
    inputs = {"content": [content], "painter": [painter or Identity("painter", None)]}
    return recipe("stylize", settings, inputs, {"styles": [f"{name}:{weight}" for name, weight in mixture.items()]})


def _check_memory(size: tuple[int, int]) -> None:
    """Refuse a result that does not fit into memory before anything of that size is allocated."""
    height, width = size
    needed, (free, _) = _COPIES * _BYTES * height * width, available_memory()
    if needed > free:
        raise too_large(size, needed, free)
