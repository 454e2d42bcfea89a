"""What is given to a loss: the range that its numbers are in, its channels, its size; told early and clearly."""

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
Gradient = Literal["first", "both"]  # which of two pictures may want one

# Whole numbers that torch computes with.
_LEVELS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_name(range: str) -> None:
    """Whether there is such a range."""
    if range not in get_args(Range):
        raise unknown("range of pictures", range, get_args(Range))


def check_gradient(gradient: str) -> None:
    """Whether there is such a word."""
    if gradient not in get_args(Gradient):
        raise unknown("gradient", gradient, get_args(Gradient))


def check_size(resize: Size) -> None:
    """Whether there is such a size."""
    sides = [resize, resize] if isinstance(resize, int) else list(resize) if isinstance(resize, Sequence) else []
    if resize is not None and (len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides)):
        raise SettingsError(f"resize is {resize!r}", "give the shorter side in pixels, or (height, width)")


def standardize(image: Tensor, range: str) -> Float[Tensor, "n 3 h w"]:
    """RGB in [0, 1] of floats: grey is repeated, a declared range mapped.

    Args:
        image: N × 3 × H × W, or N × 1 × H × W for grey.
        range: what its numbers are in.

    Raises:
        SettingsError: other dimensions or channels; whole numbers that are not declared as 0..255.
    """
    check_shape(image)
    if not image.is_floating_point():
        if image.dtype not in _LEVELS and image.dtype != torch.bool:
            raise SettingsError(
                f"the picture's numbers are {image.dtype}", _remedy(SIXTEEN.remedy, range, SIXTEEN.name)
            )
        if range != "0..255" or image.dtype == torch.bool:
            raise SettingsError(
                f"the picture's numbers are {image.dtype}, and its range is declared as {range}",
                "divide it by 255 to floats in 0..1, or make the loss with range='0..255'",
            )
        image = image.float()
    if range == "-1..1":
        image = (image + 1) / 2
    elif range == "0..255":
        image = image / 255
    if image.shape[1] == 1:
        image = image.expand(-1, 3, -1, -1)
    return image


def _shape(image: Tensor) -> str:
    return " × ".join(map(str, image.shape))


def scaled(image: Float[Tensor, "n c h w"], resize: int | Sequence[int]) -> Float[Tensor, "n c h2 w2"]:
    """At another size: by its shorter side, or (height, width)."""
    if isinstance(resize, int):
        factor = resize / min(image.shape[2:])
        size = [max(1, round(side * factor)) for side in image.shape[2:]]
    else:
        size = list(resize)
    if size == list(image.shape[2:]):
        return image
    return F.interpolate(image, size=size, mode="bilinear", antialias=True)


def check_values(image: Tensor, range: str, *, is_target: bool) -> str:
    """Notice a picture of another range than the declared.

    A target is a picture, and far outside means a mistake: an error; so do whole numbers, which nobody trains. What is
    trained may be anything while it learns: it gets words to warn with, however far it runs, for a training must not
    stop at one bad step. That it overflows is for a scaler of gradients to see.

    Returns:
        What seems to be wrong, or nothing.

    Raises:
        SettingsError: it is in another range; a target is not finite.
    """
    if image.numel() == 0:
        raise SettingsError("there is no picture in the batch", "skip empty batches")
    low, high = extent(image)
    if not math.isfinite(low + high):
        if is_target:
            raise SettingsError("the target has numbers that are infinite or not a number", "see how it was made")
        return ""
    if (found := mistaken(image, low, high, range)) is None:
        return ""
    kind, message = found
    hint = f"bring the picture into {range}" if kind is None else _remedy(kind.remedy, range, kind.name)
    given = is_target or not image.is_floating_point()
    if given and not (range == "-1..1" and kind is UNIT):
        raise SettingsError(message, hint)
    return f"{message} ({hint})"


def _remedy(remedy: str, range: str, seems: str) -> str:
    """What to do with a picture of another range than the loss's."""
    if seems in get_args(Range):
        made = f"make the loss with range='{seems}'"
        return made if seems == "0..1" or range != "0..1" else f"{made}, or {remedy}"
    return remedy if range == "0..1" else f"{remedy}, and make the loss with range='0..1'"


