"""The perceptual loss: a weighted sum of distances between features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, WeightsError
from vggapps.losses.backbone import Backbone, load_backbone
from vggapps.losses.distance import Distance, Measured, get_distance, maps_of_one_size
from vggapps.losses.feature_loss import FeatureLoss, Reduction
from vggapps.losses.pictures import Range, Size
from vggapps.losses.target import Target

Criterion = str | Callable[..., Tensor] | Distance
Layers = str | Iterable[str] | Mapping[str, float]

# A hypercolumn is taken at each knot of a grid of this many rows and columns: STROTSS's 1,024 positions.
_GRID = 32


@dataclass(frozen=True)
class Term:
    """Σ weight · distance over layers.

    Attributes:
        layers: weight of each; ``image`` is the picture itself, RGB in [0, 1].
        criterion: a name in ``DISTANCES``, a function of two maps, or a ``Distance``.
        role: which target it is compared with, where ``prepare`` is given two.
        normalize: bring each position's features to length 1 first.
        joined: take all layers together as hypercolumns, at 1,024 positions, with the sum of their weights.
    """

    layers: Mapping[str, float]
    criterion: Criterion
    role: Literal["content", "style"] = "content"
    normalize: bool = False
    joined: bool = False


class PerceptualLoss(FeatureLoss):
    """Distance of two pictures in the features of a frozen VGG.

    >>> from vggapps import load_vgg
    >>> loss = PerceptualLoss({"relu2_2": 1.0}, backbone=load_vgg("vgg16", None, head="none"))
    >>> x, y = torch.rand(2, 4, 3, 32, 32)
    >>> loss(x, y).shape, loss(y, loss.prepare(y)).item()
    (torch.Size([]), 0.0)

    Args:
        layers: of the content term: a name, names, or weights by name, ``conv`` before and ``relu`` after the
            nonlinearity; or the whole loss as a sequence of :class:`Term`.
        backbone: a network's name, a weights' name or record, or a loaded VGG. The default is the installed VGG-19,
            the same on every machine.
        criterion: of the content term: ``l1``, ``l2``, ``charbonnier``, ``huber``, ``cosine``, ``frobenius`` or any
            other in ``DISTANCES``; or a function of two maps that gives one number a picture.
        style_layers: of a style term, like ``layers``; None for no such term.
        style_criterion: of the style term: ``gram-gatys``, ``wasserstein``, ``sliced``...
        normalize_features: bring each position's features to length 1 before the content criterion.
        reduction: of the pictures' losses: ``mean``, ``sum``, or ``none`` for one a picture.
        resize: both pictures' shorter side in pixels, or (height, width); None leaves them.
        range: what the pictures' numbers are in: ``0..1``, ``-1..1`` or ``0..255``. Another one is noticed.
        checkpoint: the pictures of a batch go through the network one by one, and again for the gradient.

    Raises:
        SettingsError: a name or a combination that makes no sense.
        WeightsError: the network's weights can't be had.
    """

    def __init__(
        self,
        layers: Layers | Sequence[Term] = ("relu3_3",),
        *,
        backbone: Backbone = "vgg19",
        criterion: Criterion = "l1",
        style_layers: Layers | None = None,
        style_criterion: Criterion = "gram-johnson",
        normalize_features: bool = False,
        reduction: Reduction = "mean",
        resize: Size = None,
        range: Range = "0..1",
        checkpoint: bool = False,
    ) -> None:
        listed = layers if isinstance(layers, str | Mapping) else list(layers)
        terms = [term for term in listed if isinstance(term, Term)]
        if terms and len(terms) < len(listed):
            raise SettingsError("layers are given as terms and by name", "make a Term of each, or name them all")
        if not terms:
            terms = [Term(_weights(listed), criterion, "content", normalize_features)]  # type: ignore[arg-type]
        if style_layers is not None:
            terms.append(Term(_weights(style_layers), style_criterion, "style"))
        self.parts = _parts(terms)
        if not self.parts:
            raise SettingsError("there is no layer to compare", "name one: layers='relu3_3'")
        seen = [layer for part in self.parts.values() for layer in part.layers]
        super().__init__(
            load_backbone(backbone), seen, range=range, reduction=reduction, resize=resize, checkpoint=checkpoint
        )

    @classmethod
    def preset(cls, name: str, **options: object) -> Self:
        """A published loss by the name of its paper, see :data:`vggapps.losses.presets.PRESETS`.

        Args:
            name: ``johnson``, ``gatys``, ``srgan``, ``esrgan``, ``real-esrgan``, ``pix2pixhd``, ``spade``,
                ``pconv-inpainting``, ``lama``, ``contextual`` or ``strotss``.
            options: ``backbone`` in place of the paper's network, and ``reduction``, ``resize``, ``range``,
                ``checkpoint`` as above.

        Raises:
            SettingsError: there is no such preset.
            WeightsError: the paper's network is not here; it says what to do.
        """
        from vggapps.losses.presets import get_preset  # it is made of this module's terms

        found = get_preset(name)
        wanted: Backbone | None = options.pop("backbone", None)  # type: ignore[assignment]
        try:
            backbone = load_backbone(found.backbone if wanted is None else wanted)
        except WeightsError as error:
            if wanted is None:
                error.hint += "; or, with other numbers than the paper's, take the installed network: backbone='vgg19'"
            raise
        backbone = backbone.variant(pooling=found.pooling, convention=found.convention)
        return cls(found.terms, backbone=backbone, **options)  # type: ignore[arg-type]

    def prepare(
        self,
        y: Float[Tensor, "n c h w"],
        *,
        mask: Tensor | None = None,
        style: Float[Tensor, "n c h2 w2"] | None = None,
        style_mask: Tensor | None = None,
    ) -> Target:
        """A target measured once, for many calls of ``loss(x, target)``.

        Args:
            y: target pictures.
            mask: how much their positions count, for distances of moments.
            style: other pictures, of any size, for the terms whose role is style.
            style_mask: the same for these.

        Raises:
            SettingsError: no term's role is style, or there are more pictures for it than for the others.
        """
        whole = super().prepare(y, mask=mask)
        if style is None:
            return whole
        if all(part.term.role == "content" for part in self.parts.values()):
            raise SettingsError("this loss has no style term for that picture", "make it with style_layers=")
        painted = super().prepare(style, mask=style_mask).for_pictures(len(whole))
        measured = {
            name: (painted if part.term.role == "style" else whole).measured[name] for name, part in self.parts.items()
        }
        return Target(measured, whole.made_by)

    def measure(self, features: Mapping[str, Tensor], masks: Callable[[Tensor], Tensor | None]) -> dict[str, Measured]:
        """Maps or moments of each layer."""
        measured: dict[str, Measured] = {}
        for name, part in self.parts.items():
            maps = [features[layer] for layer in part.layers]
            map_ = hypercolumns(maps) if part.term.joined else maps[0]
            mask = masks(map_)
            if mask is not None and (part.distance.of == "maps" or part.term.joined):
                raise SettingsError(
                    f"there is no masked form of {part.distance.name}", "take a criterion of positions or of moments"
                )
            if part.term.normalize:
                map_ = map_.to(torch.promote_types(map_.dtype, torch.float32))
                map_ = map_ / (torch.linalg.vector_norm(map_, dim=1, keepdim=True) + 1e-10)
            measured[name] = part.distance.measure(map_, mask)
        return measured

    def compare(
        self, x: Mapping[str, Measured], y: Mapping[str, Measured], masks: Callable[[Tensor], Tensor | None]
    ) -> dict[str, Float[Tensor, " n"]]:
        """weight · distance of each layer."""
        parts = {}
        for name, part in self.parts.items():
            own, wanted = x[name], y[name]
            if part.distance.one_size:
                maps_of_one_size(part.distance.name, own, wanted)
            mask = masks(own) if isinstance(own, Tensor) else None
            parts[name] = part.weight * part.distance(own, wanted, mask)
        return parts

    def maps(self, x: Mapping[str, Measured], y: Mapping[str, Measured]) -> dict[str, Float[Tensor, "n h w"]]:
        """weight · distance at each position."""
        found = {}
        for name, part in self.parts.items():
            if part.distance.of != "positions":
                raise SettingsError(
                    f"{part.distance.name} compares pictures as wholes, and has no map", "take a criterion such as l1"
                )
            maps = maps_of_one_size(part.distance.name, x[name], y[name])
            found[name] = part.weight * part.distance.function(*maps)
        return found

    def formula(self) -> list[str]:
        """weight · distance (layer), and what each distance is."""
        lines = []
        for part in self.parts.values():
            layers = ", ".join(part.layers)
            unit = " of features of length 1" if part.term.normalize else ""
            where = f"hypercolumns of {layers}" if part.term.joined else layers
            role = f"  [{part.term.role}]" if "." in part.name or part.term.joined else ""
            lines.append(f"{part.weight:g} · {part.distance.name}{unit} ({where}){role}")
        distances = {part.distance.name: part.distance.formula for part in self.parts.values()}
        return lines + [f"with {name} = {formula}" for name, formula in distances.items()]


def hypercolumns(maps: Sequence[Float[Tensor, "n _ _ _"]]) -> Float[Tensor, "n c g g"]:
    """Features of all layers at the same places, a regular grid of 32 × 32 (STROTSS draws as many at random)."""
    knots = (torch.arange(_GRID, device=maps[0].device, dtype=torch.float32) + 0.5) / _GRID * 2 - 1
    grid = torch.stack(torch.meshgrid(knots, knots, indexing="xy"), 2)[None]
    columns = []
    for map_ in maps:
        map_ = map_.to(torch.promote_types(map_.dtype, torch.float32))
        places = grid.to(map_.dtype).expand(len(map_), -1, -1, -1)
        columns.append(F.grid_sample(map_, places, padding_mode="border", align_corners=False))
    return torch.cat(columns, 1)


@dataclass(frozen=True)
class Part:
    """One layer of a term, or all layers of a joined one."""

    name: str
    layers: tuple[str, ...]
    weight: float
    term: Term
    distance: Distance


def _parts(terms: Sequence[Term]) -> dict[str, Part]:
    """By name: the layer's, after the term's where there are several."""
    parts: dict[str, Part] = {}
    for index, term in enumerate(terms):
        earlier = sum(other.role == term.role for other in terms[:index])
        own = f"{term.role}{earlier + 1}" if earlier else term.role
        distance = get_distance(term.criterion)
        if term.joined:
            parts[own] = Part(own, tuple(term.layers), sum(term.layers.values()), term, distance)
            continue
        for layer, weight in term.layers.items():
            name = f"{own}.{layer}" if len(terms) > 1 else layer
            parts[name] = Part(name, (layer,), weight, term, distance)
    return parts


def _weights(layers: Layers) -> dict[str, float]:
    if isinstance(layers, Mapping):
        return dict(layers)
    return dict.fromkeys([layers] if isinstance(layers, str) else layers, 1.0)
