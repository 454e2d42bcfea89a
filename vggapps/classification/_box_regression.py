"""Localization as in the VGG paper: a linear layer that predicts a bounding box from a window's features.

K. Simonyan, A. Zisserman (arXiv 1409.1556), appendix A: center, width and height of a box, either shared by all classes
(single-class regression, SCR) or separate for each class (per-class regression, PCR), trained with the Euclidean loss.
All other layers are frozen (a variant of table 8), so that the optimal linear layer has a closed form.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.classification._boxes import Box
from vggapps.errors import SettingsError, WeightsError
from vggapps.explanation._cam import last_convolution
from vggapps.vgg._network import VGG
from vggapps.vgg._pooling import Pool
from vggapps.weights._files import write_tensors
from vggapps.weights._opening import open_weights

WINDOW, STRIDE = 224, 32  # pixels: input size and stride of one position of fc7


class BoxRegressor(nn.Module):
    """Predicts a box from the features of a window, for each of ``classes`` (PCR) or one for all if None (SCR)."""

    def __init__(self, inputs: int, classes: int | None = None) -> None:
        super().__init__()
        self.classes = classes
        self.linear = nn.Linear(inputs, 4 * (classes or 1))

    def forward(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k 4"]:
        """Center x and y, width and height for each window and class (or once), as fractions of the window's side."""
        boxes: Tensor = self.linear(features)
        return boxes.view(len(features), -1, 4)

    @torch.no_grad()
    def predict(self, windows: Float[Tensor, "1 d h w"], index: int) -> list[Box]:
        """One box of the class per window, row by row, in pixels of the picture and possibly beyond its border."""
        inputs = self.linear.in_features
        if windows.shape[1] != inputs:
            raise SettingsError(
                f"a window has {windows.shape[1]} features, and the boxes were trained on {inputs}",
                "use the network that they were trained with",
            )
        if self.classes is not None and not 0 <= index < self.classes:
            raise SettingsError(f"there are no boxes of class {index}", f"the last one is {self.classes - 1}")
        which = 0 if self.classes is None else index
        weight = self.linear.weight
        coded = self(windows[0].flatten(1).T.to(weight))[:, which] * WINDOW
        positions = [(row, column) for row in range(windows.shape[2]) for column in range(windows.shape[3])]
        return [
            Box(x - w / 2, y - h / 2, x + w / 2, y + h / 2)
            for (row, column), (u, v, w, h) in zip(positions, coded.tolist(), strict=True)
            for x, y in [(u + column * STRIDE, v + row * STRIDE)]
        ]


