"""Views: the crops and scales of a picture that are classified, and how their scores are combined.

K. Simonyan, A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015
(arXiv 1409.1556), section 3.2. Views use one or three scales Q, the length of the shorter side. Crops have the size
for which the network was trained, 224×224 pixels for published ones. ``dense`` applies the fully convolutional network
to the whole picture: the class scores of all windows of that size at a stride of 32 are averaged.

This differs from torchvision's networks, which pool the last feature map of a large picture to 7×7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.classification._settings import Views
from vggapps.image import center_offset

VIEWS: tuple[Views, ...] = get_args(Views)
"""The values of ``Classifier(views=...)``."""
CROP = 224  # side in pixels of the crops of published networks
GRID = 5  # crops per side of the regular grid of multi-crop

WHOLE: tuple[Views, ...] = ("dense", "multi-scale", "multi-crop+dense")  # these use the whole picture

# A fully convolutional network.
Scores = Callable[[Float[Tensor, "n 3 h w"]], Float[Tensor, "n classes h2 w2"]]


def scales_of(
    views: Views, trained_at: tuple[int, int] = (256, 256), resize: int = 256, crop: int = CROP
) -> tuple[int, ...]:
    """The scales Q, in pixels of the shorter side, at which a picture is classified, given bounds of the training's S.

    If S was fixed, Q is S, and three scales are S - 32, S and S + 32; for other crops than 224 pixels, the step is a
    seventh of them. Otherwise Q is the mean of the bounds, and three scales are the bounds and their mean (section
    4.2). A scale below the size of the crops, which has no window, is left out. ``center`` and ``ten`` use ``resize``.

    >>> scales_of("multi-scale", (256, 512)), scales_of("dense", (256, 512)), scales_of("dense")
    ((256, 384, 512), (384,), (256,))
    >>> scales_of("multi-scale", (28, 28), 28, crop=28)
    (28, 32)
    """
    least, greatest = trained_at
    middle, step = (least + greatest) // 2, max(1, round(crop / 7))
    if views in ("center", "ten"):
        return (resize,)
    if views == "dense":
        return (middle,)
    three = (least, middle, greatest) if least < greatest else (least - step, least, least + step)
    return tuple(side for side in three if side >= crop)


def corners(views: Views, height: int, width: int, crop: int = CROP) -> list[tuple[int, int]]:
    """(top, left) of each crop for a picture of this size; empty for ``dense``.

    >>> corners("center", 256, 300)
    [(16, 38)]
    """
    down, right = height - crop, width - crop
    match views:
        case "center":
            return [center_offset(height, width, crop)]
        case "ten":
            return [(0, 0), (0, right), (down, 0), (down, right), center_offset(height, width, crop)]
        case "multi-crop" | "multi-crop+dense":
            steps = [i / (GRID - 1) for i in range(GRID)]
            return [(round(down * y), round(right * x)) for y in steps for x in steps]
        case _:
            return []


def crops(picture: Float[Tensor, "1 3 h w"], views: Views, crop: int = CROP) -> Float[Tensor, "n 3 crop crop"]:
    """The crops of one picture at one scale, with their mirror images except for ``center``."""
    at = corners(views, picture.shape[2], picture.shape[3], crop)
    found = torch.cat([picture[..., y : y + crop, x : x + crop] for y, x in at])
    return found if views == "center" else torch.cat([found, found.flip(3)])


def probabilities(
    scores: Scores,
    scales: tuple[Float[Tensor, "1 3 h w"], ...],
    views: Views,
    *,
    temperature: float = 1,
    batch: int = 10,
    crop: int = CROP,
    stride: int = 32,
) -> Float[Tensor, " classes"]:
    """Class probabilities of one picture, float32.

    Dense scores are averaged over positions before the softmax, as in the paper; crops, mirror images and scales are
    averaged after it. ``scales`` is the picture at each of :func:`scales_of`; ``batch`` the number of crops per forward
    pass; ``crop`` and ``stride`` the side of the network's windows and the distance between them, in pixels.
    """
    both = []
    if views != "dense" and views != "multi-scale":
        shown = (crops(picture, views, crop) for picture in scales)
        parts = (part for each in shown for part in torch.split(each, batch))
        both.append(torch.cat([to_probabilities(scores(part), temperature) for part in parts]).mean(0))
    if views in WHOLE:
        mirrored = (picture for each in scales for picture in (each, each.flip(3)))
        both.append(torch.cat([_whole(scores, picture, temperature, crop, stride) for picture in mirrored]).mean(0))
    return torch.stack(both).mean(0)


def to_probabilities(scores: Float[Tensor, "n classes h w"], temperature: float) -> Float[Tensor, "n classes"]:
    """Probabilities from scores, averaged over positions first."""
    return class_probabilities(scores.float().mean((2, 3)) / temperature)


def class_probabilities(scores: Float[Tensor, "n classes *hw"]) -> Float[Tensor, "n classes *hw"]:
    """Softmax over classes; sigmoid for a single output."""
    return scores.sigmoid() if scores.shape[1] == 1 else scores.softmax(1)


def _whole(
    scores: Scores, picture: Float[Tensor, "1 3 h w"], temperature: float, crop: int, stride: int
) -> Float[Tensor, "1 classes"]:
    """Probabilities from the mean over all windows of a picture; long pictures are split into strips."""
    total, positions = torch.zeros(()), 0
    for strip in _strips(picture, crop, stride):
        found = scores(strip).float()
        total = total + found.sum((2, 3), keepdim=True)
        positions += found.shape[2] * found.shape[3]
    return to_probabilities(total / positions, temperature)


def _strips(picture: Float[Tensor, "1 3 h w"], crop: int, stride: int, longest: int = 2048) -> Iterator[Tensor]:
    """Split a long picture into strips that together contain every window once.

    This bounds the memory for panoramas. At a cut, windows are zero-padded as at a picture's border.
    """
    long = 2 if picture.shape[2] > picture.shape[3] else 3
    length, at = picture.shape[long], 0
    while length - at > longest:
        yield picture.narrow(long, at, longest)
        at += (longest - crop) // stride * stride + stride
    if length - at >= crop:
        yield picture.narrow(long, at, length - at)
