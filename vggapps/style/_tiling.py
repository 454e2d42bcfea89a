"""The same score tile by tile, for pictures that don't fit into memory.

It is not an approximation: loss and gradient are those of the whole picture. The style losses need only moments,
which add up over tiles, so a first pass sums them; the loss's gradient towards the moments is then known, and a second
pass carries it back to the pixels, one tile at a time. Each tile is seen with a margin as wide as its features see,
so there are no seams. (Galerne et al., Scaling Painting Style Transfer, EGSR 2024, do the same with Gram matrices.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.losses._moments import Moments, add_up, moments
from vggapps.losses._pictures import carry
from vggapps.optimize._engine import Score
from vggapps.style._score import StyleScore
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import layer_facts


@dataclass(frozen=True)
class Tile:
    """A piece of a picture: ``core`` is what it answers for, ``outer`` adds the margin; rows and columns."""

    core: tuple[slice, slice]
    outer: tuple[slice, slice]

    def place(self, stride: int) -> tuple[slice, slice]:
        """Where the core lies in the whole picture's feature map."""
        rows, columns = (slice(s.start // stride, s.stop // stride) for s in self.core)
        return rows, columns

    def crop(self, features: Float[Tensor, "n c h w"], stride: int) -> Float[Tensor, "n c h2 w2"]:
        """The core's positions of the outer picture's features."""
        rows, columns = (
            slice((core.start - outer.start) // stride, (core.stop - outer.start) // stride)
            for core, outer in zip(self.core, self.outer, strict=True)
        )
        return features[:, :, rows, columns]


def tiles(size: tuple[int, int], side: int, margin: int) -> list[Tile]:
    """Cover a picture of (height, width); a last piece smaller than half a side is joined to the one before it."""

    def spans(length: int) -> list[tuple[slice, slice]]:
        edges = [i * side for i in range(max(1, round(length / side)))] + [length]
        return [(slice(a, b), slice(max(0, a - margin), min(length, b + margin))) for a, b in pairwise(edges)]

    return [
        Tile((rows, columns), (outer_rows, outer_columns))
        for rows, outer_rows in spans(size[0])
        for columns, outer_columns in spans(size[1])
    ]


class Tiling:
    """A network that sees a picture in tiles.

    Args:
        vgg: the network.
        layers: the layers that will be looked at.
        side: of a tile's core in pixels, rounded to the deepest layer's stride.
    """

    def __init__(self, vgg: VGG, layers: Iterable[str], side: int) -> None:
        self.vgg, self.layers = vgg, vgg.check(layers)
        facts = {f.name: f for f in layer_facts(vgg.plan, 224, "none")}
        self.strides = {name: facts[name].stride for name in self.layers}
        deepest = max(self.strides.values())
        reach = max(facts[name].receptive_field for name in self.layers) // 2
        self.margin = -(-reach // deepest) * deepest
        self.side = max(deepest, round(side / deepest) * deepest)

    def cover(self, image: Float[Tensor, "1 3 h w"]) -> list[Tile]:
        """The tiles of a picture."""
        return tiles((image.shape[2], image.shape[3]), self.side, self.margin)

    def features(self, piece: Float[Tensor, "1 3 h w"], tile: Tile) -> dict[str, Tensor]:
        """Features of a tile's core, from its outer piece of the picture."""
        found = self.vgg.features(piece, self.layers)
        return {name: tile.crop(f, self.strides[name]) for name, f in found.items()}

    def share(self, name: str, features: Tensor, image: Tensor) -> float:
        """The part of a layer's positions that a tile holds."""
        rows, columns = (side // self.strides[name] for side in image.shape[2:])
        return features.shape[2] * features.shape[3] / (rows * columns)

    def each(self, image: Float[Tensor, "1 3 h w"]) -> Iterator[tuple[Tile, dict[str, Tensor]]]:
        """Tile after tile with its features, without gradients."""
        for tile in self.cover(image):
            with torch.no_grad():
                found = self.features(image[:, :, *tile.outer], tile)
            yield tile, found

    def moments(
        self, image: Float[Tensor, "1 3 h w"], alpha: Float[Tensor, "1 1 h w"] | None = None
    ) -> dict[str, Moments]:
        """Moments of the whole picture, or of what an alpha lets be seen of it."""
        if alpha is None:
            return add_up(
                {name: moments(f) * self.share(name, f, image) for name, f in found.items()}
                for _, found in self.each(image)
            )
        sizes = {name: (image.shape[2] // stride, image.shape[3] // stride) for name, stride in self.strides.items()}
        masks = {name: carry(alpha, size) for name, size in sizes.items()}
        masks = {name: mask / mask.sum() for name, mask in masks.items()}
        parts = []
        for tile, found in self.each(image):
            here = {name: masks[name][:, :, *tile.place(self.strides[name])] for name in found}
            parts.append({name: moments(f, here[name]) * float(here[name].sum()) for name, f in found.items()})
        return add_up(parts)

    def gather(self, image: Float[Tensor, "1 3 h w"]) -> dict[str, Float[Tensor, "1 c h w"]]:
        """Feature maps of the whole picture, put together from the tiles'."""
        maps: dict[str, Tensor] = {}
        for tile, found in self.each(image):
            for name, f in found.items():
                size = [side // self.strides[name] for side in image.shape[2:]]
                whole = maps.setdefault(name, f.new_empty(*f.shape[:2], *size))
                whole[:, :, *tile.place(self.strides[name])] = f
        return maps


class _Known(torch.autograd.Function):
    """A scalar whose gradient has been computed along with it."""

    @staticmethod
    def forward(ctx, image: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(gradient)
        return loss.clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def,override]
        if torch.is_grad_enabled():
            raise SettingsError("a picture seen in tiles has no second derivatives", "see it as a whole")
        return grad * ctx.saved_tensors[0], None, None


def tiled(vgg: VGG, parts: StyleScore, side: int) -> Score:
    """The score of a picture of any size; equal to ``whole`` but for rounding."""
    of_moments = [term for term in parts.terms if term.of_moments]
    of_positions = [term for term in parts.terms if not term.of_moments]
    summed = dict.fromkeys(layer for term in of_moments for layer in term.target)
    view = Tiling(vgg, parts.layers, side)

    def slopes_of(total: Mapping[str, Moments]) -> tuple[dict[str, Tensor], dict[str, Moments]]:
        """The terms of moments, and the gradient of their weighted sum towards these."""
        leaves = {
            n: replace(m, mean=m.mean.requires_grad_(), second=m.second.requires_grad_()) for n, m in total.items()
        }
        values, slopes = {}, []
        for term in of_moments:
            own = {layer: leaves[layer] for layer in term.target}
            with torch.enable_grad():
                value = term(own)
            flat = [t for m in own.values() for t in (m.mean, m.second)]
            towards = iter(torch.autograd.grad(value, flat, materialize_grads=True))
            values[term.name] = value.detach()
            slopes.append(
                {n: replace(m, mean=next(towards), second=next(towards)) * term.weight for n, m in own.items()}
            )
        return values, add_up(slopes)

    def score(image: Float[Tensor, "1 3 h w"]) -> tuple[Tensor, Mapping[str, Tensor]]:
        picture = image.detach()
        values, slopes = slopes_of(Tiling(vgg, summed, side).moments(picture) if summed else {})
        gradient = torch.zeros_like(picture)
        sums = {term.name: picture.new_zeros(()) for term in of_positions}
        for tile in view.cover(picture):
            with torch.enable_grad():
                piece = picture[:, :, *tile.outer].detach().requires_grad_()
                found = view.features(piece, tile)
                held = {name: view.share(name, f, picture) for name, f in found.items()}
                places = {name: tile.place(stride) for name, stride in view.strides.items()}
                here = {term.name: term.part(places)(term.measure(found), held) for term in of_positions}
                carried = piece.new_zeros(())
                for term in of_positions:
                    carried = carried + term.weight * here[term.name]
                for name, slope in slopes.items():
                    m = moments(found[name]) * held[name]
                    carried = carried + (slope.mean * m.mean).sum() + (slope.second * m.second).sum()
                gradient[:, :, *tile.outer] += torch.autograd.grad(carried, piece)[0]
            sums = {name: total + here[name].detach() for name, total in sums.items()}

        terms = parts.weighted(image, values | sums)
        smooth = terms.get("tv", image.new_zeros(()))
        rest = torch.stack([value for name, value in terms.items() if name != "tv"]).sum()
        return _Known.apply(image, rest, gradient) + smooth, terms  # type: ignore[no-untyped-call]

    return score
