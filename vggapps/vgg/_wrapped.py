"""One interface to a VGG and to any other module, which may take only grayscale images, or only one size."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from itertools import chain

import torch
from jaxtyping import Float
from kornia.color import rgb_to_grayscale
from torch import Tensor, nn

from vggapps.errors import SettingsError, VggappsError, out_of_memory, unknown
from vggapps.vgg._hooks import input_of, record, replace_modules, stop_after
from vggapps.vgg._inference import check_inference
from vggapps.vgg._moving import check_differentiable
from vggapps.vgg._names import as_names
from vggapps.vgg._network import VGG
from vggapps.vgg._receptive_field import TRAINING_SIDE, Box, BoxAt, ReceptiveField

_CHANNELS = re.compile("channels|running_mean")  # common to torch's errors about a wrong number of input channels
_SIDES = (TRAINING_SIDE, 32, 28, 64, 96, 128, 256, 299, 384, 512)  # usual sizes of fixed inputs, tried in this order


class WrappedModule:
    """Any module with the attributes and methods that rooms use of a :class:`~vggapps.vgg.VGG`.

    Its layers are the paths of ``named_modules()``; names of classes are read from its attribute ``classes``. None
    stands for what only a forward pass would tell.
    """

    weights_name = pooling = ""
    convention = outputs = None
    temperature = 1.0

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.name = self.title = type(module).__name__

    @property
    def classes(self) -> tuple[str, ...]:
        names = getattr(self.module, "classes", ())
        valid = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
        return tuple(names) if valid else ()

    @property
    def layer_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.module.named_modules() if name)

    @property
    def device(self) -> torch.device:
        """The device of its weights; the CPU if it has none."""
        first = next(chain(self.module.parameters(), self.module.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    @property
    def dtype(self) -> torch.dtype | None:
        """The dtype of its weights; None if it has none."""
        return next((p.dtype for p in self.module.parameters() if p.is_floating_point()), None)

    def check(self, layers: Iterable[str]) -> tuple[str, ...]:
        """The names as a tuple; a SettingsError if one is not a layer."""
        names = as_names(layers)
        for name in names:
            if name not in self.layer_names:
                raise unknown(f"module of {self.name}", name, self.layer_names)
        return names

    def channels(self, layer: str) -> None:
        self.check((layer,))

    def features(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> dict[str, Tensor]:
        """The outputs of layers in one forward pass, which an exception ends as soon as all are recorded."""
        layers = tuple(layers)
        with record(self.module, layers) as found, stop_after(self.module, layers, found):
            self.module(image)
        return {layer: found[layer] for layer in layers}

    def eval_features(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> dict[str, Tensor]:
        """The outputs of layers in evaluation mode, for RGB in [0, 1], which is cast to the dtype of the weights.

        A module that rejects three channels and accepts one gets the luminance (ITU-R BT.601).

        Raises:
            SettingsError: the module is in training mode, has no such layer, or does not accept these images.
        """
        layers = tuple(layers)
        found = self._attempt(image, layers)
        if isinstance(found, dict):
            return found
        gray = self._attempt(luminance(image), layers)
        if isinstance(gray, dict):
            return gray
        # The cause is the error that is not about the number of channels.
        raise self._rejected(image, found if _CHANNELS.search(str(gray)) else gray) from found

    def is_grey(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> bool:
        """Whether it accepts only grayscale images; the image has a size that it accepts."""
        layers = tuple(layers)
        attempts = (self._attempt(x, layers) for x in (image, luminance(image)))
        return [isinstance(found, dict) for found in attempts] == [False, True]

    def receptive_field(self, layer: str, size: int | None = None) -> ReceptiveField:
        """Measured at the centre, in images of ``size`` or of the first size that the module accepts."""
        for side in (size,) if size else _SIDES:
            with torch.no_grad(), suppress(SettingsError):
                maps = self.eval_features(torch.zeros(1, 3, side, side, device=self.device), (layer,))[layer]
                return self._measured(layer, side, maps)
        return ReceptiveField(0, 0, size or TRAINING_SIDE)  # the next forward pass will raise the error

    def receptive_boxes(self, layer: str) -> BoxAt:
        """The receptive field of each position: where its gradient is not zero.

        ReLUs are made linear and max poolings averages first, so that they hide nothing. What the module computes in
        functions stays as it is, for one image of noise.
        """
        linear = self.module
        for kind, other in ((nn.ReLU, _identity), (nn.MaxPool2d, _average)):
            with suppress(SettingsError):  # it has none
                linear = replace_modules(linear, kind, other)

        @cache
        def box_at(row: int, column: int, size: tuple[int, int]) -> Box:
            noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(self.device)
            with torch.inference_mode(False), torch.enable_grad():
                image = noise.clone().requires_grad_()
                maps = WrappedModule(linear).eval_features(image, (layer,))[layer]
                position = maps.flatten(1) if maps.ndim < 4 else maps[:, :, row, column]
                (slope,) = torch.autograd.grad(position.sum(), image)
            mask = slope[0].ne(0).any(0)
            rows, columns = mask.any(1).nonzero().flatten().tolist(), mask.any(0).nonzero().flatten().tolist()
            if not rows:
                return 0, 0, size[1], size[0]
            return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1

        return box_at

    def preprocess(self, image: Float[Tensor, "n 3 h w"]) -> Tensor:
        """The input of its own code, after its hooks."""
        return input_of(self.module, image)

    def blank(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Black."""
        return torch.zeros_like(image)

    def _measured(self, layer: str, side: int, maps: Tensor) -> ReceptiveField:
        if maps.ndim < 4 or max(maps.shape[2:]) == 1:
            return ReceptiveField(0, 0, side)
        row, column = maps.shape[2] // 2, maps.shape[3] // 2
        box_at = self.receptive_boxes(layer)
        (left, top, right, bottom), before = box_at(row, column, (side, side)), box_at(row, column - 1, (side, side))
        return ReceptiveField(max(right - left, bottom - top), left - before[0] or round(side / maps.shape[3]))

    def _attempt(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor] | Exception:
        check_inference(self.module)
        if image.requires_grad:
            check_differentiable(self.module)
        try:
            return self.features(image.to(self.dtype or image.dtype), layers)
        except VggappsError:
            raise
        except (RuntimeError, ValueError, AssertionError) as error:  # what modules raise for shapes they do not accept
            if out_of_memory(error):
                raise
            return error

    def _rejected(self, image: Tensor, error: Exception) -> SettingsError:
        height, width = image.shape[2:]
        why = next(iter(str(error).splitlines()), type(error).__name__)
        hint = "a network with linear layers takes one size: give it as size=, or choose a layer before them"
        if _CHANNELS.search(why):
            hint = "wrap it in a module that takes RGB pictures in [0, 1]"
        return SettingsError(f"{self.name} does not accept a picture of {width} x {height} px: {why}", hint)


Network = VGG | WrappedModule


def as_network(module: nn.Module) -> Network:
    """The interface to a module: itself if it is a VGG."""
    return module if isinstance(module, VGG) else WrappedModule(module)


def features(network: nn.Module, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> dict[str, Tensor]:
    """The outputs of named layers of a VGG or any other module, in one forward pass no deeper than needed.

    Args:
        network: a VGG or any other module.
        image: the network's input; of a VGG RGB in [0, 1].
        layers: ``relu4_2``; in another module a path of ``named_modules()``. ``OUTPUT`` is the network's own output.

    Raises:
        SettingsError: the network has no such layer, or was made in inference mode and gradients are needed.
    """
    if image.requires_grad:
        check_differentiable(network)
    return as_network(network).features(image, layers)


def luminance(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """RGB as grayscale."""
    gray: Tensor = rgb_to_grayscale(image)
    return gray


def _identity(relu: nn.Module) -> nn.Module:
    return nn.Identity().train(relu.training)


def _average(pool: nn.Module) -> nn.Module:
    assert isinstance(pool, nn.MaxPool2d)
    return nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode).train(pool.training)
