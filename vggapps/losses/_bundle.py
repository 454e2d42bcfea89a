"""A weighted sum of losses: of features from shared forward passes, of pixels, and of the output alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, unknown
from vggapps.losses._bundle_target import BundleTarget
from vggapps.losses._bundle_terms import Regularizer, as_module, name_of, takes_mask
from vggapps.losses._feature_loss import FeatureLoss
from vggapps.losses._pictures import Reduction, check_mask, check_pair, reduce, wants_gradient
from vggapps.losses._target import Target
from vggapps.losses._terms import check_weight
from vggapps.losses._trunk import equal

Schedule = Callable[[int], float]  # from a training step to a weight
Targets = BundleTarget | Mapping[str, Target]
Masks = Tensor | Mapping[str, Tensor]

_PICTURE = "a comparison of pictures"  # the signature of targets of pixel losses


class Bundle(nn.Module):
    """A weighted sum of losses; those on the same network share one forward pass.

    Networks are the same if their weights, pooling and input convention are equal, even if each loss loaded its own;
    only one of them is kept. Losses with a different range, ``resize`` or ``gradient`` get a separate pass.

    >>> from functools import partial
    >>> from vggapps.losses import PerceptualLoss, Regularizer, functional
    >>> bundle = Bundle(
    ...     {
    ...         "features": PerceptualLoss("relu2_2"),
    ...         "pixels": nn.L1Loss(),
    ...         "smooth": Regularizer(partial(functional.total_variation, kind="l1")),
    ...     },
    ...     weights={"features": lambda step: min(step / 1000, 1.0), "smooth": 0.1},
    ... )
    >>> x, y = torch.rand(2, 4, 3, 32, 32)
    >>> list(bundle.breakdown(x, y, step=500))
    ['features', 'pixels', 'smooth']

    Args:
        losses: by name: feature losses; functions or modules of output and target, such as ``nn.L1Loss()``, which get
            the pictures unchanged; and :class:`~vggapps.losses.Regularizer` for terms of the output alone. One value
            per picture is reduced as the feature losses are, by default by the mean; a scalar is used as it is.
        weights: by name, 1 by default. A function of the step is a schedule; pass ``step=`` at each call.

    Raises:
        SettingsError: no losses, or one of a wrong type; a wrong name or weight; feature losses with different
            reductions.
    """

    def __init__(
        self,
        losses: Mapping[str, nn.Module | Callable[..., Tensor]],
        weights: Mapping[str, float | Schedule] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(losses, Mapping) or not losses:
            raise SettingsError("there is no loss in the bundle", "pass losses by name: {'style': loss}")
        for name in weights or {}:
            if name not in losses:
                raise unknown("loss", name, losses)
        self.losses = nn.ModuleDict()
        for name, loss in losses.items():
            try:
                self.losses[name] = as_module(name, loss)
            except (KeyError, TypeError) as error:  # torch refuses the name of a module
                raise SettingsError(f"a loss can't be named {name!r}: {error}", "choose another name") from None
        self.weights: dict[str, float | Schedule] = {}
        for name in losses:
            weight = (weights or {}).get(name, 1.0)
            self.weights[name] = weight if callable(weight) else check_weight(name, weight)
        self._takes_mask = {name for name, loss in self.losses.items() if takes_mask(loss)}
        self._groups: list[list[str]] = []
        self._pixel_losses = [
            name for name, loss in self.losses.items() if not isinstance(loss, FeatureLoss | Regularizer)
        ]
        reductions: dict[Reduction, str] = {}
        for name, loss in self.losses.items():
            if not isinstance(loss, FeatureLoss):
                continue
            reductions.setdefault(loss.reduction, name)
            group = next((names for names in self._groups if _same_input(loss, self._loss(names[0]))), [])
            if group:
                loss.use_network(self._loss(group[0]).network)
            else:
                self._groups.append(group)
            group.append(name)
        if len(reductions) > 1:
            listed = " and ".join(f"'{name}' by {how!r}" for how, name in reductions.items())
            raise SettingsError(f"the losses have different reductions: {listed}", "give all the same reduction=")
        self.reduction: Reduction = next(iter(reductions), "mean")

    def forward(
        self,
        x: Float[Tensor, "n c h w"],
        y: Float[Tensor, "n c h2 w2"] | Targets,
        *,
        mask: Masks | None = None,
        map: bool = False,
        step: int | None = None,
    ) -> Float[Tensor, "*n"]:
        """Σ weight · loss.

        Args:
            x: pictures, in the range that the losses declare.
            y: target pictures, or the result of :meth:`prepare`.
            mask: weight of each position, for all losses but regularizers; or masks by the names of losses.
            map: return the loss of each pixel, N × 1 × H × W, if all losses have a map.
            step: the training step, required by schedules.

        Raises:
            SettingsError: as each loss; a target or a mask for an unknown loss, or for one that takes none; a schedule
                without a step.
        """
        if map:
            return self._map(x, y, mask, self._weights_at(step))
        return torch.stack(list(self.breakdown(x, y, mask=mask, step=step).values())).sum(0)

    def breakdown(
        self, x: Tensor, y: Tensor | Targets, *, mask: Masks | None = None, step: int | None = None
    ) -> dict[str, Float[Tensor, "*n"]]:
        """weight · loss, by name."""
        weights, masks = self._weights_at(step), self._masks(mask, x)
        targets = self._targets(x, y, masks)
        found: dict[str, Tensor] = {}
        for names in self._groups:
            image, small_masks = self._preprocess(names, x, masks)
            features = self._features(names, image)
            for name in names:
                parts = self._loss(name).score(features, targets[name], small_masks[name])
                found[name] = reduce(torch.stack(list(parts.values())).sum(0), self.reduction)
        for name, other in self.losses.items():
            if name in self._pixel_losses:
                target = targets[name].checked_for(_PICTURE, x)
                given = {"mask": masks[name]} if name in masks else {}
                target.check_mask(given=bool(given))
                found[name] = self._reduced(name, other(x, target.measured["picture"], **given), len(x))
            elif isinstance(other, Regularizer):
                found[name] = self._reduced(name, other(x), len(x))
        return {name: weight * found[name] for name, weight in weights.items()}

    def prepare(self, y: Float[Tensor, "n c h w"], *, mask: Masks | None = None) -> BundleTarget:
        """Constant targets, computed once. For pixel losses they hold the pictures themselves."""
        with torch.inference_mode(False), torch.no_grad():  # so that they can be used in training
            return self._make_targets(y, self._masks(mask, y)).map(Tensor.detach)

    def describe(self) -> str:
        """The exact formula."""
        lines = ["Bundle, the sum of"]
        for name, weight in self.weights.items():
            loss = self.losses[name]
            times = f"{name_of(weight)}(step)" if callable(weight) else f"{weight:g}"
            first, *rest = loss.describe().splitlines() if isinstance(loss, FeatureLoss) else [name_of(loss)]
            what = f"{first} of the output" if isinstance(loss, Regularizer) else first
            lines += [f"  {times} · {name}: {what}", *(f"    {line}" for line in rest)]
        return "\n".join(lines)

    def _weights_at(self, step: int | None) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, weight in self.weights.items():
            if callable(weight):
                if step is None:
                    raise SettingsError(f"the weight of '{name}' is a schedule", "pass the training step: step=step")
                weight = weight(step)
                weight = weight if torch.compiler.is_compiling() else check_weight(name, weight)
            found[name] = weight
        return found

    def _masks(self, mask: Masks | None, image: Tensor) -> dict[str, Tensor]:
        """The masks by name of the loss."""
        if mask is None:
            return {}
        masks = mask if isinstance(mask, Mapping) else dict.fromkeys(self._with_target(), mask)
        for name in masks:
            if name not in self.losses:
                raise unknown("loss", name, self.losses)
            if name not in self._takes_mask:
                raise SettingsError(
                    f"'{name}' takes no mask",
                    "leave it out of mask=" if masks is mask else "name the losses to mask: mask={'style': mask}",
                )
        return {name: check_mask(m, image) if name in self._pixel_losses else m for name, m in masks.items()}

    def _with_target(self) -> list[str]:
        """Names of the losses that have a target."""
        return [name for name, loss in self.losses.items() if not isinstance(loss, Regularizer)]

    def _targets(self, x: Tensor, y: Tensor | Targets, masks: Mapping[str, Tensor]) -> Mapping[str, Target]:
        if isinstance(y, Target):
            raise SettingsError("this target was prepared by a single loss", "use bundle.prepare(y)")
        if isinstance(y, BundleTarget | Mapping):
            targets = y.targets if isinstance(y, BundleTarget) else y
            for name in targets:
                if name not in self._with_target():
                    raise unknown("loss with a target", name, self._with_target())
            if missing := [name for name in self._with_target() if not isinstance(targets.get(name), Target)]:
                raise SettingsError(f"there is no target for '{missing[0]}'", "prepare all targets: bundle.prepare(y)")
            return targets
        gradients = [self._loss(names[0]).gradient for names in self._groups]
        for mask in masks.values() or [None]:
            check_pair(x, y, mask, "first" if "first" in gradients else "both")
        return self._make_targets(y, masks).targets

    def _make_targets(self, y: Tensor, masks: Mapping[str, Tensor]) -> BundleTarget:
        """The targets, with a graph if the pictures require a gradient."""
        found: dict[str, Target] = {}
        needs_graph = wants_gradient(y)
        for names in self._groups:
            image, small_masks = self._preprocess(names, y, masks, is_target=not needs_graph)
            with torch.set_grad_enabled(needs_graph):
                features = self._features(names, image)
            found |= {name: self._loss(name).target_from(features, small_masks[name]) for name in names}
        for name in self._pixel_losses:
            found[name] = Target({"picture": y}, _PICTURE, ("picture",) if name in masks else ())
        return BundleTarget(found)

    def _loss(self, name: str) -> FeatureLoss:
        loss = self.losses[name]
        assert isinstance(loss, FeatureLoss)
        return loss

    def _preprocess(
        self, names: Iterable[str], image: Tensor, masks: Mapping[str, Tensor], *, is_target: bool = False
    ) -> tuple[Tensor, dict[str, Tensor | None]]:
        """The preprocessed picture of a group, and the mask of each of its losses; equal masks are processed once."""
        done: list[tuple[Tensor | None, Tensor, Tensor | None]] = []
        small_masks: dict[str, Tensor | None] = {}
        for name in names:
            mask = masks.get(name)
            if not any(mask is other for other, *_ in done):
                done.append((mask, *self._loss(name).preprocess(image, mask, is_target=is_target)))
            small_masks[name] = next(small for other, _, small in done if other is mask)
        return done[0][1], small_masks

    def _features(self, names: list[str], image: Tensor) -> dict[str, Tensor]:
        layers = dict.fromkeys(layer for name in names for layer in self._loss(name).layers)
        return self._loss(names[0]).features(image, layers)

    def _reduced(self, name: str, value: Tensor, count: int) -> Tensor:
        if value.dim() and value.numel() == count:
            return reduce(value.reshape(count), self.reduction)
        if value.dim() or self.reduction == "none":
            raise SettingsError(
                f"'{name}' gives values of shape {tuple(value.shape)} for {count} pictures",
                "return one value per picture, or make the losses with reduction='mean' for a scalar",
            )
        return value

    def _map(
        self, x: Tensor, y: Tensor | Targets, mask: Masks | None, weights: Mapping[str, float]
    ) -> Float[Tensor, "n 1 h w"]:
        if mask is not None:
            raise SettingsError("a map takes no mask", "multiply the map by the mask")
        for name, loss in self.losses.items():
            if not isinstance(loss, FeatureLoss):
                raise SettingsError(f"'{name}' has no map", "use a bundle of losses that have one")
        targets = self._targets(x, y, {})
        found = []
        for names in self._groups:
            image, _ = self._preprocess(names, x, {})
            features = self._features(names, image)
            maps = {name: self._loss(name).loss_map(features, targets[name], x.shape[2:]) for name in names}
            found += [weights[name] * map_ for name, map_ in maps.items()]
        return torch.stack(found).sum(0)


def _same_input(a: FeatureLoss, b: FeatureLoss) -> bool:
    """Whether both compute the same features of a picture."""
    if any(str(getattr(a, key)) != str(getattr(b, key)) for key in ("range", "resize", "checkpoint", "gradient")):
        return False
    return equal(a.network, b.network)
