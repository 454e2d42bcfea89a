"""Views: what of a picture a network is shown, and how its answers become one. Section 3.2 of the paper.

K. Simonyan, A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015
(arXiv 1409.1556). A view takes the picture at one scale Q or three, Q being the length of its smaller side. Crops have
224×224 pixels; a fully convolutional network gives one row of scores for each of them. ``dense`` gives it the whole
picture instead: a map of scores, one for each window of 224 pixels at a stride of 32, whose mean is taken.

torchvision's networks take pictures of any size, too, but squash the last map to 7×7 by averaging its cells: that is
one answer about a picture that was blurred late, and not the mean of the answers about its windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.classification._settings import Views
from vggapps.errors import unknown
from vggapps.image import middle

VIEWS: tuple[Views, ...] = get_args(Views)
"""The ways of looking at a picture that ``Classifier(views=...)`` takes."""
CROP = 224
GRID = 5  # crops a side of multi-crop's regular grid

WHOLE: tuple[Views, ...] = ("dense", "multi-scale", "multi-crop+dense")  # those that look at all of a picture

# A dense network: pictures to scores, N × classes × positions.
Scores = Callable[[Float[Tensor, "n 3 h w"]], Float[Tensor, "n classes h2 w2"]]


def check_views(views: str) -> Views:
    """The views of that name.

    Raises:
        SettingsError: there are none.
    """
    for known in VIEWS:
        if views == known:
            return known
    raise unknown("view", views, VIEWS)


def scales_of(views: Views, trained_at: tuple[int, int] = (256, 256)) -> tuple[int, ...]:
    """The scales Q, in pixels of the smaller side, at which a picture is looked at.

    Args:
        views: how pictures are looked at.
        trained_at: the training's scale S, as least and greatest. Fixed: Q is S, and three scales are S - 32, S and
            S + 32. Varied: Q is their mean, and three scales are the least, that mean and the greatest (section 4.2).

    >>> scales_of("multi-scale", (256, 512)), scales_of("dense", (256, 512)), scales_of("dense")
    ((256, 384, 512), (384,), (256,))
    """
    least, greatest = trained_at
    middle = (least + greatest) // 2
    if views in ("center", "ten"):  # crops of one size out of little more: the customary comparison is made at 256
        return (256,)
    if views == "dense":
        return (middle,)
    return (least, middle, greatest) if least < greatest else (least - 32, least, least + 32)


def corners(views: Views, height: int, width: int) -> list[tuple[int, int]]:
    """(top, left) of each crop that a view takes out of a picture of that size; for ``dense`` there are none.

    >>> corners("center", 256, 300)
    [(16, 38)]
    """
    down, right = height - CROP, width - CROP
    match views:
        case "center":
            return [middle(height, width, CROP)]
        case "ten":
            return [(0, 0), (0, right), (down, 0), (down, right), middle(height, width, CROP)]
        case "multi-crop" | "multi-crop+dense":
            steps = [i / (GRID - 1) for i in range(GRID)]
            return [(round(down * y), round(right * x)) for y in steps for x in steps]
        case _:
            return []


def crops(picture: Float[Tensor, "1 3 h w"], views: Views) -> Float[Tensor, "n 3 224 224"]:
    """The crops of one picture at one scale: each and, but for ``center``, its mirror image."""
    at = corners(views, picture.shape[2], picture.shape[3])
    found = torch.cat([picture[..., y : y + CROP, x : x + CROP] for y, x in at])
    return found if views == "center" else torch.cat([found, found.flip(3)])


def probabilities(
    scores: Scores,
    scales: tuple[Float[Tensor, "1 3 h w"], ...],
    views: Views,
    *,
    temperature: float = 1,
    batch: int = 10,
) -> Float[Tensor, " classes"]:
    """What a network makes of one picture: class probabilities, float32.

    The scores of a dense map are averaged over its positions before the softmax, as the paper has it; the
    probabilities of crops, mirror images and scales after it.

    Args:
        scores: the network, applied densely.
        scales: the picture at each of :func:`scales_of`.
        views: how to look at it.
        temperature: what the scores are divided by.
        batch: crops that go through the network together.
    """
    both = []
    if views != "dense" and views != "multi-scale":
        shown = (crops(picture, views) for picture in scales)
        both.append(_mean([softened(scores(part), temperature) for all_ in shown for part in torch.split(all_, batch)]))
    if views in WHOLE:
        mirrored = (picture for each in scales for picture in (each, each.flip(3)))
        both.append(_mean([_whole(scores, picture, temperature) for picture in mirrored]))
    return torch.stack(both).mean(0)


def softened(scores: Float[Tensor, "n classes h w"], temperature: float) -> Float[Tensor, "n classes"]:
    """Probabilities from scores, whose mean over positions is taken first."""
    return likelihoods(scores.float().mean((2, 3)) / temperature)


def likelihoods(scores: Float[Tensor, "n classes *hw"]) -> Float[Tensor, "n classes *hw"]:
    """The softmax over classes; of a single output, which has no other to compare with, the sigmoid."""
    return scores.sigmoid() if scores.shape[1] == 1 else scores.softmax(1)


def _mean(parts: list[Tensor]) -> Float[Tensor, " classes"]:
    return torch.cat(parts).mean(0)


def _whole(scores: Scores, picture: Float[Tensor, "1 3 h w"], temperature: float) -> Float[Tensor, "1 classes"]:
    """The mean over all windows of a picture, cut into strips where it is very long."""
    total, positions = torch.zeros(()), 0
    for strip in _strips(picture):
        found = scores(strip).float()
        total = total + found.sum((2, 3), keepdim=True)
        positions += found.shape[2] * found.shape[3]
    return softened(total / positions, temperature)


def _strips(picture: Float[Tensor, "1 3 h w"], longest: int = 2048, stride: int = 32) -> Iterator[Tensor]:
    """A picture as it is, or parts of a long one, of which each has the windows that follow the last one's.

    So a panorama takes no more memory than a photo. Its inner windows see black instead of their neighbours beyond the
    cut, as a picture's border does.
    """
    long = 2 if picture.shape[2] > picture.shape[3] else 3
    length, at = picture.shape[long], 0
    while length - at > longest:
        yield picture.narrow(long, at, longest)
        at += (longest - CROP) // stride * stride + stride
    if length - at >= CROP:
        yield picture.narrow(long, at, length - at)
