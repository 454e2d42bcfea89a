"""What is given to a loss: the range that its numbers are in, its channels, its size; told early and clearly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, unknown

Range = Literal["0..1", "-1..1", "0..255"]
Size = int | Sequence[int] | None
Gradient = Literal["first", "both"]  # which of two pictures may want one

# A picture that was resized, or that a network has made, runs over its range a little; one of another range, far.
_BELOW, _ABOVE = -0.5, 2.0
# A generator at the start of its training gives numbers of any size, but not hundreds.
_WILD = 20.0


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
    _check_shape(image)
    if not image.is_floating_point():
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


def _check_shape(image: Tensor) -> None:
    if image.dim() == 5:
        raise SettingsError(f"the picture is {_shape(image)}", "join the frames of a film: film.flatten(0, 1)")
    if image.dim() != 4:
        raise SettingsError(f"the picture is {_shape(image)}, not N × 3 × H × W", "one picture is image[None]")
    if image.shape[1] == 4:
        raise SettingsError(
            "the picture has 4 channels", "lay RGBA over a background first, or drop its alpha: image[:, :3]"
        )
    if image.shape[1] not in (1, 3):
        last = " it seems to be N × H × W × C: image.permute(0, 3, 1, 2)" if image.shape[3] in (1, 3) else ""
        raise SettingsError(
            f"the picture is {_shape(image)}: {image.shape[1]} channels", last.strip() or "give it as RGB or grey"
        )


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

    A target is a picture, and far outside means a mistake: an error. What is trained may be anything while it learns:
    it gets words to warn with, or, hundreds away, the error too. That it overflows is for a scaler of gradients to see.

    Returns:
        What seems to be wrong, or nothing.

    Raises:
        SettingsError: it is in another range; a target is not finite.
    """
    if image.numel() == 0:
        raise SettingsError("there is no picture in the batch", "skip empty batches")
    low, high = (float(v) for v in torch.aminmax(image.detach()))
    if not math.isfinite(low + high):
        if is_target:
            raise SettingsError("the target has numbers that are infinite or not a number", "see how it was made")
        return ""
    seems = _seems(low, high, range)
    if not seems or (range == "0..255" and bool((image % 1 == 0).all())):  # a picture in the dark
        return ""
    wild = seems == "0..255" and high > _WILD
    message = f"the picture's numbers run from {low:.3g} to {high:.3g}: that looks like {seems}, not {range}"
    hint = f"make the loss with range='{seems}', or bring the picture into {range}"
    if (is_target and not (range == "-1..1" and seems == "0..1")) or wild:
        raise SettingsError(message, hint)
    return f"{message} ({hint})"


def _seems(low: float, high: float, range: str) -> str:
    """The range that the numbers are rather of, or nothing."""
    if range == "0..255":
        return "-1..1" if low < _BELOW else "0..1" if 0 < high <= 1 else ""
    if high > _ABOVE:
        return "0..255"
    if range == "0..1":
        return "-1..1" if low < _BELOW else ""
    return "0..1" if low >= 0 and high > 0 else ""


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
        _check_shape(image)
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
