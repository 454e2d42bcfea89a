"""Several losses as one: features from one pass, comparisons of pixels, terms of the output alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, unknown
from vggapps.losses._bundle_target import BundleTarget
from vggapps.losses._feature_loss import FeatureLoss
from vggapps.losses._pictures import check_mask, check_pair, wants_gradient
from vggapps.losses._reduction import Reduction, reduced
from vggapps.losses._target import Target
from vggapps.losses._terms import Regularizer, name_of, takes_mask, term
from vggapps.losses._trunk import equal
from vggapps.losses._weights import check_weight

Schedule = Callable[[int], float]  # from the step of a training to a weight
Targets = BundleTarget | Mapping[str, Target]
Masks = Tensor | Mapping[str, Tensor]

_PICTURE = "a comparison of pictures"  # what the targets of pixel terms are made by


class Bundle(nn.Module):
    """A weighted sum of losses; those on the same network look through it together.

    Networks are the same if their weights, pooling and input convention are, also where each loss has loaded its own;
    only one of them is kept then. Losses with another range, ``resize`` or ``gradient`` get a pass of their own.

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
        losses: by a name of your choice: losses of features; functions or modules of output and target, such as
            ``nn.L1Loss()``, which get the pictures as they are; and :class:`~vggapps.losses.Regularizer` for
            terms of the output alone. What gives one number a picture is reduced as the losses of features are, by the
            mean where there are none; one number counts as it is.
        weights: of some or all of them; 1 where none is given. A function of the step is a schedule: nothing of it is
            stored, the training says the step at each call.

    Raises:
        SettingsError: no losses, or what can't be one; a wrong name or weight; losses of features that are reduced in
            different ways.
    """

    def __init__(
        self,
        losses: Mapping[str, nn.Module | Callable[..., Tensor]],
        weights: Mapping[str, float | Schedule] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(losses, Mapping) or not losses:
            raise SettingsError("there is no loss in the bundle", "give losses by name: {'style': loss}")
        for name in weights or {}:
            if name not in losses:
                raise unknown("loss", name, losses)
        self.losses = nn.ModuleDict()
        for name, loss in losses.items():
            try:
                self.losses[name] = term(name, loss)
            except (KeyError, TypeError) as error:  # what torch refuses as a module's name
                raise SettingsError(f"a loss can't be named {name!r}: {error}", "choose another name") from None
        self.weights = {name: _weight(name, (weights or {}).get(name, 1.0)) for name in losses}
        self._takes_mask = {name for name, loss in self.losses.items() if takes_mask(loss)}
        self._groups: list[list[str]] = []
        self._compared = [name for name, loss in self.losses.items() if not isinstance(loss, FeatureLoss | Regularizer)]
        reductions: dict[Reduction, str] = {}
        for name, loss in self.losses.items():
            if not isinstance(loss, FeatureLoss):
                continue
            reductions.setdefault(loss.reduction, name)
            group = next((names for names in self._groups if _look_alike(loss, self._loss(names[0]))), [])
            if group:
                loss.use(self._loss(group[0]).network)
            else:
                self._groups.append(group)
            group.append(name)
        if len(reductions) > 1:
            listed = " and ".join(f"'{name}' by {how!r}" for how, name in reductions.items())
            raise SettingsError(f"the losses are reduced in different ways: {listed}", "give all the same reduction=")
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
            y: target pictures, or what :meth:`prepare` made of them.
            mask: how much each position counts, for all losses but regularizers, which look at the whole picture; or
                masks by name, for the losses that are to have one.
            map: give each pixel its share, N × 1 × H × W, where all losses have a map.
            step: of the training, where a weight is a schedule.

        Raises:
            SettingsError: as of each loss; a target or a mask for a loss that is not there, or has no use for it; a
                schedule without a step.
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
            image, small = self._look(names, x, masks)
            features = self._together(names, image)
            for name in names:
                parts = self._loss(name).score(features, targets[name], small[name])
                found[name] = reduced(torch.stack(list(parts.values())).sum(0), self.reduction)
        for name, other in self.losses.items():
            if name in self._compared:
                target = targets[name].fitting(_PICTURE, x)
                given = {"mask": masks[name]} if name in masks else {}
                target.check_mask(given=bool(given))
                found[name] = self._reduced(name, other(x, target.measured["picture"], **given), len(x))
            elif isinstance(other, Regularizer):
                found[name] = self._reduced(name, other(x), len(x))
        return {name: weight * found[name] for name, weight in weights.items()}

    def prepare(self, y: Float[Tensor, "n c h w"], *, mask: Masks | None = None) -> BundleTarget:
        """Targets measured once: constants. Where pixels are compared, the pictures themselves are kept."""
        with torch.inference_mode(False), torch.no_grad():  # they may be kept for a training
            return self._measured(y, self._masks(mask, y)).each(Tensor.detach)

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

    # What is given, checked.

    def _weights_at(self, step: int | None) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, weight in self.weights.items():
            if callable(weight):
                if step is None:
                    raise SettingsError(f"the weight of '{name}' is a schedule", "say where the training is: step=step")
                weight = weight(step)
                weight = weight if torch.compiler.is_compiling() else check_weight(name, weight)
            found[name] = weight
        return found

    def _masks(self, mask: Masks | None, image: Tensor) -> dict[str, Tensor]:
        """By name of the loss."""
        if mask is None:
            return {}
        named = isinstance(mask, Mapping)
        wanted = mask if isinstance(mask, Mapping) else dict.fromkeys(self._names(), mask)
        for name in wanted:
            if name not in self.losses:
                raise unknown("loss", name, self.losses)
            if name not in self._takes_mask:
                raise SettingsError(
                    f"'{name}' takes no mask",
                    "leave it out of mask=" if named else "name the losses that are to have it: mask={'style': mask}",
                )
        return {name: check_mask(own, image) if name in self._compared else own for name, own in wanted.items()}

    def _names(self) -> list[str]:
        """Of what has a target."""
        return [name for name, loss in self.losses.items() if not isinstance(loss, Regularizer)]

    def _targets(self, x: Tensor, y: Tensor | Targets, masks: Mapping[str, Tensor]) -> Mapping[str, Target]:
        if isinstance(y, Target):
            raise SettingsError("this target was prepared by one loss", "prepare it with the bundle: bundle.prepare(y)")
        if isinstance(y, BundleTarget | Mapping):
            targets = y.targets if isinstance(y, BundleTarget) else y
            for name in targets:
                if name not in self._names():
                    raise unknown("loss with a target", name, self._names())
            if missing := [name for name in self._names() if not isinstance(targets.get(name), Target)]:
                raise SettingsError(f"there is no target for '{missing[0]}'", "prepare all of them: bundle.prepare(y)")
            return targets
        gradients = [self._loss(names[0]).gradient for names in self._groups]
        for mask in masks.values() or [None]:
            check_pair(x, y, mask, "first" if "first" in gradients else "both")
        return self._measured(y, masks).targets

    # What is done with it.

    def _measured(self, y: Tensor, masks: Mapping[str, Tensor]) -> BundleTarget:
        """With a graph where a loss gives a gradient to both pictures."""
        found: dict[str, Target] = {}
        learns = wants_gradient(y)
        for names in self._groups:
            image, small = self._look(names, y, masks, is_target=not learns)
            with torch.set_grad_enabled(learns):
                features = self._together(names, image)
            found |= {name: self._loss(name).bind(features, small[name]) for name in names}
        for name in self._compared:
            found[name] = Target({"picture": y}, _PICTURE, ("picture",) if name in masks else ())
        return BundleTarget(found)

    def _loss(self, name: str) -> FeatureLoss:
        loss = self.losses[name]
        assert isinstance(loss, FeatureLoss)
        return loss

    def _look(
        self, names: Iterable[str], image: Tensor, masks: Mapping[str, Tensor], *, is_target: bool = False
    ) -> tuple[Tensor, dict[str, Tensor | None]]:
        """The picture as losses of one group take it, and each one's mask."""
        looks: list[tuple[Tensor | None, Tensor, Tensor | None]] = []
        small: dict[str, Tensor | None] = {}
        for name in names:
            mask = masks.get(name)
            if not any(mask is other for other, *_ in looks):
                looks.append((mask, *self._loss(name).look(image, mask, is_target=is_target)))
            small[name] = next(own for other, _, own in looks if other is mask)
        return looks[0][1], small

    def _together(self, names: list[str], image: Tensor) -> dict[str, Tensor]:
        layers = dict.fromkeys(layer for name in names for layer in self._loss(name).layers)
        return self._loss(names[0]).features(image, layers)

    def _reduced(self, name: str, value: Tensor, count: int) -> Tensor:
        if value.dim() and value.numel() == count:
            return reduced(value.reshape(count), self.reduction)
        if value.dim() or self.reduction == "none":
            raise SettingsError(
                f"'{name}' gives numbers of shape {tuple(value.shape)} for {count} pictures",
                "let it give one number a picture, or give the losses reduction='mean' for one number of all",
            )
        return value

    def _map(
        self, x: Tensor, y: Tensor | Targets, mask: Masks | None, weights: Mapping[str, float]
    ) -> Float[Tensor, "n 1 h w"]:
        if mask is not None:
            raise SettingsError("a map has no use for a mask", "multiply the map by it")
        for name, loss in self.losses.items():
            if not isinstance(loss, FeatureLoss):
                raise SettingsError(f"'{name}' has no map", "bundle those that have one")
        targets = self._targets(x, y, {})
        found = []
        for names in self._groups:
            image, _ = self._look(names, x, {})
            features = self._together(names, image)
            maps = {name: self._loss(name).spread(features, targets[name], x.shape[2:]) for name in names}
            found += [weights[name] * map_ for name, map_ in maps.items()]
        return torch.stack(found).sum(0)


def _weight(name: str, weight: object) -> float | Schedule:
    return weight if callable(weight) else check_weight(name, weight)


def _look_alike(a: FeatureLoss, b: FeatureLoss) -> bool:
    """Whether both see the same picture in the same way."""
    if any(str(getattr(a, key)) != str(getattr(b, key)) for key in ("range", "resize", "checkpoint", "gradient")):
        return False
    return equal(a.network, b.network)
