"""The perceptual loss: a weighted sum of distances between features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, WeightsError, argument, unknown
from vggapps.losses._distance import Measured, maps_of_one_size
from vggapps.losses._feature_loss import FeatureLoss
from vggapps.losses._pictures import Gradient, Range, Reduction, Size
from vggapps.losses._presets import PRESETS
from vggapps.losses._target import Target
from vggapps.losses._terms import Criterion, Layers, Term, hypercolumns, parts_of
from vggapps.vgg._names import as_names
from vggapps.weights._backbone import Backbone, load_network

_PRESET_OPTIONS = ("backbone", "reduction", "resize", "range", "checkpoint", "gradient")


class PerceptualLoss(FeatureLoss):
    """The distance between two pictures in the features of a frozen VGG.

    >>> from vggapps import load_vgg
    >>> loss = PerceptualLoss({"relu2_2": 1.0}, backbone=load_vgg("vgg16", None, head="none"))
    >>> x, y = torch.rand(2, 4, 3, 32, 32)
    >>> loss(x, y).shape, loss(y, loss.prepare(y)).item()
    (torch.Size([]), 0.0)

    Args:
        layers: of the content term: a name, names, or weights by name, ``conv`` before and ``relu`` after the
            nonlinearity; or the whole loss as a sequence of :class:`Term`.
        backbone: the name of a network or of weights, a record, or a loaded VGG. The default is the installed VGG-19.
        criterion: of the content term: ``l1`` (default), ``l2``, ``charbonnier``, ``huber``, ``cosine``, ``frobenius``
            or any other in ``DISTANCES``; or a function of two maps that returns one value per picture.
        style_layers: of the style term, like ``layers``; None for no style term.
        style_criterion: of the style term: ``gram-johnson`` (default), ``wasserstein``, ``sliced``...
        normalize_features: normalise the features of each position to length 1 before the content criterion.
        reduction: over the batch: ``mean``, ``sum``, or ``none`` for one value per picture.
        resize: shorter side of both pictures in pixels, or (height, width); None keeps their sizes.
        range: value range of the pictures: ``0..1``, ``-1..1`` or ``0..255``. Pictures in another range are detected.
        checkpoint: run the pictures of a batch through the network one by one, and again for the gradient.
        gradient: ``first``: the second picture is a constant target and must not require a gradient; ``both``: the
            gradient flows to both.

    Raises:
        SettingsError: an unknown name, an invalid weight or combination, or an option that would have no effect.
        WeightsError: the network's weights are not available.
    """

    def __init__(
        self,
        layers: Layers | Sequence[Term] = ("relu3_3",),
        *,
        backbone: Backbone = "vgg19",
        criterion: Criterion | None = None,
        style_layers: Layers | None = None,
        style_criterion: Criterion | None = None,
        normalize_features: bool = False,
        reduction: Reduction = "mean",
        resize: Size = None,
        range: Range = "0..1",
        checkpoint: bool = False,
        gradient: Gradient = "first",
    ) -> None:
        terms = _content(layers, criterion, normalize_features)
        style = Term(style_layers or (), "gram-johnson" if style_criterion is None else style_criterion, "style")
        if style_criterion is not None and not style.layers:
            raise SettingsError("style_criterion= needs style layers", "name them: style_layers=['relu1_1']")
        self.parts = parts_of([*terms, style] if style.layers else terms)
        if not self.parts:
            raise SettingsError("there is no layer to compare", "name one: layers='relu3_3'")
        names = [layer for part in self.parts.values() for layer in part.layers]
        super().__init__(
            load_network(backbone), names, range=range, reduction=reduction, resize=resize, checkpoint=checkpoint,
            gradient=gradient,
        )  # fmt: skip

    @classmethod
    def preset(cls, name: str, **options: object) -> Self:
        """A published loss by the name of its paper, see :data:`vggapps.losses.PRESETS`.

        Args:
            name: ``johnson``, ``gatys``, ``srgan``, ``esrgan``, ``real-esrgan``, ``pix2pixhd``, ``spade``,
                ``pconv-inpainting``, ``lama``, ``contextual`` or ``strotss``.
            options: ``backbone`` instead of the paper's network, and ``reduction``, ``resize``, ``range``,
                ``checkpoint`` and ``gradient`` as above. Layers, weights and criteria are the paper's.

        Raises:
            SettingsError: there is no such preset or option.
            WeightsError: the paper's network is not installed.
        """
        if name not in PRESETS:
            raise unknown("preset", name, PRESETS)
        preset = PRESETS[name]
        for option in options:
            if option not in _PRESET_OPTIONS:
                raise SettingsError(
                    f"a preset has no option {option}=: layers, weights and criteria are those of the paper",
                    f"its options are {', '.join(_PRESET_OPTIONS)}; for another loss change PRESETS['{name}'].terms",
                )
        chosen: Backbone | None = options.pop("backbone", None)  # type: ignore[assignment]
        try:
            backbone = load_network(preset.backbone if chosen is None else chosen)
        except WeightsError as error:
            if chosen is None:
                other = (
                    f"for values that differ from the paper's, use {argument('backbone', 'vgg19')}, which is installed"
                )
                raise WeightsError(error.message, f"{error.hint}; or, {other}") from None
            raise
        backbone = backbone.variant(pooling=preset.pooling, convention=preset.convention)
        return cls(preset.terms, backbone=backbone, **options)  # type: ignore[arg-type]

    def prepare(
        self,
        y: Float[Tensor, "n c h w"],
        *,
        mask: Tensor | None = None,
        style: Float[Tensor, "n c h2 w2"] | None = None,
        style_mask: Tensor | None = None,
    ) -> Target:
        """A constant target, computed once for many calls of ``loss(x, target)``.

        Args:
            y: target pictures.
            mask: weight of their positions, for distances of moments.
            style: other pictures, of any size, for the style terms.
            style_mask: weight of the positions of ``style``.

        Raises:
            SettingsError: there is no style term, or the number of style pictures is neither 1 nor that of ``y``.
        """
        content_target = super().prepare(y, mask=mask)
        if style is None:
            if style_mask is not None:
                raise SettingsError("style_mask= is given without a style picture", "pass both, or mask= alone")
            return content_target
        if all(part.term.role == "content" for part in self.parts.values()):
            raise SettingsError("this loss has no style term for that picture", "make it with style_layers=")
        style_target = super().prepare(style, mask=style_mask).for_pictures(len(content_target))
        targets = {
            name: style_target if part.term.role == "style" else content_target for name, part in self.parts.items()
        }
        measured = {name: target.measured[name] for name, target in targets.items()}
        masked = tuple(name for name, target in targets.items() if name in target.masked)
        return Target(measured, content_target.made_by, masked)

    def measure(self, features: Mapping[str, Tensor], masks: Callable[[Tensor], Tensor | None]) -> dict[str, Measured]:
        """Maps or moments of each layer."""
        measured: dict[str, Measured] = {}
        for name, part in self.parts.items():
            maps = [features[layer] for layer in part.layers]
            map_ = hypercolumns(maps) if part.term.joined else maps[0]
            mask = masks(map_)
            if mask is not None and (part.distance.of == "maps" or part.term.joined):
                raise SettingsError(
                    f"there is no masked form of {part.distance.name}", "use a criterion of positions or of moments"
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
            a, b = x[name], y[name]
            if part.distance.one_size:
                maps_of_one_size(part.distance.name, a, b)
            mask = masks(a) if isinstance(a, Tensor) else None
            parts[name] = part.weight * part.distance(a, b, mask)
        return parts

    def maps(self, x: Mapping[str, Measured], y: Mapping[str, Measured]) -> dict[str, Float[Tensor, "n h w"]]:
        """weight · distance at each position."""
        found = {}
        for name, part in self.parts.items():
            if part.distance.of != "positions":
                raise SettingsError(
                    f"{part.distance.name} compares whole pictures and has no map", "use a criterion such as l1"
                )
            maps = maps_of_one_size(part.distance.name, x[name], y[name])
            found[name] = part.weight * part.distance.function(*maps)
        return found

    def formula(self) -> list[str]:
        """weight · distance (layer), and the formula of each distance."""
        lines = []
        for part in self.parts.values():
            layers = ", ".join(part.layers)
            unit = " of features of length 1" if part.term.normalize else ""
            where = f"hypercolumns of {layers}" if part.term.joined else layers
            role = f"  [{part.term.role}]" if "." in part.name or part.term.joined else ""
            lines.append(f"{part.weight:g} · {part.distance.name}{unit} ({where}){role}")
        distances = {part.distance.name: part.distance.formula for part in self.parts.values()}
        return lines + [f"with {name} = {formula}" for name, formula in distances.items()]


def _content(layers: Layers | Term | Iterable[Term], criterion: Criterion | None, normalize: bool) -> list[Term]:
    """The given terms, or the content term of the given layers."""
    given = () if isinstance(layers, str | Mapping) else as_names(layers)  # type: ignore[arg-type]
    terms: list[Term] = [term for term in given if isinstance(term, Term)]
    if terms and len(terms) < len(given):
        raise SettingsError("layers are given both as terms and by name", "use a Term for each, or only names")
    term = Term(() if terms else given or layers, "l1" if criterion is None else criterion, "content", normalize)  # type: ignore[arg-type]
    if not term.layers and (criterion is not None or normalize):
        option = "normalize_features=True" if criterion is None else "criterion="
        if terms:
            raise SettingsError(
                f"{option} has no effect on terms, which have their own",
                "set it in the term: Term(layers, criterion, normalize=True)",
            )
        raise SettingsError(f"{option} is given without content layers", "name them: layers='relu3_3'")
    return terms or [term]
