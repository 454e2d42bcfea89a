"""The inputs and the reduction of a loss: checks of range, channels, size, masks and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps._ranges import SIXTEEN, UNIT, check_shape, extent, mistaken
from vggapps._ranges import Range as Range
from vggapps.errors import SettingsError, unknown

Size = int | Sequence[int] | None
Gradient = Literal["first", "both"]  # the pictures that may require a gradient
Reduction = Literal["mean", "sum", "none"]

# Integer dtypes with full support in torch.
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_choice(kind: str, word: str, choices: object) -> None:
    """Refuse a word that a ``Literal`` does not list."""
    if word not in get_args(choices):
        raise unknown(kind, word, get_args(choices))


def check_size(resize: Size) -> None:
    """Refuse anything but a side in pixels, (height, width) or None."""
    sides = [resize, resize] if isinstance(resize, int) else list(resize) if isinstance(resize, Sequence) else []
    if resize is not None and (len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides)):
        raise SettingsError(f"resize is {resize!r}", "give the shorter side in pixels, or (height, width)")


def standardize(image: Tensor, range: str) -> Float[Tensor, "n 3 h w"]:
    """RGB floats in [0, 1] from N × 3 × H × W, or grey N × 1 × H × W, in the declared range."""
    check_shape(image)
    if not image.is_floating_point():
        if image.dtype not in _INTEGERS and image.dtype != torch.bool:
            raise SettingsError(f"the picture's dtype is {image.dtype}", _remedy(SIXTEEN.remedy, range, SIXTEEN.name))
        if range != "0..255" or image.dtype == torch.bool:
            raise SettingsError(
                f"the picture's dtype is {image.dtype}, and its declared range is {range}",
                "divide it by 255 to get floats in 0..1, or make the loss with range='0..255'",
            )
        image = image.float()
    if range == "-1..1":
        image = (image + 1) / 2
    elif range == "0..255":
        image = image / 255
    if image.shape[1] == 1:
        image = image.expand(-1, 3, -1, -1)
    return image


def resized(image: Float[Tensor, "n c h w"], resize: int | Sequence[int]) -> Float[Tensor, "n c h2 w2"]:
    """The picture resized to a shorter side, or to (height, width)."""
    if isinstance(resize, int):
        factor = resize / min(image.shape[2:])
        size = [max(1, round(side * factor)) for side in image.shape[2:]]
    else:
        size = list(resize)
    if size == list(image.shape[2:]):
        return image
    return F.interpolate(image, size=size, mode="bilinear", antialias=True)


def check_values(image: Tensor, range: str, *, is_target: bool) -> str:
    """Check that the values are in the declared range.

    A wrong range is an error for a target, and for integers, which can't be trained. A picture that is being trained
    may leave the range: training must not stop at one bad step, so this returns the text of a warning ("" for none).
    Overflow is left to the gradient scaler.
    """
    if image.numel() == 0:
        raise SettingsError("the batch is empty", "skip empty batches")
    low, high = extent(image)
    if not math.isfinite(low + high):
        if is_target:
            raise SettingsError("the target has infinite or NaN values", "check how it was made")
        return ""
    if (found := mistaken(image, low, high, range)) is None:
        return ""
    kind, message = found
    hint = f"bring the picture into {range}" if kind is None else _remedy(kind.remedy, range, kind.name)
    constant = is_target or not image.is_floating_point()
    if constant and not (range == "-1..1" and kind is UNIT):
        raise SettingsError(message, hint)
    return f"{message} ({hint})"


def _remedy(remedy: str, range: str, seems: str) -> str:
    """The hint for a picture in another range than the loss's."""
    if seems in get_args(Range):
        made = f"make the loss with range='{seems}'"
        return made if seems == "0..1" or range != "0..1" else f"{made}, or {remedy}"
    return remedy if range == "0..1" else f"{remedy}, and make the loss with range='0..1'"


