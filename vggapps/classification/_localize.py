"""Where in a picture the object is that a classifier sees there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import ImageDraw
from torch import Tensor

from vggapps.classification._box_regression import BoxRegressor, describe_windows
from vggapps.classification._boxes import Box, box_of, iou, merge
from vggapps.classification._views import likelihoods
from vggapps.explanation._cam import grad_cam, heat
from vggapps.explanation._methods import seen_at
from vggapps.figures._overlay import overlay
from vggapps.image import Picture, from_pil, open_picture, resize, size_of, to_pil
from vggapps.image._lettering import LEFT_TO_RIGHT, draw_text, shorten, text_box, text_width
from vggapps.image._opening import Source
from vggapps.vgg._moving import in_graph
from vggapps.vgg._network import VGG
from vggapps.weights._labels import Label

_DRAWN = 2048  # pixels of the shorter side that a drawing keeps at least
SIDE = 320  # pixels of the shorter side: between the paper's training scales, 256 and 384

# Okabe and Ito's colours, told apart by the colour-blind, too; dark enough for white letters.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 130, 94), (170, 70, 130), (90, 90, 90))


class Classifies(Protocol):
    """What is asked of a classifier: ``vggapps.classification._classifier.Classifier`` has it."""

    @property
    def labels(self) -> Sequence[Label]:
        """Of its outputs."""

    @property
    def networks(self) -> Sequence[VGG]:
        """Dense ones, whose probabilities are averaged."""

    def run(self, sources: Sequence[Source]) -> Iterator[Any]:
        """For each source a result with ``probabilities`` (classes,), or an ``error``."""


@dataclass(frozen=True, eq=False)
class Found:
    """An object, and where it is.

    Attributes:
        label: what it is.
        probability: as the classifier gives it for the whole picture.
        box: in pixels of the picture as people see it, upright.
        map: what the box was made of: evidence for the class in [0, 1], over the whole picture.
    """

    label: Label
    probability: float
    box: Box
    map: Float[Tensor, "h w"]


def localize(
    classifier: Classifies,
    source: Source,
    label: Label | None = None,
    top: int = 1,
    regressor: BoxRegressor | None = None,
) -> list[Found]:
    """Find the most probable classes in a picture, or a named one.

    The box is that around the largest hot part of the class's Grad-CAM on the whole picture, dense, as Zhou and
    Selvaraju localise (:func:`~vggapps.classification._boxes.box_of`). With a ``regressor`` it is the VGG paper's
    (appendix A): each window of the first network predicts a box, boxes are merged, and that with most class score
    behind it is taken.

    Args:
        classifier: says what is in the picture.
        source: a path, or a file's bytes.
        label: one of the classifier's labels; None for the ``top`` most probable ones.
        top: how many classes are looked for where none is named.
        regressor: trained on windows of the classifier's first network.

    Returns:
        The most probable first.

    Raises:
        PictureError: the picture can't be read.
        SettingsError: a regressor of another network.
    """
    (result,) = classifier.run([source])
    if result.error is not None:
        raise result.error
    probabilities = result.probabilities
    labels = [classifier.labels[i] for i in likeliest(probabilities, top)] if label is None else [label]
    located = locate_in(classifier.networks, source, [each.index for each in labels], regressor)
    return [
        Found(label, float(probabilities[label.index]), box, each)
        for label, (box, each) in zip(labels, located, strict=True)
    ]


def likeliest(probabilities: Float[Tensor, " classes"], top: int) -> list[int]:
    """The most probable classes, the first first; equal ones in the order of the outputs."""
    order: list[int] = probabilities.argsort(descending=True, stable=True)[:top].tolist()
    return order


def locate_in(
    networks: Sequence[VGG], source: Source, indices: Sequence[int], regressor: BoxRegressor | None = None
) -> list[tuple[Box, Float[Tensor, "h w"]]]:
    """As :func:`locate`, of a file or other source, read no larger than it is looked at; boxes in its own pixels.

    Raises:
        PictureError: the picture can't be read.
        SettingsError: a regressor of another network.
    """
    picture = open_picture(source, at_least=2 * SIDE)
    height, width = _own_size(source, picture)
    across, down = width / picture.size[1], height / picture.size[0]
    return [(box.scaled(across, down), each) for box, each in locate(networks, picture, indices, regressor)]


def _own_size(source: Source, picture: Picture) -> tuple[int, int]:
    """(height, width) before it was read smaller."""
    return size_of(source) if isinstance(source, str | PathLike | bytes) else picture.size


def locate(
    networks: Sequence[VGG], picture: Picture, indices: Sequence[int], regressor: BoxRegressor | None = None
) -> list[tuple[Box, Float[Tensor, "h w"]]]:
    """Where classes are in a picture, whether they are in it or not; see :func:`localize`.

    Args:
        networks: dense ones, whose maps are averaged.
        picture: of any size.
        indices: the classes.
        regressor: trained on windows of the first network.

    Returns:
        For each class the box, in the picture's pixels, and the map of evidence, in [0, 1].

    Raises:
        SettingsError: a regressor of another network.
    """
    image = resize(picture.rgb, seen_at(*picture.size, SIDE))
    across, down = picture.size[1] / image.shape[3], picture.size[0] / image.shape[2]
    maps = torch.stack([_heat(network, image, indices) for network in networks]).mean(0)
    boxes = map(box_of, maps) if regressor is None else _regressed(networks[0], image, indices, regressor)
    return [(box.scaled(across, down).clip(*picture.size[::-1]), each) for box, each in zip(boxes, maps, strict=True)]


def explained(classifier: Classifies, source: Source, index: int) -> Float[Tensor, "1 3 h w"]:
    """The picture under the colours of what speaks for a class: its Grad-CAM on all of the picture.

    Raises:
        PictureError: the picture can't be read.
    """
    picture = open_picture(source, at_least=_DRAWN)
    image = resize(picture.rgb, seen_at(*picture.size, SIDE))
    hot = torch.stack([_heat(network, image, [index]) for network in classifier.networks]).mean(0)
    return overlay(picture.rgb, resize(hot[None], picture.size))


@torch.inference_mode(False)  # which has no gradients
def _heat(network: VGG, image: Float[Tensor, "1 3 h w"], indices: Sequence[int]) -> Float[Tensor, "k h w"]:
    size = image.shape[2], image.shape[3]
    return heat(grad_cam(network, in_graph(image).to(network.device), indices), size)[:, 0].float().cpu()


@torch.no_grad()
def _regressed(
    network: VGG, image: Float[Tensor, "1 3 h w"], indices: Sequence[int], regressor: BoxRegressor
) -> list[Box]:
    image = image.to(network.device)
    windows = describe_windows(network, image).cpu()
    probabilities = likelihoods(network(image).float() / network.temperature).cpu()
    # A head on an earlier layer has more windows than pool5.
    probabilities = F.adaptive_avg_pool2d(probabilities, (windows.shape[2], windows.shape[3]))[0]
    return [
        merge(regressor.predict(windows, index), probabilities[index].flatten().tolist())[0][0] for index in indices
    ]


def draw(source: Source, found: Sequence[Found]) -> Float[Tensor, "1 3 h w"]:
    """The picture with a frame around each object and its name on it, the most probable on top.

    Pictures whose shorter side has more than 4096 pixels are drawn at a half, a third and so on.

    Raises:
        PictureError: it can't be read.
    """
    picture = open_picture(source, at_least=_DRAWN)
    height, width = _own_size(source, picture)
    across, down = picture.size[1] / width, picture.size[0] / height
    found = [replace(one, box=one.box.scaled(across, down)) for one in found]
    image = to_pil(Picture(picture.rgb))
    pen = ImageDraw.Draw(image)
    line = max(2, round(max(image.size) / 300))
    size = max(12, round(max(image.size) / 45))
    taken: list[Box] = []
    for number, one in reversed(list(enumerate(found))):
        left, top = round(one.box.left), round(one.box.top)
        frame = (left, top, max(left, round(one.box.right) - 1), max(top, round(one.box.bottom) - 1))
        # Thin white lines outside and inside part the colour from a background that is like it.
        pen.rectangle((left - 1, top - 1, frame[2] + 1, frame[3] + 1), outline="white", width=line + 2)
        pen.rectangle(frame, outline=_COLOURS[number % len(_COLOURS)], width=line)
    for number, one in enumerate(found):
        percent = f"{LEFT_TO_RIGHT} {100 * one.probability:.0f} %"
        text = shorten(one.label.name, size, image.width - 4 * line - text_width(percent, size)) + percent
        first_x, first_y, last_x, last_y = text_box(text, size)
        width, height = last_x - first_x + 4 * line, last_y - first_y + 4 * line
        # On the frame's upper edge where there is room above it, else below that edge; and below others' names.
        x = max(0, min(round(one.box.left), image.width - width))
        y = round(one.box.top) - height if one.box.top >= height else round(one.box.top)
        while any(iou(Box(x, y, x + width, y + height), other) > 0 for other in taken):
            y += 1
        taken.append(Box(x, y, x + width, y + height))
        pen.rectangle((x, y, x + width - 1, y + height - 1), fill=_COLOURS[number % len(_COLOURS)])
        draw_text(image, (x + 2 * line - first_x, y + 2 * line - first_y), text, size, "ls", "white")
    return from_pil(image).rgb
