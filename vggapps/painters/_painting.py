"""Paint a photo: from files to a finished picture with its recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from vggapps._memory import available_memory
from vggapps.errors import OutOfMemoryError, SettingsError, argument
from vggapps.image import Picture, resize, scaled
from vggapps.image._identity import Identity, identified
from vggapps.image._recipe import recipe
from vggapps.painters._files import load_painter
from vggapps.painters._network import Painter
from vggapps.painters._paint_settings import PaintSettings
from vggapps.painters._tiles import paint_tensor
from vggapps.style._color import match_colors
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

    >>> picture = vggapps.paint("samples", "town.jpg", "woodcut-waves", strength=0.7)   # doctest: +SKIP
    >>> picture.save("painted.png")                                                     # doctest: +SKIP

    Memory is bounded by the sizes of photo and result: a large photo is painted in parts.

    Args:
        painter: a file, ``samples`` for the painter that is part of this package, or the painter from
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
    opened, longer_side = open_photo(source, StylizeSettings(size=settings.size), identity.name)
    size = scaled(*opened.size, longer_side)
    _check_memory(size)
    picture = opened.with_rgb(resize(opened.rgb, size))
    made = painted_recipe(settings, identity, loaded.file, mixture)
    return replace(picture.with_rgb(_painted(loaded, picture, mixture, settings, progress)), settings=made)


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


def _painted(
    painter: Painter, photo: Picture, mixture: Mapping[str, float], settings: PaintSettings, progress: bool
) -> Float[Tensor, "1 3 h w"]:
    """The photo's RGB, painted, at its size."""
    if settings.strength == 0:
        return photo.rgb
    painted = paint_tensor(
        painter, photo.rgb, mixture, strength=settings.strength, dtype=settings.dtype, progress=progress
    )
    if settings.colors == "content":
        return match_colors(painted, photo.rgb, photo.alpha, photo.alpha).clamp_(0, 1)
    return painted


def _check_memory(size: tuple[int, int]) -> None:
    """Refuse a result that does not fit into memory before anything of that size is allocated."""
    height, width = size
    needed, (free, _) = _COPIES * _BYTES * height * width, available_memory()
    if needed > free:
        raise OutOfMemoryError(
            f"{width} x {height} px takes about {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free",
            f"try {argument('size', max(32, int(max(size) * math.sqrt(free / needed)) // 32 * 32))}",
        )
