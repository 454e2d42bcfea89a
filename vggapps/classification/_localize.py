"""Localization: bounding boxes of the classes that a classifier predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps.classification._box_regression import BoxRegressor, describe_windows
from vggapps.classification._boxes import Box, box_of, merge
from vggapps.classification._classifier import Classifier
from vggapps.classification._views import class_probabilities
from vggapps.explanation._cam import grad_cam, heat
from vggapps.explanation._methods import network_input
from vggapps.figures._boxes import draw_boxes
from vggapps.figures._overlay import overlay
from vggapps.image import open_picture, resize
from vggapps.image._opening import Source
from vggapps.vgg._moving import as_normal_tensor
from vggapps.vgg._network import VGG
from vggapps.weights._labels import Label

DRAWN = 2048  # shorter side in pixels below which a picture is not downscaled for drawing
ENLARGED = 10 / 7  # shorter side for localization by that of the crops: 320 px at 224, between the paper's 256 and 384


@dataclass(frozen=True, eq=False)
class Found:
    """A localized object.

    Attributes:
        label: its class.
        probability: of the class, for the whole picture.
        box: in pixels of the upright picture.
        map: evidence for the class in [0, 1], over the whole picture, from which the box was derived.
    """

    label: Label
    probability: float
    box: Box
    map: Float[Tensor, "h w"]


def localize(
    classifier: Classifier,
    source: Source,
    label: Label | None = None,
    top: int = 1,
    regressor: BoxRegressor | None = None,
) -> list[Found]:
    """Localize the most probable classes in a picture, or a given class.

    By default the box surrounds the largest hot region of the class's Grad-CAM on the whole picture, as in Zhou et al.
    and Selvaraju et al. (``box_of``). With a ``regressor`` it is that of the VGG paper (appendix A): each window of the
    first network predicts a box, similar boxes are merged, and the box with the largest total class score wins.

    Args:
        classifier: predicts the classes.
        source: a path, the contents of a file, or a picture opened with ``at_least=DRAWN``.
        label: one of the classifier's labels; None for the ``top`` most probable.
        top: number of classes if no label is given.
        regressor: trained on windows of the classifier's first network.

    Raises:
        PictureError: the picture can't be read.
        SettingsError: a regressor of another network.
    """
    picture = open_picture(source, at_least=DRAWN)
    (result,) = classifier.run([picture])
    if result.error is not None:
        raise result.error
    assert result.probabilities is not None
    probabilities = result.probabilities
    labels = [classifier.labels[i] for i in top_classes(probabilities, top)] if label is None else [label]
    located = locate(classifier.networks, picture, [each.index for each in labels], regressor)
    return [
        Found(label, float(probabilities[label.index]), box, each)
        for label, (box, each) in zip(labels, located, strict=True)
    ]


def top_classes(probabilities: Float[Tensor, " classes"], top: int) -> list[int]:
    """Indices of the most probable classes in descending order; ties in the order of the outputs."""
    order: list[int] = probabilities.argsort(descending=True, stable=True)[:top].tolist()
    return order


def locate(
    networks: Sequence[VGG], source: Source, indices: Sequence[int], regressor: BoxRegressor | None = None
) -> list[tuple[Box, Float[Tensor, "h w"]]]:
    """The box and the map of evidence, in [0, 1], for each of these classes, present or not; see :func:`localize`."""
    picture = open_picture(source, at_least=2 * _side(networks))
    image = resize(picture.rgb, network_input(networks[0], *picture.size, _side(networks)))
    height, width = picture.full or picture.size
    across, down = width / image.shape[3], height / image.shape[2]
    maps = _heat(networks, image, indices)
    boxes = map(box_of, maps) if regressor is None else _regressed(networks[0], image, indices, regressor)
    return [(box.scaled(across, down).clip(width, height), each) for box, each in zip(boxes, maps, strict=True)]


def class_heat(classifier: Classifier, source: Source, index: int) -> Float[Tensor, "1 3 h w"]:
    """The picture with the Grad-CAM of a class as an overlay."""
    picture = open_picture(source, at_least=DRAWN)
    networks = classifier.networks
    image = resize(picture.rgb, network_input(networks[0], *picture.size, _side(networks)))
    return overlay(picture.rgb, resize(_heat(networks, image, [index])[None], picture.size))


def _side(networks: Sequence[VGG]) -> int:
    """The shorter side for localization, in pixels."""
    return round(networks[0].convention.crop * ENLARGED)


@torch.inference_mode(False)  # gradients are needed
def _heat(networks: Sequence[VGG], image: Float[Tensor, "1 3 h w"], indices: Sequence[int]) -> Float[Tensor, "k h w"]:
    """Grad-CAM for each class, averaged over networks."""
    size = image.shape[2], image.shape[3]
    maps = [heat(grad_cam(network, as_normal_tensor(image).to(network.device), indices), size) for network in networks]
    return torch.stack([map[:, 0].float().cpu() for map in maps]).mean(0)


@torch.no_grad()
def _regressed(
    network: VGG, image: Float[Tensor, "1 3 h w"], indices: Sequence[int], regressor: BoxRegressor
) -> list[Box]:
    image = image.to(network.device)
    windows = describe_windows(network, image).cpu()
    probabilities = class_probabilities(network(image).float() / network.temperature).cpu()
    # A head on an earlier layer has more positions than pool5.
    probabilities = F.adaptive_avg_pool2d(probabilities, (windows.shape[2], windows.shape[3]))[0]
    return [
        merge(regressor.predict(windows, index), probabilities[index].flatten().tolist())[0][0] for index in indices
    ]


def draw(source: Source, found: Sequence[Found]) -> Float[Tensor, "1 3 h w"]:
    """The picture with a labelled box around each object, the most probable on top.

    Pictures with a shorter side of more than 4096 pixels are drawn at 1/2, 1/3, ... of their size.
    """
    picture = open_picture(source, at_least=DRAWN)
    height, width = picture.full or picture.size
    across, down = picture.size[1] / width, picture.size[0] / height
    boxes = [astuple(one.box.scaled(across, down)) for one in found]
    return draw_boxes(picture.rgb, boxes, [one.label.name for one in found], [one.probability for one in found])
