"""The pictures of a run: what of each is seen, and how much each style counts."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import PictureError, SettingsError
from vggapps.image import Picture, open_picture, resize, rgb_of, size_of
from vggapps.losses._pictures import carry
from vggapps.style._settings import StylizeSettings

log = logging.getLogger(__name__)

File = str | PathLike[str] | bytes
Source = str | PathLike[str] | Picture | Tensor
Style = Source | tuple[Source, float]
Styles = Style | Sequence[Style] | Mapping[Source, float]

SMALLEST = 16  # shorter side of a style in pixels: one position of relu5_1
_GREY = 1 / 1024  # a quarter of an 8-bit level
_VISIBLE = 0.5
_BYTES = 12  # of a pixel: three channels in float32
_FAINT = 0.03  # a style that varies less than that, as a standard deviation of its colours, is nearly of one colour
_TINTED = 0.5  # what is left of the photo's contrast in a picture of one colour


@dataclass(frozen=True, eq=False)
class Painting:
    """A style, no larger than it is seen.

    Attributes:
        rgb: in [0, 1].
        alpha: how much each pixel counts, in [0, 1]; None where all count alike.
        share: of the mixture; the shares add up to 1.
    """

    rgb: Float[Tensor, "1 3 h w"]
    alpha: Float[Tensor, "1 1 h w"] | None
    share: float

    def to(self, device: torch.device) -> Painting:
        """On another device."""
        return replace(self, rgb=self.rgb.to(device), alpha=None if self.alpha is None else self.alpha.to(device))

    def seen(self, result: tuple[int, int], style_size: float) -> tuple[Tensor, Tensor | None]:
        """RGB and alpha as a result of (height, width) sees them."""
        size = seen_size((self.rgb.shape[2], self.rgb.shape[3]), result, style_size)
        return resize(self.rgb, size), None if self.alpha is None else resize(self.alpha, size)


def style_pixels(result: tuple[int, int], style_size: float) -> int:
    """How many pixels of a style are seen for a result of (height, width); a file may be read with no more.

    The style is given the area of the result, times ``style_size`` squared.
    """
    return round(result[0] * result[1] * style_size**2)


def seen_size(style: tuple[int, int], result: tuple[int, int], style_size: float) -> tuple[int, int]:
    """The (height, width) at which a style is seen. It is never enlarged, that would only teach the result its blur;
    unless a side is shorter than one position of the deepest layer.

    >>> [seen_size(style, (384, 512), 1.0) for style in ((3000, 4000), (300, 400), (2, 2))]
    [(384, 512), (300, 400), (16, 16)]
    """
    factor = math.sqrt(style_pixels(result, style_size) / (style[0] * style[1]))
    factor = min(1.0, max(factor, SMALLEST / min(style)))
    if round(min(style) * factor) >= min(style) >= SMALLEST:  # not resampled for less than a pixel
        return style
    height, width = (max(SMALLEST, round(side * factor)) for side in style)
    return height, width


def held_by(pairs: Sequence[tuple[Any, float]], result: tuple[int, int], style_size: float) -> int:
    """Bytes that styles will hold for a result of (height, width).

    Raises:
        PictureError: a file can't be read.
    """

    def pixels(source: Any) -> int:
        if isinstance(source, Picture | Tensor):
            return math.prod((source.rgb if isinstance(source, Picture) else source).shape[-2:])
        is_file = isinstance(source, str | PathLike) and Path(source).is_file()  # a pipe can be read once only
        return math.prod(size_of(source)) if is_file else seen

    seen = style_pixels(result, style_size)
    return sum(_BYTES * min(seen, pixels(source)) for source, _ in pairs)


def open_photo(source: File | Picture, settings: StylizeSettings, name: str | None = None) -> tuple[Picture, int]:
    """A photo, read no larger than it is looked at, and the longer side of its result in pixels.

    Raises:
        PictureError: it can't be read.
        SettingsError: a size relative to the photo's comes to more or less than can be made.
    """
    size = settings.longer_side(max(source.size if isinstance(source, Picture) else size_of(source, name)))
    # Its proportions are kept, which a very narrow picture would lose at the size of its result.
    return open_picture(source, at_least=2 * size, name=name), size


def open_style(source: File | Picture, size: int, style_size: float, name: str | None = None) -> Picture:
    """A style, read no larger than it is looked at for any result of that longer side.

    Raises:
        PictureError: it can't be read.
    """
    return open_picture(source, at_least=math.ceil(2 * size * style_size), name=name)


def read(source: Source) -> Picture:
    """A source as a picture whose tensors can be learnt from, also in ``torch.inference_mode()``.

    Raises:
        PictureError: the file can't be read.
        SettingsError: a tensor that is no picture.
    """
    picture = open_picture(source) if isinstance(source, str | PathLike) else source
    known = picture if isinstance(picture, Picture) else Picture(torch.empty(0))
    return replace(known, rgb=_own(rgb_of(picture)), alpha=None if known.alpha is None else _own(known.alpha))


def _own(tensor: Tensor) -> Tensor:
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def read_styles(styles: Styles, photo: Float[Tensor, "1 3 h w"], style_size: float) -> list[Painting]:
    """The styles as a result of the photo's size sees them; those of weight 0 are left out.

    Raises:
        PictureError: a file can't be read, or hardly anything of it is visible.
        SettingsError: there is no style, or a weight makes no sense.
    """
    pairs = pairs_of(styles)
    weights = [weight for _, weight in pairs]
    total = math.fsum(weights)
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not 0 < total < math.inf:
        raise SettingsError(
            "the styles' weights must be positive numbers" if pairs else "there is no style",
            "style.jpg:0.7 other.jpg:0.3",
        )
    found: list[Painting] = []
    for source, weight in pairs:
        picture = _visible(read(source))
        painting = Painting(picture.rgb, picture.alpha, weight / total)
        rgb, alpha = painting.seen((photo.shape[2], photo.shape[3]), style_size)
        painting = replace(painting, rgb=rgb, alpha=_counting(alpha, picture.name))
        found += _textured(painting, photo, picture.name)
    return [painting for painting in found if painting.share > 0]


def _textured(painting: Painting, photo: Tensor, name: str) -> list[Painting]:
    """A painting of one colour shows no texture to be painted with: then it is the photo's, in that colour.

    In between, the less it varies the less it counts, and the more the photo does in its place.
    """
    alpha = torch.ones_like(painting.rgb[:, :1]) if painting.alpha is None else painting.alpha
    weights = alpha / alpha.sum()
    color = (painting.rgb * weights).sum((2, 3), keepdim=True)
    deviation = float(((painting.rgb - color).square() * weights).sum((2, 3)).mean().sqrt())
    texture = min(1.0, deviation / _FAINT)
    if texture == 1:
        return [painting]
    log.warning("%s: it has hardly any texture; the photo's own is painted in its colour", name)
    light = photo.mean(1, keepdim=True)
    tinted = (color + _TINTED * (light - light.mean())).clamp(0, 1)
    return [
        replace(painting, share=painting.share * texture),
        Painting(tinted, None, painting.share * (1 - texture)),
    ]


def pairs_of(styles: Any) -> list[tuple[Any, float]]:
    """Styles and their weights, in whatever form they are given."""
    if isinstance(styles, Mapping):
        styles = [(source, weight) for source, weight in styles.items()]
    several = isinstance(styles, Sequence | Iterator) and not isinstance(styles, str | bytes) and not _is_pair(styles)
    return [(s[0], float(s[1])) if _is_pair(s) else (s, 1.0) for s in (styles if several else [styles])]


def _is_pair(style: object) -> bool:
    return isinstance(style, tuple) and len(style) == 2 and isinstance(style[1], Real)


def _visible(picture: Picture) -> Picture:
    """The part of a picture that holds all that can be seen of it."""
    if picture.alpha is None:
        return picture
    visible = picture.alpha[0, 0] >= _VISIBLE
    rows, columns = (visible.any(dim).nonzero() for dim in (1, 0))
    if not len(rows) or min(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 < SMALLEST:
        raise _invisible(picture.name)
    place = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    alpha = picture.alpha[:, :, *place]
    log.warning("%s: it is partly transparent; only what is visible counts as style", picture.name)
    return replace(picture, rgb=picture.rgb[:, :, *place], alpha=None if bool((alpha == 1).all()) else alpha)


def _counting(alpha: Tensor | None, name: str) -> Tensor | None:
    """The alpha, if the deepest layer can see something of the picture."""
    if alpha is not None and carry(alpha, (alpha.shape[2] // SMALLEST, alpha.shape[3] // SMALLEST)).max() < _VISIBLE:
        raise _invisible(name)
    return alpha


def _invisible(name: str) -> PictureError:
    return PictureError(
        f"{name}: too little of it is visible to be a style",
        f"use one of which at least {SMALLEST} x {SMALLEST} px are not transparent",
    )


def is_grey(rgb: Float[Tensor, "1 3 h w"], alpha: Float[Tensor, "1 1 h w"] | None = None) -> bool:
    """Whether red, green and blue are the same wherever the picture is visible."""
    spread = rgb.amax(1, keepdim=True) - rgb.amin(1, keepdim=True)
    return bool((spread if alpha is None else spread * (alpha > 0)).max() < _GREY)
