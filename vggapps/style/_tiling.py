"""The score in tiles, for pictures that don't fit into memory.

Loss and gradient are exactly those of the whole picture. The style losses need only moments, which add up over tiles:
a first pass sums them, which gives the loss's gradient with respect to the moments, and a second pass propagates it to
the pixels, one tile at a time. Each tile has a margin of the receptive field, so there are no seams. (Galerne et al.,
Scaling Painting Style Transfer, EGSR 2024, do the same with Gram matrices.)
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
from vggapps.losses._pictures import resize_mask
from vggapps.optimize._engine import Score
from vggapps.style._score import StyleScore
from vggapps.vgg._facts import layer_facts
from vggapps.vgg._network import VGG


@dataclass(frozen=True)
class Tile:
    """A part of a picture, as rows and columns: ``core`` belongs to this tile only, ``outer`` includes the margin."""

    core: tuple[slice, slice]
    outer: tuple[slice, slice]

    def place(self, stride: int) -> tuple[slice, slice]:
        """Rows and columns of the core in the whole picture's feature map."""
        rows, columns = (slice(s.start // stride, s.stop // stride) for s in self.core)
        return rows, columns

    def crop(self, features: Float[Tensor, "n c h w"], stride: int) -> Float[Tensor, "n c h2 w2"]:
        """The core's positions in the features of the outer picture."""
        rows, columns = (
            slice((core.start - outer.start) // stride, (core.stop - outer.start) // stride)
            for core, outer in zip(self.core, self.outer, strict=True)
        )
        return features[:, :, rows, columns]


def tiles(size: tuple[int, int], side: int, margin: int) -> list[Tile]:
    """Tiles that cover a picture of (height, width); a last tile of less than half a side joins the previous one."""

    def spans(length: int) -> list[tuple[slice, slice]]:
        edges = [i * side for i in range(max(1, round(length / side)))] + [length]
        return [(slice(a, b), slice(max(0, a - margin), min(length, b + margin))) for a, b in pairwise(edges)]

    return [
        Tile((rows, columns), (outer_rows, outer_columns))
        for rows, outer_rows in spans(size[0])
        for columns, outer_columns in spans(size[1])
    ]


class Tiling:
    """Features of a picture in tiles.

    Args:
        vgg: the network.
        layers: the layers to compute.
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
        """Features of a tile's core, from the outer part of the picture."""
        found = self.vgg.features(piece, self.layers)
        return {name: tile.crop(f, self.strides[name]) for name, f in found.items()}

    def share(self, name: str, features: Tensor, image: Tensor) -> float:
        """The fraction of a layer's positions in a tile."""
        rows, columns = (side // self.strides[name] for side in image.shape[2:])
        return features.shape[2] * features.shape[3] / (rows * columns)

    def each(self, image: Float[Tensor, "1 3 h w"]) -> Iterator[tuple[Tile, dict[str, Tensor]]]:
        """Each tile with its features, without gradients."""
        for tile in self.cover(image):
            with torch.no_grad():
                found = self.features(image[:, :, *tile.outer], tile)
            yield tile, found

    def moments(
        self, image: Float[Tensor, "1 3 h w"], alpha: Float[Tensor, "1 1 h w"] | None = None
    ) -> dict[str, Moments]:
        """Moments of the whole picture, weighted by ``alpha``."""
        if alpha is None:
            return add_up(
                {name: moments(f) * self.share(name, f, image) for name, f in found.items()}
                for _, found in self.each(image)
            )
        sizes = {name: (image.shape[2] // stride, image.shape[3] // stride) for name, stride in self.strides.items()}
        masks = {name: resize_mask(alpha, size) for name, size in sizes.items()}
        masks = {name: mask / mask.sum() for name, mask in masks.items()}
        parts = []
        for tile, found in self.each(image):
            here = {name: masks[name][:, :, *tile.place(self.strides[name])] for name in found}
            parts.append({name: moments(f, here[name]) * float(here[name].sum()) for name, f in found.items()})
        return add_up(parts)

    def gather(self, image: Float[Tensor, "1 3 h w"]) -> dict[str, Float[Tensor, "1 c h w"]]:
        """Feature maps of the whole picture, assembled from tiles."""
        maps: dict[str, Tensor] = {}
        for tile, found in self.each(image):
            for name, f in found.items():
                size = [side // self.strides[name] for side in image.shape[2:]]
                whole = maps.setdefault(name, f.new_empty(*f.shape[:2], *size))
                whole[:, :, *tile.place(self.strides[name])] = f
        return maps


class _PrecomputedGradient(torch.autograd.Function):
    """A scalar with a precomputed gradient."""

    @staticmethod
    def forward(ctx, image: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(gradient)
        return loss.clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def,override]
        if torch.is_grad_enabled():
            raise SettingsError("a score in tiles has no second derivatives", "compute it in one piece")
        return grad * ctx.saved_tensors[0], None, None


def tiled(vgg: VGG, parts: StyleScore, side: int) -> Score:
    """The score of a picture of any size; equal to ``whole`` up to rounding."""
    of_moments = [term for term in parts.terms if term.of_moments]
    of_positions = [term for term in parts.terms if not term.of_moments]
    summed = dict.fromkeys(layer for term in of_moments for layer in term.target)
    view = Tiling(vgg, parts.layers, side)

    def slopes_of(total: Mapping[str, Moments]) -> tuple[dict[str, Tensor], dict[str, Moments]]:
        """The terms of moments, and the gradient of their weighted sum with respect to the moments."""
        for m in total.values():
            m.mean.requires_grad_()
            m.second.requires_grad_()
        values, slopes = {}, []
        for term in of_moments:
            of_term = {layer: total[layer] for layer in term.target}
            with torch.enable_grad():
                value = term(of_term)
            flat = [t for m in of_term.values() for t in (m.mean, m.second)]
            grads = iter(torch.autograd.grad(value, flat, materialize_grads=True))
            values[term.name] = value.detach()
            slopes.append(
                {n: replace(m, mean=next(grads), second=next(grads)) * term.weight for n, m in of_term.items()}
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
                loss = piece.new_zeros(())
                for term in of_positions:
                    loss = loss + term.weight * here[term.name]
                for name, slope in slopes.items():
                    m = moments(found[name]) * held[name]
                    loss = loss + (slope.mean * m.mean).sum() + (slope.second * m.second).sum()
                gradient[:, :, *tile.outer] += torch.autograd.grad(loss, piece)[0]
            sums = {name: total + here[name].detach() for name, total in sums.items()}

        terms = parts.weighted(image, values | sums)
        smooth = terms.get("tv", image.new_zeros(()))
        rest = torch.stack([value for name, value in terms.items() if name != "tv"]).sum()
        return _PrecomputedGradient.apply(image, rest, gradient) + smooth, terms  # type: ignore[no-untyped-call]

    return score
