"""Stylize a photo: from files to a finished picture with its recipe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vggapps._progress import watched
from vggapps.image import Picture
from vggapps.image._identity import identified
from vggapps.image._recipe import identify_files
from vggapps.optimize._step import last
from vggapps.style._recipe import recipe
from vggapps.style._settings import StylizeSettings
from vggapps.style._styles import Source, Styles, open_photo, open_style, pairs_of
from vggapps.style._transfer import stylize_steps
from vggapps.vgg._network import VGG


def stylize(
    content: Source,
    styles: Styles,
    settings: StylizeSettings | None = None,
    *,
    vgg: VGG | None = None,
    progress: bool = False,
    **overrides: Any,
) -> Picture:
    """Paint a photo in the style of one or several pictures, as ``vggapps stylize`` does.

    >>> picture = vggapps.stylize("town.jpg", "starry-night.jpg", size=512)             # doctest: +SKIP
    >>> picture.save("painted.png")                                                     # doctest: +SKIP

    Args:
        content: the photo: a file, a :class:`~vggapps.image.Picture`, or a 1 × 3 × H × W tensor of RGB in [0, 1].
        styles: one style or several; ``(style, weight)`` pairs, or a dictionary from style to weight, mix them in
            proportion to their weights. Only the visible part of a partly transparent style is used.
        settings: see :class:`StylizeSettings`; ``overrides`` change single settings by name.
        vgg: the network from :func:`~vggapps.style.load_backbone`, for many pictures; loaded by default.
        progress: show a progress bar on stderr.

    Returns:
        The stylized picture, with the photo's name, transparency and metadata. Its ``settings`` are the recipe, from
        which the command ``stylize`` can make the saved picture again.

    Raises:
        VggappsError: invalid arguments, before the first step.
    """
    settings = replace(settings or StylizeSettings(), **overrides)
    files = identify_files(settings)
    source, photo_identity = identified(content)
    photo, size = open_photo(source, settings, photo_identity.name)
    paintings, identities = [], []
    for style, weight in pairs_of(styles):
        source, identity = identified(style)
        paintings.append((open_style(source, size, settings.style_size, identity.name), weight))
        identities.append((identity, weight))
    steps = stylize_steps(photo, paintings, settings, vgg=vgg, size=size)
    step = last(watched(steps, photo.name, quiet=not progress))
    made = recipe(settings, photo_identity, identities, files)
    return replace(photo.with_rgb(step.full_image()), settings=made)
