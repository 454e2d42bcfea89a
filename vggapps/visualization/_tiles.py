"""The gradient of a picture of any size, in the memory that one tile takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise, product

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.optimize._engine import Score

SIDE = 832  # pixels; what a tile answers for, to which its margin is added: 768 and the mirrored border are one tile
Spans = list[tuple[slice, slice]]


def tiled(
    score: Callable[[Float[Tensor, "1 3 h w"], tuple[slice, slice]], Tensor],
    margin: int,
    generator: torch.Generator,
    side: int = SIDE,
    stride: int = 1,
) -> Score:
    """The score of a picture, tile by tile, with its gradient.

    Each pixel's gradient is taken from the one tile that answers for it, which has been seen with a margin on all
    sides. A pixel acts on features within half a receptive field, and those look as far again: with a margin of a whole
    field the gradient of a mean over positions is that of the whole picture. The tiles lie elsewhere at each step,
    so that what a smaller margin leaves of their borders is spread over the picture and makes no seam.

    Args:
        score: what is minimised, of a piece of the picture and the (rows, columns) that it was taken from; a mean
            over positions.
        margin: pixels that a tile is seen with, beside its own.
        generator: of the places of the tiles.
        side: of a tile, in pixels; pictures up to that size are one tile.
        stride: the tiles' corners lie at multiples of it, where the network's poolings begin anew.
    """

    def whole(image: Float[Tensor, "1 3 h w"]) -> tuple[Tensor, Mapping[str, Tensor]]:
        picture, gradient = image.detach(), torch.empty_like(image)
        total = picture.new_zeros(())
        for core, outer in cover((image.shape[2], image.shape[3]), side, margin, generator, stride):
            with torch.enable_grad():
                piece = picture[:, :, *outer].clone().requires_grad_()
                found = score(piece, outer)
                slope = torch.autograd.grad(found, piece)[0]
            inner = [slice(c.start - o.start, c.stop - o.start) for c, o in zip(core, outer, strict=True)]
            gradient[:, :, *core] = slope[:, :, *inner] * (piece.numel() / picture.numel())
            total += found.detach() * (_area(core) / (image.shape[2] * image.shape[3]))
        # The picture's product with a fixed gradient has that gradient, and no tile's memory is held for it.
        carried = (image * gradient).sum()
        loss = carried - carried.detach() + total
        return loss, {"objective": total}

    return whole


def cover(
    size: tuple[int, int], side: int, margin: int, generator: torch.Generator, stride: int = 1
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Tiles that together hold each pixel once, at a random place: (rows, columns) without and with the margin."""
    spans = [_spans(length, side, margin, generator, stride) for length in size]
    for (rows, outer_rows), (columns, outer_columns) in product(*spans):
        yield (rows, columns), (outer_rows, outer_columns)


def _spans(length: int, side: int, margin: int, generator: torch.Generator, stride: int) -> Spans:
    edges = [0, length]
    if length > side:
        # As few tiles as there can be, all of one length but for the first and the last.
        step = side // stride * stride
        first = int(torch.randint(1, step // stride + 1, (), generator=generator)) * stride
        edges = [0, *range(first, length, step), length]
    reach = -(-margin // stride) * stride
    return [(slice(a, b), slice(max(0, a - reach), min(length, b + reach))) for a, b in pairwise(edges)]


def _area(tile: tuple[slice, slice]) -> int:
    height, width = (int(side.stop - side.start) for side in tile)
    return height * width
