"""What is minimised: style, content and roughness of a picture, in one forward pass or tile by tile.

Tiles give the very same loss and gradient as the whole picture, in memory that does not grow with it: the style
losses need only moments, which add up over tiles. A first pass sums them; the loss's gradient towards the moments is
then known, and a second pass carries it back to the pixels, one tile at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.losses.content import ContentLoss
from vggapps.losses.moments import Moments, moments
from vggapps.losses.style import StyleLoss
from vggapps.losses.variation import total_variation
from vggapps.optimize.engine import Score
from vggapps.vgg.network import VGG
from vggapps.vgg.plan import layer_facts

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Objective:
    """The parts of the loss and what each counts."""

    style: StyleLoss
    content: ContentLoss
    style_weight: float
    content_weight: float
    tv_weight: float

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that are looked at."""
        return tuple(dict.fromkeys([*self.style.target, *self.content.target]))

    def roughness(self, image: Float[Tensor, "1 3 h w"]) -> Terms:
        """The part that needs no network."""
        return {"tv": self.tv_weight * total_variation(image)} if self.tv_weight else {}


def whole(vgg: VGG, objective: Objective) -> Score:
    """The score of a picture that fits into memory as it is."""

    def score(image: Float[Tensor, "1 3 h w"]) -> tuple[Tensor, Mapping[str, Tensor]]:
        features = vgg.features(image, objective.layers)
        found = {name: moments(features[name]) for name in objective.style.target}
        terms = {
            "style": objective.style_weight * objective.style(found),
            "content": objective.content_weight * objective.content(features),
            **objective.roughness(image),
        }
        return torch.stack(list(terms.values())).sum(), terms

    return score


@dataclass(frozen=True)
class Tile:
    """A piece of a picture: ``core`` is what it answers for, ``outer`` adds the margin that its features see."""

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


def tiles(size: tuple[int, int], side: int, margin: int) -> Iterator[Tile]:
    """Cover a picture of (height, width); ``side`` and ``margin`` must be multiples of every layer's stride."""

    def spans(length: int) -> list[tuple[slice, slice]]:
        # A last piece that is smaller than half a side is joined to the one before it.
        count = max(1, round(length / side))
        edges = [i * side for i in range(count)] + [length]
        return [(slice(a, b), slice(max(0, a - margin), min(length, b + margin))) for a, b in pairwise(edges)]

    for row_core, row_outer in spans(size[0]):
        for column_core, column_outer in spans(size[1]):
            yield Tile((row_core, column_core), (row_outer, column_outer))


class _Known(torch.autograd.Function):
    """A scalar whose gradient has been computed along with it."""

    @staticmethod
    def forward(ctx, image: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(gradient)
        return loss.clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def]
        return grad * ctx.saved_tensors[0], None, None


def tiled(vgg: VGG, objective: Objective, side: int) -> Score:
    """The score of a picture of any size, tile by tile; equal to :func:`whole` but for rounding.

    Args:
        side: of a tile's core, in pixels; it is rounded to the deepest layer's stride.
    """
    facts = {f.name: f for f in layer_facts(vgg.plan, 224, "none")}
    strides = {name: facts[name].stride for name in objective.layers}
    step = max(strides.values())
    reach = max(facts[name].receptive_field for name in objective.layers) // 2
    margin = -(-reach // step) * step
    side = max(step, round(side / step) * step)

    def features(image: Tensor, tile: Tile) -> dict[str, Tensor]:
        found = vgg.features(image, objective.layers)
        return {name: tile.crop(f, strides[name]) for name, f in found.items()}

    def score(image: Float[Tensor, "1 3 h w"]) -> tuple[Tensor, Mapping[str, Tensor]]:
        size = (image.shape[2], image.shape[3])
        picture, cover = image.detach(), list(tiles(size, side, margin))

        def share(name: str, f: Tensor) -> float:
            """The part of the layer's positions that a tile holds."""
            return f.shape[2] * f.shape[3] / ((size[0] // strides[name]) * (size[1] // strides[name]))

        total: dict[str, Moments] = {}
        with torch.no_grad():
            for tile in cover:
                found = features(picture[:, :, *tile.outer], tile)
                for name in objective.style.target:
                    m = moments(found[name]) * share(name, found[name])
                    total[name] = total[name] + m if name in total else m

        leaves = {n: Moments(m.mean.requires_grad_(), m.second.requires_grad_()) for n, m in total.items()}
        with torch.enable_grad():
            style = objective.style_weight * objective.style(leaves)
            flat = [t for m in leaves.values() for t in (m.mean, m.second)]
            towards = dict(zip(leaves, _pairs(torch.autograd.grad(style, flat)), strict=True))

        gradient, content = torch.zeros_like(picture), picture.new_zeros(())
        for tile in cover:
            with torch.enable_grad():
                piece = picture[:, :, *tile.outer].detach().requires_grad_()
                found = features(piece, tile)
                part = objective.content.part({n: tile.place(strides[n]) for n in objective.content.target})
                one = next(iter(objective.content.target))
                here = objective.content_weight * part(found) * share(one, found[one])
                carried = here
                for name, (mean, second) in towards.items():
                    m = moments(found[name]) * share(name, found[name])
                    carried = carried + (mean * m.mean).sum() + (second * m.second).sum()
                gradient[:, :, *tile.outer] += torch.autograd.grad(carried, piece)[0]
            content += here.detach()

        known = style.detach() + content
        terms = {"style": style.detach(), "content": content, **objective.roughness(image)}
        rough = [t for name, t in terms.items() if name == "tv"]
        return _Known.apply(image, known, gradient) + sum(rough), terms  # type: ignore[no-untyped-call]

    return score


def _pairs(tensors: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(tensors[::2], tensors[1::2], strict=True)
