"""Where in a picture the object is that a classifier sees there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps.classification._box_regression import BoxRegressor, describe_windows
from vggapps.classification._boxes import Box, box_of, merge
from vggapps.classification._views import likelihoods
from vggapps.explanation._cam import grad_cam, heat
from vggapps.explanation._methods import seen_at
from vggapps.figures._boxes import draw_boxes
from vggapps.figures._overlay import overlay
from vggapps.image import Picture, open_picture, resize
from vggapps.image._opening import Source
from vggapps.vgg._moving import in_graph
from vggapps.vgg._network import VGG
from vggapps.weights._labels import Label

DRAWN = 2048  # pixels of the shorter side that a drawing keeps at least
SIDE = 320  # pixels of the shorter side: between the paper's training scales, 256 and 384


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
    Selvaraju localise (``box_of``). With a ``regressor`` it is the VGG paper's
    (appendix A): each window of the first network predicts a box, boxes are merged, and that with most class score
    behind it is taken.

    Args:
        classifier: says what is in the picture.
        source: a path, a file's bytes, or a picture that was opened with ``at_least=DRAWN``, to be opened once only.
        label: one of the classifier's labels; None for the ``top`` most probable ones.
        top: how many classes are looked for where none is named.
        regressor: trained on windows of the classifier's first network.

    Returns:
        The most probable first.

    Raises:
        PictureError: the picture can't be read.
        SettingsError: a regressor of another network.
    """
    picture = open_picture(source, at_least=DRAWN)
    (result,) = classifier.run([picture])
    if result.error is not None:
        raise result.error
    probabilities = result.probabilities
    labels = [classifier.labels[i] for i in top_classes(probabilities, top)] if label is None else [label]
    located = locate_in(classifier.networks, picture, [each.index for each in labels], regressor)
    return [
        Found(label, float(probabilities[label.index]), box, each)
        for label, (box, each) in zip(labels, located, strict=True)
    ]


def top_classes(probabilities: Float[Tensor, " classes"], top: int) -> list[int]:
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
    height, width = picture.full or picture.size
    across, down = width / picture.size[1], height / picture.size[0]
    return [(box.scaled(across, down), each) for box, each in locate(networks, picture, indices, regressor)]


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


def class_heat(classifier: Classifies, source: Source, index: int) -> Float[Tensor, "1 3 h w"]:
    """The picture under the colours of what speaks for a class: its Grad-CAM on all of the picture.

    Raises:
        PictureError: the picture can't be read.
    """
    picture = open_picture(source, at_least=DRAWN)
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
    picture = open_picture(source, at_least=DRAWN)
    height, width = picture.full or picture.size
    across, down = picture.size[1] / width, picture.size[0] / height
    boxes = [astuple(one.box.scaled(across, down)) for one in found]
    return draw_boxes(picture.rgb, boxes, [one.label.name for one in found], [one.probability for one in found])
