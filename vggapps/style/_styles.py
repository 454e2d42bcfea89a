"""The inputs of style transfer: photo and styles, their sizes and weights."""

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
from vggapps.losses._pictures import resize_mask
from vggapps.style._settings import StylizeSettings

log = logging.getLogger(__name__)

File = str | PathLike[str] | bytes
Source = str | PathLike[str] | Picture | Tensor
Style = Source | tuple[Source, float]
Styles = Style | Sequence[Style] | Mapping[Source, float]

SMALLEST = 16  # shorter side of a style in pixels: one position of relu5_1
_GREY = 1 / 1024  # tolerance between channels: a quarter of an 8-bit level
_VISIBLE = 0.5  # least alpha of a visible pixel
_BYTES = 12  # per pixel: three channels in float32
_FAINT = 0.03  # a style with a smaller standard deviation of its colours is nearly uniform
_TINTED = 0.5  # contrast of the tinted photo that replaces a uniform style


@dataclass(frozen=True, eq=False)
class Painting:
    """A style at the size at which it is used.

    Attributes:
        rgb: in [0, 1].
        alpha: weight of each pixel, in [0, 1]; None for equal weights.
        share: of the mixture; the shares add up to 1.
    """

    rgb: Float[Tensor, "1 3 h w"]
    alpha: Float[Tensor, "1 1 h w"] | None
    share: float

    def to(self, device: torch.device) -> Painting:
        """On another device."""
        return replace(self, rgb=self.rgb.to(device), alpha=None if self.alpha is None else self.alpha.to(device))

    def resized_for(self, result: tuple[int, int], style_size: float) -> tuple[Tensor, Tensor | None]:
        """RGB and alpha resized for a result of (height, width)."""
        size = style_resolution((self.rgb.shape[2], self.rgb.shape[3]), result, style_size)
        return resize(self.rgb, size), None if self.alpha is None else resize(self.alpha, size)


def style_pixels(result: tuple[int, int], style_size: float) -> int:
    """Number of pixels of a style for a result of (height, width): the result's area times ``style_size`` squared."""
    return round(result[0] * result[1] * style_size**2)


def style_resolution(style: tuple[int, int], result: tuple[int, int], style_size: float) -> tuple[int, int]:
    """The (height, width) at which a style is used.

    It is not enlarged, which would transfer its blur, except if a side is shorter than one position of relu5_1.

    >>> [style_resolution(style, (384, 512), 1.0) for style in ((3000, 4000), (300, 400), (2, 2))]
    [(384, 512), (300, 400), (16, 16)]
    """
    factor = math.sqrt(style_pixels(result, style_size) / (style[0] * style[1]))
    factor = min(1.0, max(factor, SMALLEST / min(style)))
    if round(min(style) * factor) >= min(style) >= SMALLEST:  # not resized by less than a pixel
        return style
    height, width = (max(SMALLEST, round(side * factor)) for side in style)
    return height, width


def style_bytes(pairs: Sequence[tuple[Any, float]], result: tuple[int, int], style_size: float) -> int:
    """Memory of the styles for a result of (height, width), in bytes."""

    def pixels(source: Any) -> int:
        if isinstance(source, Picture | Tensor):
            return math.prod((source.rgb if isinstance(source, Picture) else source).shape[-2:])
        is_file = isinstance(source, str | PathLike) and Path(source).is_file()  # a pipe can be read only once
        return math.prod(size_of(source)) if is_file else most

    most = style_pixels(result, style_size)
    return sum(_BYTES * min(most, pixels(source)) for source, _ in pairs)


def open_photo(source: File | Picture, settings: StylizeSettings, name: str | None = None) -> tuple[Picture, int]:
    """The photo, read no larger than needed, and the longer side of the result in pixels."""
    size = settings.longer_side(max(source.size if isinstance(source, Picture) else size_of(source, name)))
    # Twice the size keeps the proportions of very narrow pictures.
    return open_picture(source, at_least=2 * size, name=name), size


def open_style(source: File | Picture, size: int, style_size: float, name: str | None = None) -> Picture:
    """A style, read no larger than needed for any result with that longer side."""
    return open_picture(source, at_least=math.ceil(2 * size * style_size), name=name)


