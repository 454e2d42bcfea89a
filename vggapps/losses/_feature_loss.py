"""What all losses on a network's features share: pictures in, checked; the network, out of sight; targets; a mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from vggapps._ranges import Range, Watch, check_side
from vggapps.errors import SettingsError
from vggapps.losses._distance import Measured
from vggapps.losses._hidden import Hidden
from vggapps.losses._pictures import (
    Gradient,
    Size,
    carried,
    check_gradient,
    check_mask,
    check_name,
    check_pair,
    check_size,
    check_values,
    check_weights,
    scaled,
    standardize,
    wants_gradient,
)
from vggapps.losses._reduction import Reduction, check_reduction, reduced
from vggapps.losses._target import Target
from vggapps.losses._trunk import Network
from vggapps.vgg._derivatives import numbers, transformed
from vggapps.vgg._exact import without_autocast
from vggapps.vgg._moving import in_graph, kept

IMAGE = "image"  # among layers: the picture itself, RGB in [0, 1]


class FeatureLoss(nn.Module, ABC):
    """A distance of pictures in a frozen network's features.

    The network is not a submodule. So no optimiser gets its weights, no checkpoint stores them, ``train()`` does not
    reach it and ``DistributedDataParallel`` does not send it around. ``to`` and ``double`` move it, ``to_empty`` moves
    it with its weights, pickle stores it; ``copy.deepcopy`` shares it until one of the copies moves. A replica of
    ``DataParallel`` looks through a copy on its own device. Statistics are float32 at least, under autocast too.

    Args:
        network: the frozen network; channels-last from now on.
        layers: those looked at; ``image`` is the picture itself.
        range: what the pictures' numbers are in.
        reduction: of the pictures' losses: ``mean``, ``sum``, or ``none`` for one a picture.
        resize: both pictures' shorter side in pixels, the other in proportion, or (height, width).
        checkpoint: let the pictures of a batch through the network one by one, and again for the backward pass: a
            third more time, memory for one picture's activations only.
        gradient: which of two pictures may want one: ``first``, towards a constant target; or ``both``.
    """

    def __init__(
        self,
        network: Network,
        layers: Iterable[str],
        *,
        range: Range = "0..1",
        reduction: Reduction = "mean",
        resize: Size = None,
        checkpoint: bool = False,
        gradient: Gradient = "first",
    ) -> None:
        super().__init__()
        check_name(range)
        check_size(resize)
        check_reduction(reduction)
        check_gradient(gradient)
        self.layers = tuple(dict.fromkeys(layers))
        network.check(self._inner)
        self._hidden = Hidden.of(network)
        self.constants: dict[str, Tensor] = {}
        self.range, self.reduction, self.resize, self.checkpoint = range, reduction, resize, checkpoint
        self.gradient = gradient
        self.side = network.smallest_side(self._inner)
        self._watch = Watch()

    @property
    def network(self) -> Network:
        """The frozen network."""
        return self._hidden.network

    @property
    def _inner(self) -> tuple[str, ...]:
        return tuple(name for name in self.layers if name != IMAGE)

    def use(self, network: Network) -> Self:
        """Look through this network from now on, which has the same weights: one that others look through, too."""
        self._hidden = Hidden(network)
        return self

    # What a loss has to say for itself.

    @abstractmethod
    def measure(self, features: Mapping[str, Tensor], masks: Callable[[Tensor], Tensor | None]) -> dict[str, Measured]:
        """What of the features is compared, by part. ``masks`` gives the mask that fits a map, or None."""

    @abstractmethod
    def compare(
        self, x: Mapping[str, Measured], y: Mapping[str, Measured], masks: Callable[[Tensor], Tensor | None]
    ) -> dict[str, Float[Tensor, " n"]]:
        """The weighted loss of each part for each picture."""

    @abstractmethod
    def maps(self, x: Mapping[str, Measured], y: Mapping[str, Measured]) -> dict[str, Float[Tensor, "n h w"]]:
        """The weighted loss of each part at each position of its layer."""

    @abstractmethod
    def formula(self) -> list[str]:
        """The parts in words, a line each."""

    # What people call.

    def forward(
        self,
        x: Float[Tensor, "n c h w"],
        y: Float[Tensor, "n c h2 w2"] | Target,
        *,
        mask: Float[Tensor, "#n 1 h w"] | None = None,
        map: bool = False,
    ) -> Float[Tensor, "*n"]:
        """The loss of pictures towards their targets.

        The gradient goes to ``x``, with ``gradient="both"`` also to ``y``, where it is no prepared target.

        Args:
            x: RGB or grey pictures in the declared range.
            y: target pictures, or what :meth:`prepare` made of them; one prepared target serves all pictures.
            mask: how much each position counts, 0 or more; it is carried down to each layer.
            map: give each pixel its share, N × 1 × H × W, instead of a mean; its own mean is about the loss.

        Returns:
            A scalar; N numbers with ``reduction="none"``; or the map.

        Raises:
            SettingsError: pictures of a wrong range, shape, size, device or number; a second picture whose gradient
                would be lost; a mask forgotten at the target or at the picture. It says what to do.
        """
        if map:
            if mask is not None:
                raise SettingsError("a map has no use for a mask", "multiply the map by it")
            target, (image, _) = self.pair(x, y, None), self.look(x)
            return self.spread(self.features(image), target, x.shape[2:])
        parts = self._parts(x, y, mask)
        return reduced(torch.stack(list(parts.values())).sum(0), self.reduction)

    def breakdown(self, x: Tensor, y: Tensor | Target, *, mask: Tensor | None = None) -> dict[str, Float[Tensor, "*n"]]:
        """The loss by part, weighted and reduced: their sum is the loss."""
        return {name: reduced(value, self.reduction) for name, value in self._parts(x, y, mask).items()}

    def prepare(self, y: Float[Tensor, "n c h w"], *, mask: Tensor | None = None) -> Target:
        """A target measured once, for many calls of ``loss(x, target)``: a constant."""
        with torch.inference_mode(False), torch.no_grad():  # it may be kept for a training
            return self.measured(y, mask)

    def describe(self) -> str:
        """The exact formula."""
        how = {
            "mean": "mean over pictures of the sum of",
            "sum": "sum over pictures and of",
            "none": "by picture, sum of",
        }
        first = f"{type(self).__name__} on {self.network.title}, pictures in {self.range}"
        if self.resize is not None:
            first += f", resized to {self.resize}"
        return "\n".join([first, f"{how[self.reduction]}", *(f"  {line}" for line in self.formula())])

    # The way of a picture, in steps that a bundle takes, too.

    def look(
        self, image: Tensor, mask: Tensor | None = None, *, is_target: bool = False
    ) -> tuple[Float[Tensor, "n 3 h w"], Tensor | None]:
        """The picture, checked, as RGB in [0, 1] at the wanted size, and its mask."""
        standard = standardize(in_graph(image), self.range)
        device = next(self.network.parameters()).device
        if standard.device != device and getattr(self, "_is_replica", False):  # torch's mark of DataParallel's replicas
            self._hidden = self._hidden.beside(standard.device)
        elif standard.device != device:
            raise SettingsError(
                f"the picture is on {standard.device}, the loss on {device}",
                f"move one of them: loss.to('{standard.device}') or picture.to('{device}')",
            )
        mask = None if mask is None else check_mask(in_graph(mask), standard)
        self._check_numbers(image, mask, is_target)
        if self.resize is not None:
            standard = scaled(standard, self.resize)
            mask = None if mask is None else F.adaptive_avg_pool2d(mask, standard.shape[2:])  # type: ignore[arg-type]
        check_side(standard, self.side, "take a layer before, or give the loss resize=")
        return standard, mask

    def _check_numbers(self, image: Tensor, mask: Tensor | None, is_target: bool) -> None:
        if not self._watch.wants(numbers(image), is_target):
            return
        if mask is not None:
            check_weights(numbers(mask))
        if doubt := check_values(numbers(image), self.range, is_target=is_target):
            self._watch.warn(doubt)

    def features(
        self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str] | None = None
    ) -> dict[str, Float[Tensor, "n c h2 w2"]]:
        """The maps of this loss's layers, or of those given, in one pass."""
        wanted = self.layers if layers is None else tuple(layers)
        names = tuple(name for name in wanted if name != IMAGE)
        found = {IMAGE: image} if IMAGE in wanted else {}
        if not names:
            return found

        def run(pictures: Tensor) -> tuple[Tensor, ...]:
            with self._autocast(pictures.device.type):
                return tuple(map(self.network.features(pictures, names).__getitem__, names))

        if self.checkpoint and transformed(image):
            raise SettingsError("torch.func can't run a network again for the gradient", "take checkpoint=False")
        if self.checkpoint and torch.is_grad_enabled() and image.requires_grad and len(image) > 1:
            each = [recompute(run, picture, use_reentrant=False) for picture in image.split(1)]  # type: ignore[no-untyped-call]
            return found | {name: torch.cat(maps) for name, *maps in zip(names, *each, strict=True)}
        return found | dict(zip(names, run(image), strict=True))

    def _autocast(self, kind: str) -> AbstractContextManager[Any]:
        """Oxford's networks make numbers of up to some 20,000, a third of what float16 holds."""
        half = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16
        large = min(self.network.convention.std) < 0.1
        return torch.autocast(kind, torch.bfloat16) if half and large else nullcontext()

    def bind(self, features: Mapping[str, Tensor], mask: Tensor | None) -> Target:
        """What of the target's features is compared."""
        first = next(iter(features.values()))
        with without_autocast(first):
            measured = self.measure(features, carried(mask))
            return Target(measured, self._made(), () if mask is None else tuple(measured))

    def score(self, features: Mapping[str, Tensor], target: Target, mask: Tensor | None) -> dict[str, Tensor]:
        """The weighted loss of each part for each picture."""
        first = next(iter(features.values()))
        wanted = target.fitting(self._made(), first)
        wanted.check_mask(given=mask is not None)
        with without_autocast(first):
            return self.compare(self.measure(features, carried(mask)), wanted.measured, carried(mask))

    def _made(self) -> str:
        """What a target must have been made by: the same network, size and formula."""
        return "\n".join([self.network.title, f"size {self.resize}", *self.formula()])

    def pair(self, x: Tensor, y: Tensor | Target, mask: Tensor | None) -> Target:
        """The target of a call: prepared already, or now."""
        if isinstance(y, Target):
            return y
        check_pair(x, y, mask, self.gradient)
        return self.measured(y, mask)

    def measured(self, y: Tensor, mask: Tensor | None) -> Target:
        """The target as it is; where a gradient is wanted of it, or of its mask, with a graph."""
        learns = wants_gradient(y)
        image, mask = self.look(y, mask, is_target=not learns)
        with torch.set_grad_enabled(learns):
            features = self.features(image)
        return self.bind(features, mask)

    def _parts(self, x: Tensor, y: Tensor | Target, mask: Tensor | None) -> dict[str, Tensor]:
        target = self.pair(x, y, mask)
        image, mask = self.look(x, mask)
        return self.score(self.features(image), target, mask)

    def spread(self, features: Mapping[str, Tensor], target: Target, size: Sequence[int]) -> Float[Tensor, "n 1 h w"]:
        """The weighted loss at each pixel of pictures of that size."""
        first = next(iter(features.values()))
        wanted = target.fitting(self._made(), first)
        with without_autocast(first):
            maps = self.maps(self.measure(features, carried(None)), wanted.measured)
        whole = [F.interpolate(m[:, None], size, mode="bilinear", align_corners=False) for m in maps.values()]
        return torch.stack(whole).sum(0)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._hidden = self._hidden.moved(fn)
        for name, constant in self.constants.items():
            moved = kept(fn, constant)
            # Half precision is for convolutions; calibrated numbers stay what they are.
            self.constants[name] = constant.to(moved.device) if moved.dtype.itemsize < 4 else moved
        return self

    def extra_repr(self) -> str:
        return self.describe()