@torch.no_grad()
def describe_windows(network: VGG, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d h2 w2"]:
    """Features for box regression: one row per window of 224 pixels, at a stride of 32.

    With fully connected layers: fc7 after its ReLU. Otherwise pool5 at the window's 7×7 positions, averaged over 3×3
    overlapping squares of 3×3, which preserves position (an average over the whole window would not).
    """
    crop, poolings = network.convention.crop, len(network.plan.blocks)
    if crop != WINDOW or 1 << poolings != STRIDE:
        raise SettingsError(
            f"this {network.plan.name} has {poolings} poolings, and was trained on crops of {crop} px",
            f"boxes need 5 poolings and {WINDOW} px, as in the paper",
        )
    if min(image.shape[2:]) < WINDOW:
        raise SettingsError(
            f"{image.shape[3]}x{image.shape[2]} pixels contain no window", f"use at least {WINDOW} pixels per side"
        )
    if network.head in ("fc", "conv"):
        return network.dense().features(image, ("relu7",))["relu7"]
    layer = last_convolution(network)  # not pool5: the network may end before it
    if not layer.startswith("relu5"):
        raise SettingsError(f"this {network.plan.name} ends at {layer}", "boxes need all convolutions")
    last = Pool(network.pooling)(network.features(image, (layer,))[layer])
    squares = F.avg_pool2d(last, 3, stride=1)
    height, width = squares.shape[2] - 4, squares.shape[3] - 4
    return F.unfold(squares, 3, dilation=2).view(len(image), -1, height, width)


def box_examples(windows: Float[Tensor, "1 d h w"], box: Box) -> tuple[Float[Tensor, "m d"], list[Box]]:
    """Training examples from one picture: the windows that contain at least half of the box.

    Other windows are skipped, as in OverFeat (arXiv 1312.6229, section 4.2). Returns the windows' features, and the box
    in pixels relative to each window's top left corner.
    """
    rows, boxes = [], []
    for row in range(windows.shape[2]):
        for column in range(windows.shape[3]):
            x, y = column * STRIDE, row * STRIDE
            inside = Box(box.left - x, box.top - y, box.right - x, box.bottom - y)
            if inside.clip(WINDOW, WINDOW).area >= box.area / 2:
                rows.append(windows[0, :, row, column])
                boxes.append(inside)
    return torch.stack(rows) if rows else windows.new_empty(0, windows.shape[1]), boxes


def train_boxes(
    features: Float[Tensor, "n d"],
    boxes: Sequence[Box],
    classes: Sequence[int] = (),
    count: int | None = None,
    ridge: float = 1e-3,
) -> BoxRegressor:
    """Fit box regression by ridge regression.

    With separate boxes per class, each class is an independent problem. A class without examples gets the regression of
    all classes together.

    Args:
        features, boxes: of windows; boxes are in pixels relative to the windows' corners.
        classes, count: the class of each example and the number of classes (PCR); None for one box for all (SCR).
        ridge: L2 penalty, relative to the features' mean squared distance from their mean.
    """
    if not len(features) or len(features) != len(boxes) or (count is not None and len(classes) != len(boxes)):
        given = f"{len(features)} windows, {len(boxes)} boxes and {len(classes)} classes"
        raise SettingsError(f"{given} do not match", "give one of each per example")
    if count is not None and not 0 <= min(classes) <= max(classes) < count:
        raise SettingsError(f"the classes are {min(classes)} to {max(classes)} of {count}", "give a larger count")
    x = features.detach().cpu().double()
    corners = torch.tensor([(b.left, b.top, b.right, b.bottom) for b in boxes], dtype=torch.float64) / WINDOW
    first, last = corners[:, :2], corners[:, 2:]
    y = torch.cat([(first + last) / 2, last - first], 1)
    weight, bias = _least_squares(x, y, ridge)
    regressor = BoxRegressor(x.shape[1], count)
    with torch.no_grad():
        weights, biases = regressor.linear.weight.view(-1, 4, x.shape[1]), regressor.linear.bias.view(-1, 4)
        weights[:], biases[:] = weight, bias
        for index in set(classes) if count is not None else ():
            of_class = torch.tensor(classes) == index
            weights[index], biases[index] = _least_squares(x[of_class], y[of_class], ridge)
    return regressor.requires_grad_(False)


def _least_squares(
    x: Float[Tensor, "n d"], y: Float[Tensor, "n 4"], ridge: float
) -> tuple[Float[Tensor, "4 d"], Float[Tensor, " 4"]]:
    """Ridge regression in closed form, primal or dual, whichever system is smaller."""
    middle, mean = x.mean(0), y.mean(0)
    x, y = x - middle, y - mean
    penalty = ridge * float(x.square().sum(1).mean()) + 1e-12  # equal examples: zero weights, the mean box
    if len(x) > x.shape[1]:
        weight = torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1]).to(x), x.T @ y)
    else:
        weight = x.T @ torch.linalg.solve(x @ x.T + penalty * torch.eye(len(x)).to(x), y)
    return weight.T, mean - middle @ weight


def save_boxes(regressor: BoxRegressor, path: str | Path) -> None:
    """Write a regressor to a .safetensors file atomically."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise WeightsError(f"cannot save boxes as {path.name}", "use a name that ends in .safetensors")
    notes = {"boxes": {"classes": regressor.classes}}
    write_tensors(path, regressor.state_dict(), {"vggapps": json.dumps(notes)})


def load_boxes(path: str | Path) -> BoxRegressor:
    """Read a file written by :func:`save_boxes`."""
    path = Path(path)
    opened = open_weights(path)
    tensors, notes = opened.tensors, opened.notes
    if "boxes" not in notes or set(tensors) != {"linear.weight", "linear.bias"}:
        raise WeightsError(f"{path.name} contains no box regression", "give a file written by save_boxes")
    regressor = BoxRegressor(tensors["linear.weight"].shape[1], notes["boxes"]["classes"])
    regressor.load_state_dict(tensors)
    return regressor.requires_grad_(False)