def read(source: Source) -> Picture:
    """A source as a picture of tensors that autograd can use, also in ``torch.inference_mode()``."""
    opened = open_picture(source) if isinstance(source, str | PathLike) else source
    picture = opened if isinstance(opened, Picture) else Picture(torch.empty(0))
    alpha = None if picture.alpha is None else _differentiable(picture.alpha)
    return replace(picture, rgb=_differentiable(rgb_of(opened)), alpha=alpha)


def _differentiable(tensor: Tensor) -> Tensor:
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def read_styles(styles: Styles, photo: Float[Tensor, "1 3 h w"], style_size: float) -> list[Painting]:
    """The styles, resized for a result of the photo's size; those of weight 0 are left out.

    Raises:
        PictureError: a file can't be read, or is almost transparent.
        SettingsError: there is no style, or a weight is invalid.
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
        picture = _crop_to_visible(read(source))
        painting = Painting(picture.rgb, picture.alpha, weight / total)
        rgb, alpha = painting.resized_for((photo.shape[2], photo.shape[3]), style_size)
        painting = replace(painting, rgb=rgb, alpha=_check_visible(alpha, picture.name))
        found += _textured(painting, photo, picture.name)
    return [painting for painting in found if painting.share > 0]


def _textured(painting: Painting, photo: Tensor, name: str) -> list[Painting]:
    """Replace a uniform painting, which has no texture, by the photo tinted in its colour.

    A nearly uniform painting is mixed with the tinted photo, with less weight the less it varies.
    """
    alpha = torch.ones_like(painting.rgb[:, :1]) if painting.alpha is None else painting.alpha
    weights = alpha / alpha.sum()
    color = (painting.rgb * weights).sum((2, 3), keepdim=True)
    deviation = float(((painting.rgb - color).square() * weights).sum((2, 3)).mean().sqrt())
    texture = min(1.0, deviation / _FAINT)
    if texture == 1:
        return [painting]
    log.warning("%s: it has hardly any texture; the photo's texture is used in its colour", name)
    light = photo.mean(1, keepdim=True)
    tinted = (color + _TINTED * (light - light.mean())).clamp(0, 1)
    return [
        replace(painting, share=painting.share * texture),
        Painting(tinted, None, painting.share * (1 - texture)),
    ]


def pairs_of(styles: Any) -> list[tuple[Any, float]]:
    """(style, weight) pairs of any accepted form of styles."""
    if isinstance(styles, Mapping):
        styles = [(source, weight) for source, weight in styles.items()]
    several = isinstance(styles, Sequence | Iterator) and not isinstance(styles, str | bytes) and not _is_pair(styles)
    return [(s[0], float(s[1])) if _is_pair(s) else (s, 1.0) for s in (styles if several else [styles])]


def _is_pair(style: object) -> bool:
    return isinstance(style, tuple) and len(style) == 2 and isinstance(style[1], Real)


def _crop_to_visible(picture: Picture) -> Picture:
    """The bounding box of a picture's visible pixels."""
    if picture.alpha is None:
        return picture
    visible = picture.alpha[0, 0] >= _VISIBLE
    rows, columns = (visible.any(dim).nonzero() for dim in (1, 0))
    if not len(rows) or min(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 < SMALLEST:
        raise _invisible(picture.name)
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    alpha = picture.alpha[:, :, *box]
    log.warning("%s: it is partly transparent; only the visible part is used as style", picture.name)
    return replace(picture, rgb=picture.rgb[:, :, *box], alpha=None if bool((alpha == 1).all()) else alpha)


def _check_visible(alpha: Tensor | None, name: str) -> Tensor | None:
    """The alpha, refused if no position of the deepest layer is visible."""
    if (
        alpha is not None
        and resize_mask(alpha, (alpha.shape[2] // SMALLEST, alpha.shape[3] // SMALLEST)).max() < _VISIBLE
    ):
        raise _invisible(name)
    return alpha


def _invisible(name: str) -> PictureError:
    return PictureError(
        f"{name}: too little of it is visible to be a style",
        f"use a picture with at least {SMALLEST} x {SMALLEST} px that are not transparent",
    )


def is_grey(rgb: Float[Tensor, "1 3 h w"], alpha: Float[Tensor, "1 1 h w"] | None = None) -> bool:
    """Whether red, green and blue are equal wherever the picture is visible."""
    spread = rgb.amax(1, keepdim=True) - rgb.amin(1, keepdim=True)
    return bool((spread if alpha is None else spread * (alpha > 0)).max() < _GREY)