def carry(mask: Float[Tensor, "n 1 h w"], size: tuple[int, int]) -> Float[Tensor, "n 1 h2 w2"]:
    """A mask at a layer's size: the mean over the pixels that each position stands on.

    Where a layer's size is what repeated halving gives, its pools' own squares are averaged, so that what they leave
    out at an odd border is left out here too.
    """
    while min(mask.shape[2:]) > 1 and mask.shape[2] // 2 >= size[0] and mask.shape[3] // 2 >= size[1]:
        mask = F.avg_pool2d(mask, 2)
    return mask if mask.shape[2:] == size else F.adaptive_avg_pool2d(mask, size)


def carried(mask: Tensor | None) -> Callable[[Tensor], Tensor | None]:
    """What gives the mask at the size of a map."""
    return lambda map_: None if mask is None else carry(mask, (map_.shape[2], map_.shape[3]))


def check_mask(mask: Tensor, image: Tensor) -> Float[Tensor, "#n 1 h w"]:
    """The mask as floats, if it fits the picture: N or 1 × 1 × H × W.

    Raises:
        SettingsError: it does not.
    """
    if not isinstance(mask, Tensor):
        raise SettingsError(f"the mask is given as {type(mask).__name__}", "give a tensor, N × 1 × H × W")
    if mask.device != image.device:
        raise SettingsError(
            f"the mask is on {mask.device}, the picture on {image.device}", f"move it: mask.to('{image.device}')"
        )
    if mask.dim() != 4 or mask.shape[1] != 1 or mask.shape[0] not in (1, image.shape[0]):
        raise SettingsError(f"the mask is {_shape(mask)}", f"give it as {image.shape[0]} × 1 × H × W")
    if mask.shape[2:] != image.shape[2:]:
        raise SettingsError(
            f"the mask is {mask.shape[3]}×{mask.shape[2]}, the picture {image.shape[3]}×{image.shape[2]}",
            "make both the same size",
        )
    return mask.to(torch.promote_types(image.dtype, torch.float32))


def check_weights(mask: Tensor) -> None:
    """Whether a mask says how much each position counts.

    Raises:
        SettingsError: some count less than nothing, or without end.
    """
    if not bool(((mask >= 0) & (mask < math.inf)).all()):
        raise SettingsError("the mask has negative numbers, or none at all", "give each position a weight of 0 or more")


def wants_gradient(*images: object) -> bool:
    """Whether any of what is given is to have one."""
    return torch.is_grad_enabled() and any(getattr(image, "requires_grad", False) for image in images)


def check_pair(x: Tensor, y: Tensor, mask: Tensor | None = None, gradient: Gradient = "first") -> None:
    """Whether a target was given where a target belongs, and as many as there are pictures.

    Raises:
        SettingsError: the two are swapped, of different numbers, or of different sizes under one mask; the second wants
            a gradient and the loss gives it to the first alone.
    """
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
        kinds = " and ".join(type(t).__name__ for t in (x, y))
        raise SettingsError(f"the pictures are given as {kinds}", "give tensors, N × 3 × H × W")
    for image in (x, y):
        check_shape(image)
    if gradient == "first" and wants_gradient(y):
        if not x.requires_grad:
            raise SettingsError(
                "the second picture, the target, wants a gradient, and the first does not",
                "swap them: loss(output, target); or make the loss with gradient='both'",
            )
        raise SettingsError(
            "both pictures want a gradient, and this loss gives it to the first alone",
            "make the loss with gradient='both', or give the second as a constant: target.detach()",
        )
    if len(x) != len(y):
        raise SettingsError(
            f"there are {len(x)} pictures and {len(y)} targets", "prepare a target that serves all: loss.prepare(y)"
        )
    if mask is not None and x.shape[2:] != y.shape[2:]:
        raise SettingsError(
            "the mask is the picture's, and the target has another size",
            "prepare the target with its own: loss.prepare(y, mask=...)",
        )
