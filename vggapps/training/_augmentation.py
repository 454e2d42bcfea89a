"""Augmentation: random views of training pictures. All randomness is from torch's default generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2  # type: ignore[import-untyped]

from vggapps.datasets._reading import to_tensor
from vggapps.errors import PictureError, SettingsError, VggappsError, argument, unknown
from vggapps.training._pictures import Pictures
from vggapps.training._settings import Augmentation
from vggapps.vgg._normalize import IMAGENET

_SMALLEST = 0.25  # of random crops, as a share of the picture's
_NARROWEST = 3 / 4  # aspect ratio of random crops, as in torchvision
_JITTER = 0.2  # range of factors of brightness, contrast and saturation: 0.8 to 1.2
_SMALL = 64  # pixels: views of at most this side show nearly the whole picture
_SHIFT = 14  # the side divided by this is the largest shift: 2 px at 28
_SIGMA = 0.1  # of the colour shift: Krizhevsky et al. 2012, section 4.1


@dataclass(frozen=True)
class Transform:
    """Steps from an RGB image to a tensor (3, size, size), float32 in [0, 1].

    Attributes:
        steps: called in turn.
        at_least: shorter side in pixels to which pictures may be scaled down while they are read.
    """

    steps: tuple[Callable[[Any], Any], ...]
    at_least: int

    def __call__(self, image: Image.Image) -> Float[Tensor, "3 size size"]:
        found: Any = image
        for step in self.steps:
            found = step(found)
        return found  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class PrincipalColors:
    """Principal components of the RGB values of pixels in [0, 1], of training pictures.

    Attributes:
        values: eigenvalues of their covariance, ascending.
        vectors: eigenvectors, one in each column.
    """

    values: Float[Tensor, " 3"]
    vectors: Float[Tensor, "3 3"]


def resize_for(crop: int) -> int:
    """The shorter side for crops of this side, in pixels: 256 for 224 and in proportion; of small pictures the crop."""
    return crop if crop <= _SMALL else round(crop * 256 / 224)


def augment(
    name: Augmentation,
    size: int,
    *,
    scales: tuple[int, int] = (256, 256),
    colors: PrincipalColors | None = None,
    is_grey: bool = False,
    flip: bool = True,
) -> Transform:
    """Random views of pictures for training.

    - ``crops``: a crop of a random quarter to the whole of the area, with aspect ratio 3:4 to 4:3, scaled to ``size``;
      mirrored in half of the cases; brightness, contrast and saturation vary by 20 %; a rectangle is erased in 10 %
      (Zhong et al., AAAI 2020, arXiv 1708.04896).
    - ``shifts``, for small or grey pictures: scaled to ``size``, shifted by up to a 14th (2 px at 28) with reflected
      borders; mirrored in half of the cases; a rectangle is erased in a quarter.
    - ``paper``: K. Simonyan, A. Zisserman, ICLR 2015, section 3.1: the shorter side is scaled to S, uniform in
      ``scales``; a random crop; mirrored in half of the cases; a colour shift (A. Krizhevsky et al., NIPS 2012, section
      4.1). Values are clamped to [0, 1] after the shift.
    - ``none``: the central crop of the picture scaled to 8/7 of ``size``, or to ``size`` up to 64 px.
    - ``auto``: ``shifts`` up to 64 px or for grey pictures, otherwise ``crops``.

    Args:
        name: one of these.
        size: side of the views in pixels.
        scales: bounds of S, the shorter side in pixels, for ``paper``.
        colors: of the training pictures, see :func:`principal_colors`, for ``paper``.
        is_grey: whether the pictures are grey, for ``auto``.
        flip: mirror half of the views; otherwise none, as suits digits and text.

    Raises:
        SettingsError: an unknown name, views larger than S, or ``paper`` without colours.
    """
    if name not in get_args(Augmentation):
        raise unknown("augmentation", name, get_args(Augmentation))
    if name == "auto":
        name = "shifts" if size <= _SMALL or is_grey else "crops"
    if name == "none":
        return evaluate_transform(resize_for(size), size)
    # On 8-bit tensors torch resizes three times as fast as Pillow, which evaluation uses, and equally well.
    to_floats = v2.ToDtype(torch.float32, scale=True)
    mirrored = (v2.RandomHorizontalFlip(), to_floats) if flip else (to_floats,)
    if name == "crops":
        crop = v2.RandomResizedCrop(size, scale=(_SMALLEST, 1), ratio=(_NARROWEST, 1 / _NARROWEST))
        jitter = v2.ColorJitter(_JITTER, _JITTER, _JITTER)
        # The narrowest crop of a picture that was scaled down to this side has `size` pixels: none is enlarged for it.
        at_least = math.ceil(size / math.sqrt(_SMALLEST * _NARROWEST))
        return Transform((_levels, crop, *mirrored, jitter, _erase(0.1)), at_least)
    if name == "shifts":
        crop = v2.RandomCrop(size, padding=size // _SHIFT, padding_mode="reflect")
        return Transform((_levels, v2.Resize(size), crop, *mirrored, _erase(0.25)), 2 * size)
    if colors is None:
        raise SettingsError("paper augmentation shifts colours", f"give {argument('colors')}, by principal_colors")
    _check_crop(size, scales[0])
    scale, shift = partial(_scaled_at_random, scales), partial(_shifted, colors)
    return Transform((_levels, scale, v2.RandomCrop(size), *mirrored, shift), 2 * scales[1])


def evaluate_transform(resize: int, crop: int) -> Transform:
    """The central crop of a picture, as :class:`~vggapps.classification.Classifier` with ``views="center"`` sees it.

    Args:
        resize: pixels of the shorter side to which the picture is scaled, see ``vggapps.datasets._reading.scaled_to``.
        crop: side of the crop in pixels.

    Raises:
        SettingsError: the crop is larger than the scaled picture.
    """
    _check_crop(crop, resize)
    return Transform((v2.Resize(resize), v2.CenterCrop(crop), _floats), 2 * resize)


def principal_colors(pictures: Pictures, count: int = 1000, seed: int = 0) -> PrincipalColors:
    """Principal components of the colours of random pictures.

    Args:
        pictures: of the training.
        count: of the pictures that are read, without replacement; those that can't be read are left out.
        seed: of their choice.

    Raises:
        PictureError: none of them can be read.
    """
    chosen = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))[:count].tolist()
    pictures = pictures.at_least(256)
    pixels, total, squares = 0, torch.zeros(3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
    for index in chosen:
        try:
            image = pictures.open(index)
        except VggappsError:
            continue
        colours = torch.from_numpy(np.array(image)).view(-1, 3).double() / 255
        pixels, total, squares = pixels + len(colours), total + colours.sum(0), squares + colours.T @ colours
    if not pixels:
        raise PictureError(f"none of {len(chosen)} pictures can be read", "check the pictures")
    mean = total / pixels
    values, vectors = torch.linalg.eigh(squares / pixels - mean.outer(mean))
    return PrincipalColors(values.float(), vectors.float())


def _check_crop(size: int, scale: int) -> None:
    if size > scale:
        raise SettingsError(f"{size} px can't be cropped from {scale} px", f"use {argument('size', scale)} or less")


def _levels(image: Image.Image) -> UInt8[Tensor, "3 h w"]:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _floats(image: Image.Image) -> Float[Tensor, "3 h w"]:
    return to_tensor(np.asarray(image))[0]


def _erase(probability: float) -> Any:
    return v2.RandomErasing(probability, value=list(IMAGENET.mean), inplace=True)


def _scaled_at_random(scales: tuple[int, int], image: UInt8[Tensor, "3 h w"]) -> UInt8[Tensor, "3 h2 w2"]:
    """Scaled so that the shorter side is uniform in these bounds."""
    side = int(torch.randint(scales[0], scales[1] + 1, ()))
    return v2.functional.resize(image, [side])  # type: ignore[no-any-return]


def _shifted(colors: PrincipalColors, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """Add the principal components, each times its eigenvalue and a normal random number of sigma 0.1."""
    shift = colors.vectors @ (colors.values * torch.randn(3) * _SIGMA)
    return (image + shift[:, None, None]).clamp_(0, 1)