def resize_mask(mask: Float[Tensor, "n 1 h w"], size: tuple[int, int]) -> Float[Tensor, "n 1 h2 w2"]:
    """A mask at a layer's size: the mean over the pixels of each position.

    If repeated halving gives the layer's size, the mask is averaged over the same 2 × 2 squares as the network's
    pooling, which leaves out the last row or column of an odd size.
    """
    while min(mask.shape[2:]) > 1 and mask.shape[2] // 2 >= size[0] and mask.shape[3] // 2 >= size[1]:
        mask = F.avg_pool2d(mask, 2)
    return mask if mask.shape[2:] == size else F.adaptive_avg_pool2d(mask, size)


def mask_resizer(mask: Tensor | None) -> Callable[[Tensor], Tensor | None]:
    """A function that gives the mask at the size of a feature map."""
    return lambda map_: None if mask is None else resize_mask(mask, (map_.shape[2], map_.shape[3]))


def check_mask(mask: Tensor, image: Tensor) -> Float[Tensor, "#n 1 h w"]:
    """The mask as floats, refused if it is not N or 1 × 1 × H × W of the picture's size and device."""
    if not isinstance(mask, Tensor):
        raise SettingsError(f"the mask is of type {type(mask).__name__}", "pass a tensor, N × 1 × H × W")
    if mask.device != image.device:
        raise SettingsError(
            f"the mask is on {mask.device}, the picture on {image.device}", f"move it: mask.to('{image.device}')"
        )
    if mask.dim() != 4 or mask.shape[1] != 1 or mask.shape[0] not in (1, image.shape[0]):
        shape = " × ".join(map(str, mask.shape))
        raise SettingsError(f"the mask is {shape}", f"its shape must be {image.shape[0]} × 1 × H × W")
    if mask.shape[2:] != image.shape[2:]:
        raise SettingsError(
            f"the mask is {mask.shape[3]}×{mask.shape[2]}, the picture {image.shape[3]}×{image.shape[2]}",
            "make both the same size",
        )
    return mask.to(torch.promote_types(image.dtype, torch.float32))


def check_weights(mask: Tensor) -> None:
    """Refuse negative, infinite or NaN weights in a mask."""
    if not bool(((mask >= 0) & (mask < math.inf)).all()):
        raise SettingsError("the mask has negative, infinite or NaN values", "give each position a weight of 0 or more")


def wants_gradient(*images: object) -> bool:
    """Whether any of the tensors requires a gradient, with gradients enabled."""
    return torch.is_grad_enabled() and any(getattr(image, "requires_grad", False) for image in images)


def check_pair(x: Tensor, y: Tensor, mask: Tensor | None = None, gradient: Gradient = "first") -> None:
    """Refuse swapped arguments, different batch sizes, different sizes with a mask, and a gradient that gets lost."""
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
        kinds = " and ".join(type(t).__name__ for t in (x, y))
        raise SettingsError(f"the pictures are given as {kinds}", "pass tensors, N × 3 × H × W")
    for image in (x, y):
        check_shape(image)
    if gradient == "first" and wants_gradient(y):
        if not x.requires_grad:
            raise SettingsError(
                "the second picture, the target, requires a gradient, and the first does not",
                "swap them: loss(output, target); or make the loss with gradient='both'",
            )
        raise SettingsError(
            "both pictures require a gradient, and this loss gives one only to the first",
            "make the loss with gradient='both', or detach the second: target.detach()",
        )
    if len(x) != len(y):
        raise SettingsError(
            f"there are {len(x)} pictures and {len(y)} targets", "prepare a target that serves all: loss.prepare(y)"
        )
    if mask is not None and x.shape[2:] != y.shape[2:]:
        raise SettingsError(
            "the mask has the picture's size, and the target has another size",
            "prepare the target with its own mask: loss.prepare(y, mask=...)",
        )


def reduce(values: Float[Tensor, " n"], reduction: Reduction) -> Float[Tensor, "*n"]:
    """The mean or sum over the batch; ``none`` returns the values."""
    if reduction == "none":
        return values
    return values.mean() if reduction == "mean" else values.sum()
