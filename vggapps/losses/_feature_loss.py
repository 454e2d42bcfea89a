"""The base class of losses on network features: input checks, the frozen network, prepared targets, reduction."""

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
from vggapps.losses._frozen import FrozenNetwork
from vggapps.losses._pictures import (
    Gradient,
    Reduction,
    Size,
    check_choice,
    check_mask,
    check_pair,
    check_size,
    check_values,
    check_weights,
    mask_resizer,
    reduce,
    resized,
    standardize,
    wants_gradient,
)
from vggapps.losses._target import Target
from vggapps.losses._trunk import Network
from vggapps.vgg._derivatives import is_transformed, unwrapped
from vggapps.vgg._exact import without_autocast
from vggapps.vgg._moving import as_normal_tensor, moved_tensor

IMAGE = "image"  # the layer name of the picture itself, RGB in [0, 1]


class FeatureLoss(nn.Module, ABC):
    """A distance between pictures in the features of a frozen network.

    The network is not a submodule: optimizers do not get its weights, checkpoints do not store them, ``train()`` does
    not change it and ``DistributedDataParallel`` does not broadcast it. ``to`` and ``double`` move it, ``to_empty``
    moves it with its weights, pickle stores it; ``copy.deepcopy`` shares it until one of the copies moves. A replica of
    ``DataParallel`` uses a copy on its own device. Statistics are at least float32, also under autocast.

    Args:
        network: the frozen network; it is converted to channels-last.
        layers: the layers to compare; ``image`` is the picture itself.
        range: value range of the pictures.
        reduction: over the batch: ``mean``, ``sum``, or ``none`` for one value per picture.
        resize: shorter side of both pictures in pixels (the aspect ratio is kept), or (height, width).
        checkpoint: run the pictures of a batch through the network one by one, and again for the backward pass: a
            third more time, memory for the activations of one picture only.
        gradient: which pictures may require a gradient: ``first``, towards a constant target; or ``both``.
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
        check_choice("range of pictures", range, Range)
        check_size(resize)
        check_choice("reduction", reduction, Reduction)
        check_choice("gradient", gradient, Gradient)
        self.layers = tuple(dict.fromkeys(layers))
        network.check(self._network_layers)
        self._frozen = FrozenNetwork.of(network)
        self.constants: dict[str, Tensor] = {}
        self.range, self.reduction, self.resize, self.checkpoint = range, reduction, resize, checkpoint
        self.gradient = gradient
        self.side = network.smallest_side(self._network_layers)
        self._watch = Watch()

    @property
    def network(self) -> Network:
        """The frozen network."""
        return self._frozen.network

    @property
    def _network_layers(self) -> tuple[str, ...]:
        return tuple(name for name in self.layers if name != IMAGE)

    def use_network(self, network: Network) -> Self:
        """Share a network of equal weights with other losses."""
        self._frozen = FrozenNetwork(network)
        return self

    # What a subclass defines.

    @abstractmethod
    def measure(self, features: Mapping[str, Tensor], masks: Callable[[Tensor], Tensor | None]) -> dict[str, Measured]:
        """What is compared, by part. ``masks`` gives the mask at the size of a feature map, or None."""

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
        """The parts in words, one line each."""

    # The public methods.

    def forward(
        self,
        x: Float[Tensor, "n c h w"],
        y: Float[Tensor, "n c h2 w2"] | Target,
        *,
        mask: Float[Tensor, "#n 1 h w"] | None = None,
        map: bool = False,
    ) -> Float[Tensor, "*n"]:
        """The loss between pictures and their targets.

        The gradient flows to ``x``, and with ``gradient="both"`` also to ``y`` unless it is a prepared target.

        Args:
            x: RGB or grey pictures in the declared range.
            y: target pictures, or the result of :meth:`prepare`; one prepared target serves all pictures.
            mask: weight of each position, 0 or more; it is resized to each layer.
            map: return the loss of each pixel, N × 1 × H × W, instead of the mean; the map's mean is about the loss.

        Returns:
            A scalar; N values with ``reduction="none"``; or the map.

        Raises:
            SettingsError: pictures of a wrong range, shape, size, device or number; a second picture whose gradient
                would be lost; a mask given for only one of target and picture.
        """
        if map:
            if mask is not None:
                raise SettingsError("a map takes no mask", "multiply the map by the mask")
            target, (image, _) = self.target_for(x, y, None), self.preprocess(x)
            return self.loss_map(self.features(image), target, x.shape[2:])
        parts = self._parts(x, y, mask)
        return reduce(torch.stack(list(parts.values())).sum(0), self.reduction)

    def breakdown(self, x: Tensor, y: Tensor | Target, *, mask: Tensor | None = None) -> dict[str, Float[Tensor, "*n"]]:
        """The loss of each part, weighted and reduced; they add up to the loss."""
        return {name: reduce(value, self.reduction) for name, value in self._parts(x, y, mask).items()}

    def prepare(self, y: Float[Tensor, "n c h w"], *, mask: Tensor | None = None) -> Target:
        """A constant target, computed once for many calls of ``loss(x, target)``."""
        with torch.inference_mode(False), torch.no_grad():  # so that it can be used in training
            return self.make_target(y, mask)

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

    # The steps of a call, which a bundle also uses.

    def preprocess(
        self, image: Tensor, mask: Tensor | None = None, *, is_target: bool = False
    ) -> tuple[Float[Tensor, "n 3 h w"], Tensor | None]:
        """The checked picture as RGB in [0, 1], resized, and its mask."""
        standard = standardize(as_normal_tensor(image), self.range)
        device = next(self.network.parameters()).device
        if standard.device != device and getattr(self, "_is_replica", False):  # torch's mark of DataParallel's replicas
            self._frozen = self._frozen.beside(standard.device)
        elif standard.device != device:
            raise SettingsError(
                f"the picture is on {standard.device}, the loss on {device}",
                f"move one of them: loss.to('{standard.device}') or picture.to('{device}')",
            )
        mask = None if mask is None else check_mask(as_normal_tensor(mask), standard)
        self._check_numbers(image, mask, is_target)
        if self.resize is not None:
            standard = resized(standard, self.resize)
            mask = None if mask is None else F.adaptive_avg_pool2d(mask, standard.shape[2:])  # type: ignore[arg-type]
        check_side(standard, self.side, "use an earlier layer, or give the loss resize=")
        return standard, mask

    def _check_numbers(self, image: Tensor, mask: Tensor | None, is_target: bool) -> None:
        if not self._watch.wants(unwrapped(image), is_target):
            return
        if mask is not None:
            check_weights(unwrapped(mask))
        if doubt := check_values(unwrapped(image), self.range, is_target=is_target):
            self._watch.warn(doubt)

    def features(
        self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str] | None = None
    ) -> dict[str, Float[Tensor, "n c h2 w2"]]:
        """Feature maps of this loss's layers, or of the given ones, in one forward pass."""
        wanted = self.layers if layers is None else tuple(layers)
        names = tuple(name for name in wanted if name != IMAGE)
        found = {IMAGE: image} if IMAGE in wanted else {}
        if not names:
            return found

        def run(pictures: Tensor) -> tuple[Tensor, ...]:
            with self._autocast(pictures.device.type):
                return tuple(map(self.network.features(pictures, names).__getitem__, names))

        if self.checkpoint and is_transformed(image):
            raise SettingsError("torch.func does not support checkpoint=True", "set checkpoint=False")
        if self.checkpoint and torch.is_grad_enabled() and image.requires_grad and len(image) > 1:
            each = [recompute(run, picture, use_reentrant=False) for picture in image.split(1)]  # type: ignore[no-untyped-call]
            return found | {name: torch.cat(maps) for name, *maps in zip(names, *each, strict=True)}
        return found | dict(zip(names, run(image), strict=True))

    def _autocast(self, kind: str) -> AbstractContextManager[Any]:
        """bfloat16 for Oxford's networks: their activations reach 20,000, a third of the range of float16."""
        half = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16
        large = min(self.network.convention.std) < 0.1
        return torch.autocast(kind, torch.bfloat16) if half and large else nullcontext()

    def target_from(self, features: Mapping[str, Tensor], mask: Tensor | None) -> Target:
        """The target made of these features."""
        first = next(iter(features.values()))
        with without_autocast(first):
            measured = self.measure(features, mask_resizer(mask))
            return Target(measured, self._signature(), () if mask is None else tuple(measured))

    def score(self, features: Mapping[str, Tensor], target: Target, mask: Tensor | None) -> dict[str, Tensor]:
        """The weighted loss of each part for each picture."""
        first = next(iter(features.values()))
        target = target.checked_for(self._signature(), first)
        target.check_mask(given=mask is not None)
        with without_autocast(first):
            return self.compare(self.measure(features, mask_resizer(mask)), target.measured, mask_resizer(mask))

    def _signature(self) -> str:
        """Network, size and formula: a target fits a loss of the same signature."""
        return "\n".join([self.network.title, f"size {self.resize}", *self.formula()])

    def target_for(self, x: Tensor, y: Tensor | Target, mask: Tensor | None) -> Target:
        """The target of a call, computed here unless it is prepared."""
        if isinstance(y, Target):
            return y
        check_pair(x, y, mask, self.gradient)
        return self.make_target(y, mask)

    def make_target(self, y: Tensor, mask: Tensor | None) -> Target:
        """The target of these pictures, with a graph if they require a gradient."""
        needs_graph = wants_gradient(y)
        image, mask = self.preprocess(y, mask, is_target=not needs_graph)
        with torch.set_grad_enabled(needs_graph):
            features = self.features(image)
        return self.target_from(features, mask)

    def _parts(self, x: Tensor, y: Tensor | Target, mask: Tensor | None) -> dict[str, Tensor]:
        target = self.target_for(x, y, mask)
        image, mask = self.preprocess(x, mask)
        return self.score(self.features(image), target, mask)

    def loss_map(self, features: Mapping[str, Tensor], target: Target, size: Sequence[int]) -> Float[Tensor, "n 1 h w"]:
        """The weighted loss at each pixel of pictures of that size."""
        first = next(iter(features.values()))
        target = target.checked_for(self._signature(), first)
        with without_autocast(first):
            maps = self.maps(self.measure(features, mask_resizer(None)), target.measured)
        maps_at_size = [F.interpolate(m[:, None], size, mode="bilinear", align_corners=False) for m in maps.values()]
        return torch.stack(maps_at_size).sum(0)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._frozen = self._frozen.moved(fn)
        for name, constant in self.constants.items():
            moved = moved_tensor(fn, constant)
            # Half precision is for convolutions; calibrated numbers keep their dtype.
            self.constants[name] = constant.to(moved.device) if moved.dtype.itemsize < 4 else moved
        return self

    def extra_repr(self) -> str:
        return self.describe()
