"""Gradients of large pictures, tile by tile, in the memory of one tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise, product

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.optimize._engine import Score

SIDE = 832  # pixels, without margin: a picture of 768 with its mirrored padding is one tile
Spans = list[tuple[slice, slice]]


def tiled(
    score: Callable[[Float[Tensor, "1 3 h w"], tuple[slice, slice]], Tensor],
    margin: int,
    generator: torch.Generator,
    side: int = SIDE,
    stride: int = 1,
) -> Score:
    """A score whose value and gradient are computed tile by tile.

    Each pixel's gradient comes from one tile, which is evaluated with a margin on all sides. A pixel affects features
    within half a receptive field, and these depend on as much again: with a margin of a full receptive field, the
    gradient of a mean over positions is that of the whole picture. Random offsets of the tiles in each step distribute
    the error of a smaller margin, without seams.

    Args:
        score: the loss of a piece of the picture at (rows, columns); a mean over positions.
        margin: of a tile, in pixels.
        generator: of the tiles' offsets.
        side: of a tile without margin, in pixels; smaller pictures are one tile.
        stride: tile corners are at multiples of it, in phase with the pooling grid.
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
            total += found.detach() * (gradient[:, :, *core].numel() / picture.numel())
        # The product with the detached gradient has this gradient; no tile's graph is kept.
        carried = (image * gradient).sum()
        loss = carried - carried.detach() + total
        return loss, {"objective": total}

    return whole


def cover(
    size: tuple[int, int], side: int, margin: int, generator: torch.Generator, stride: int = 1
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Tiles at a random offset that cover each pixel once: (rows, columns) without and with the margin."""
    spans = [_spans(length, side, margin, generator, stride) for length in size]
    for (rows, outer_rows), (columns, outer_columns) in product(*spans):
        yield (rows, columns), (outer_rows, outer_columns)


def _spans(length: int, side: int, margin: int, generator: torch.Generator, stride: int) -> Spans:
    edges = [0, length]
    if length > side:
        # Tiles of equal length, except for the first and the last.
        step = side // stride * stride
        first = int(torch.randint(1, step // stride + 1, (), generator=generator)) * stride
        edges = [0, *range(first, length, step), length]
    reach = -(-margin // stride) * stride
    return [(slice(a, b), slice(max(0, a - reach), min(length, b + reach))) for a, b in pairwise(edges)]
