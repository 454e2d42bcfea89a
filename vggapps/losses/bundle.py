"""Several losses from one pass, and one loss over several views of the pictures."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, unknown
from vggapps.losses.feature_loss import FeatureLoss
from vggapps.losses.pictures import check_pair
from vggapps.losses.target import Target
from vggapps.losses.trunk import Network


class Bundle(nn.Module):
    """A weighted sum of losses; those on the same network look through it together.

    Networks are the same if their weights, pooling and input convention are, also where each loss has loaded its own;
    only one of them is kept then. Losses with another range or ``resize`` get a pass of their own.

    Args:
        losses: by a name of your choice.
        weights: of some or all of them; 1 where none is given.
    """

    def __init__(self, losses: Mapping[str, FeatureLoss], weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        if not losses:
            raise SettingsError("there is no loss in the bundle", "give losses by name")
        for name, loss in losses.items():
            if not isinstance(loss, FeatureLoss):
                raise SettingsError(f"'{name}' is a {type(loss).__name__}", "bundle PerceptualLoss, LPIPS and DISTS")
        for name in weights or {}:
            if name not in losses:
                raise unknown("loss", name, losses)
        self.losses = nn.ModuleDict(losses)
        self.weights = {name: (weights or {}).get(name, 1.0) for name in losses}
        self._groups: list[list[str]] = []
        for name, loss in losses.items():
            group = next((names for names in self._groups if _look_alike(loss, losses[names[0]])), [])
            if group:
                loss.use(losses[group[0]].network)
            else:
                self._groups.append(group)
            group.append(name)

    def forward(
        self, x: Tensor, y: Tensor | Mapping[str, Target], *, mask: Tensor | None = None
    ) -> Float[Tensor, "*n"]:
        """Σ weight · loss, for pictures and targets, or what :meth:`prepare` made of these."""
        return torch.stack(list(self.breakdown(x, y, mask=mask).values())).sum(0)

    def breakdown(
        self, x: Tensor, y: Tensor | Mapping[str, Target], *, mask: Tensor | None = None
    ) -> dict[str, Float[Tensor, "*n"]]:
        """weight · loss, by name."""
        if not isinstance(y, Mapping):
            check_pair(x, y, mask)
        targets = y if isinstance(y, Mapping) else self.prepare(y, mask=mask)
        found: dict[str, Tensor] = {}
        for names in self._groups:
            image, small = self._loss(names[0]).look(x, mask)
            features = self._together(names, image)
            for name in names:
                loss = self._loss(name)
                parts = loss.score(features, targets[name], small)
                found[name] = self.weights[name] * loss.reduced(torch.stack(list(parts.values())).sum(0))
        return {name: found[name] for name in self.weights}

    def prepare(self, y: Float[Tensor, "n c h w"], *, mask: Tensor | None = None) -> dict[str, Target]:
        """Targets measured once, by name of the loss."""
        found: dict[str, Target] = {}
        with torch.inference_mode(False), torch.no_grad():  # they may be kept for a training
            for names in self._groups:
                image, small = self._loss(names[0]).look(y, mask, is_target=True)
                features = self._together(names, image)
                found |= {name: self._loss(name).bind(features, small) for name in names}
        return found

    def _loss(self, name: str) -> FeatureLoss:
        loss = self.losses[name]
        assert isinstance(loss, FeatureLoss)
        return loss

    def _together(self, names: list[str], image: Tensor) -> dict[str, Tensor]:
        layers = dict.fromkeys(layer for name in names for layer in self._loss(name).layers)
        return self._loss(names[0]).features(image, layers)


class ShiftEnsemble(nn.Module):
    """A loss averaged over shifted and mirrored views of both pictures, against the grid that strides leave.

    Trained on, or measured with, the mean of several views is steadier than one: a shift of a pixel changes what a
    pooling sees. (Kettunen 2019, E-LPIPS, goes further: colours, sizes, dropout.)

    Args:
        loss: any loss of two pictures.
        shift: up to so many pixels are cut off each side.
        views: how many are averaged.
        flip: mirror half of them.
        generator: for the views; torch's own by default.
    """

    def __init__(
        self,
        loss: nn.Module,
        *,
        shift: int = 7,
        views: int = 4,
        flip: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if shift < 0 or views < 1:
            raise SettingsError(f"shift is {shift} and views is {views}", "take at least 0 and 1")
        self.loss, self.shift, self.views, self.flip, self.generator = loss, shift, views, flip, generator

    @property
    def reduction(self) -> str:
        """The loss's own, ``mean`` where it says nothing of it."""
        return getattr(self.loss, "reduction", "mean")

    def forward(self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, "*n"]:
        """The mean over the views; pictures of one size."""
        check_pair(x, y)
        if x.shape[2:] != y.shape[2:] or min(x.shape[2:]) <= self.shift:
            raise SettingsError("the pictures can't be cut alike", f"give both of one size, over {self.shift} pixels")
        return torch.stack([self.loss(*self._view(x, y)) for _ in range(self.views)]).mean(0)

    def _view(self, *images: Tensor) -> tuple[Tensor, ...]:
        top, left, mirror = torch.randint(0, 2**31, (3,), generator=self.generator).tolist()
        top, left = top % (self.shift + 1), left % (self.shift + 1)
        height, width = (side - self.shift for side in images[0].shape[2:])
        views = tuple(image[:, :, top : top + height, left : left + width] for image in images)
        return tuple(view.flip(3) for view in views) if self.flip and mirror % 2 else views


def _look_alike(a: FeatureLoss, b: FeatureLoss) -> bool:
    """Whether both see the same picture in the same way."""
    if (a.range, str(a.resize), a.checkpoint) != (b.range, str(b.resize), b.checkpoint):
        return False
    return a.network is b.network or _equal(a.network, b.network)


def _equal(a: Network, b: Network) -> bool:
    """Whether two networks compute the same: layers, as torch prints them, input and weights, number for number."""
    if repr(a) != repr(b) or a.convention != b.convention:
        return False
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(p.dtype == q.dtype and p.device == q.device and torch.equal(p, q) for p, q in pairs)
