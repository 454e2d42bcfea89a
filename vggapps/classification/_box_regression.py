"""The paper's localisation: a linear layer that says where in a window the object is.

K. Simonyan, A. Zisserman (arXiv 1409.1556), appendix A: four numbers, the box's centre, width and height, either one
box whatever the class (single-class regression, SCR) or one for each class (per-class regression, PCR), trained with
the Euclidean loss. The layers below stay as they are, the variant of its table 8 that leaves all but fully connected
ones; the best of the linear layer then has a closed form.
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

WINDOW, STRIDE = 224, 32  # pixels: what a position of fc7 looks at, and the step to the next


class BoxRegressor(nn.Module):
    """From the description of a window to a box in it.

    Args:
        inputs: numbers that describe a window.
        classes: how many classes have a box of their own (PCR); None for one box for all (SCR).
    """

    def __init__(self, inputs: int, classes: int | None = None) -> None:
        super().__init__()
        self.classes = classes
        self.linear = nn.Linear(inputs, 4 * (classes or 1))

    def forward(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k 4"]:
        """For each window and class (or once) the box's centre x and y, width and height, in sides of the window."""
        boxes: Tensor = self.linear(features)
        return boxes.view(len(features), -1, 4)

    @torch.no_grad()
    def predict(self, windows: Float[Tensor, "1 d h w"], index: int) -> list[Box]:
        """A box of the class from each window, in pixels of the picture, row by row; it may reach beyond the picture.

        Raises:
            SettingsError: no such class, or windows that are described otherwise than those it was trained on.
        """
        inputs = self.linear.in_features
        if windows.shape[1] != inputs:
            raise SettingsError(
                f"{windows.shape[1]} numbers describe a window, and the boxes were trained on {inputs}",
                "take the network that they were trained with",
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
    """What a box is told from: each window of 224 pixels, 32 apart, described by numbers.

    With the paper's fully connected layers it is fc7 after its ReLU. Without them it is pool5 in the window's 7×7
    positions, averaged in 3×3 overlapping squares of 3×3: an average over all of the window would not know where
    in it anything is.

    Raises:
        SettingsError: a picture of less than 224 pixels a side, or a network that ends before its last block.
    """
    if min(image.shape[2:]) < WINDOW:
        raise SettingsError(f"{image.shape[3]}x{image.shape[2]} pixels hold no window", f"give {WINDOW} a side")
    if network.head in ("fc", "conv"):
        return network.dense().features(image, ("relu7",))["relu7"]
    layer = last_convolution(network)  # a head may sit on it, and the network end before pool5
    if not layer.startswith("relu5"):
        raise SettingsError(f"this {network.plan.name} ends at {layer}", "boxes need all of the convolutions")
    last = Pool(network.pooling)(network.features(image, (layer,))[layer])
    squares = F.avg_pool2d(last, 3, stride=1)
    height, width = squares.shape[2] - 4, squares.shape[3] - 4
    return F.unfold(squares, 3, dilation=2).view(len(image), -1, height, width)


def box_examples(windows: Float[Tensor, "1 d h w"], box: Box) -> tuple[Float[Tensor, "m d"], list[Box]]:
    """Of a picture with a box, what is learnt from: windows that see half of the box, and the box in each.

    Windows that see less are left out as OverFeat leaves them (arXiv 1312.6229, section 4.2).

    Args:
        windows: as :func:`describe_windows` gives them.
        box: in pixels of the same picture.

    Returns:
        The windows' descriptions, and boxes in pixels from the windows' left upper corners.
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
    """The regressor with the least squared error on windows and their boxes, and small weights.

    Per class, only the true class's numbers are in the loss, and on features that stay as they are each class is a
    problem of its own. A class without examples gets the boxes of all classes together.

    Args:
        features: descriptions of windows.
        boxes: in pixels from the windows' corners.
        classes: the class of each, for a regressor per class.
        count: how many classes there are (PCR); None for one box whatever the class (SCR).
        ridge: weight of the squared weights, as a share of the features' mean squared length about their mean.

    Raises:
        SettingsError: no examples, numbers of examples that differ, or a class beyond the count.
    """
    if not len(features) or len(features) != len(boxes) or (count is not None and len(classes) != len(boxes)):
        given = f"{len(features)} windows, {len(boxes)} boxes and {len(classes)} classes"
        raise SettingsError(f"{given} are no examples", "give one of each for each example")
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
            own = torch.tensor(classes) == index
            weights[index], biases[index] = _least_squares(x[own], y[own], ridge)
    return regressor.requires_grad_(False)


def _least_squares(
    x: Float[Tensor, "n d"], y: Float[Tensor, "n 4"], ridge: float
) -> tuple[Float[Tensor, "4 d"], Float[Tensor, " 4"]]:
    """Ridge regression in closed form: in the features' space or in the examples', whichever is smaller."""
    middle, mean = x.mean(0), y.mean(0)
    x, y = x - middle, y - mean
    penalty = ridge * float(x.square().sum(1).mean()) + 1e-12  # one example, or equal ones: the mean box, no weights
    if len(x) > x.shape[1]:
        weight = torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1]).to(x), x.T @ y)
    else:
        weight = x.T @ torch.linalg.solve(x @ x.T + penalty * torch.eye(len(x)).to(x), y)
    return weight.T, mean - middle @ weight


def save_boxes(regressor: BoxRegressor, path: str | Path) -> None:
    """Write a regressor to a .safetensors file, at once or not at all.

    Raises:
        WeightsError: another suffix, or a folder that can't be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise WeightsError(f"cannot save boxes as {path.name}", "use a name that ends in .safetensors")
    notes = {"boxes": {"classes": regressor.classes}}
    write_tensors(path, regressor.state_dict(), {"vggapps": json.dumps(notes)})


def load_boxes(path: str | Path) -> BoxRegressor:
    """Read what :func:`save_boxes` wrote.

    Raises:
        WeightsError: missing, damaged, or something else.
    """
    path = Path(path)
    opened = open_weights(path)
    tensors, notes = opened.tensors, opened.notes
    if "boxes" not in notes or set(tensors) != {"linear.weight", "linear.bias"}:
        raise WeightsError(f"{path.name} holds no boxes", "give a file that save_boxes wrote")
    regressor = BoxRegressor(tensors["linear.weight"].shape[1], notes["boxes"]["classes"])
    regressor.load_state_dict(tensors)
    return regressor.requires_grad_(False)
