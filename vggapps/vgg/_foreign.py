"""Other people's modules as networks: they may want grey pictures, or one size only, and say little of themselves."""

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
from vggapps.vgg._hooks import input_of, record, replaced, until
from vggapps.vgg._inference import check_inference
from vggapps.vgg._moving import check_differentiable
from vggapps.vgg._names import listed
from vggapps.vgg._seen import LARGEST, Box, Reach, Sees

_COLOURS = re.compile("channels|running_mean")  # what torch's errors about the wrong number of colours have in common
_SIDES = (LARGEST, 32, 28, 64, 96, 128, 256, 299, 384, 512)  # that fixed inputs usually have, tried in this order
_Found = dict[str, Tensor]


class Foreign:
    """Any module as a :class:`~vggapps.vgg._any.Network`; its layers are the paths of ``named_modules()``.

    Names of classes are those in its attribute ``classes``, if there are any.
    """

    weights_name = pooling = ""
    convention = outputs = None
    temperature = 1.0

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.name = self.title = type(module).__name__

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        names = getattr(self.module, "classes", ())
        told = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
        return tuple(names) if told else ()

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The paths of its modules."""
        return tuple(name for name, _ in self.module.named_modules() if name)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        first = next(chain(self.module.parameters(), self.module.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    @property
    def dtype(self) -> torch.dtype | None:
        """Of its weights."""
        return next((p.dtype for p in self.module.parameters() if p.is_floating_point()), None)

    def check(self, layers: Iterable[str]) -> tuple[str, ...]:
        """The names as a tuple."""
        names = listed(layers)
        for name in names:
            if name not in self.layer_names:
                raise unknown(f"module of {self.name}", name, self.layer_names)
        return names

    def channels(self, layer: str) -> None:
        """Only running it would tell how many there are."""
        self.check((layer,))

    def features(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> _Found:
        """The outputs of layers; it is left by an exception as soon as all are found."""
        layers = tuple(layers)
        with record(self.module, layers) as found, until(self.module, layers, found):
            self.module(image)
        return {layer: found[layer] for layer in layers}

    def look(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> _Found:
        """The outputs of layers for RGB in [0, 1].

        A module that refuses three channels and takes one gets the luminance (ITU-R BT.601). It gets pictures in the
        dtype of its weights.

        Raises:
            SettingsError: it is in training mode, has no such layer, or does not take these pictures.
        """
        layers = tuple(layers)
        found = self._attempt(image, layers)
        if isinstance(found, dict):
            return found
        grey = self._attempt(luminance(image), layers)
        if isinstance(grey, dict):
            return grey
        # Of the two errors the one that is not about the number of colours is what is wrong.
        raise self._refused(image, found if _COLOURS.search(str(grey)) else grey) from found

    def is_grey(self, image: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> bool:
        """Whether it takes grey pictures only."""
        layers = tuple(layers)
        attempts = (self._attempt(shown, layers) for shown in (image, luminance(image)))
        return [isinstance(found, dict) for found in attempts] == [False, True]

    def reach(self, layer: str, size: int | None = None) -> Reach:
        """How far the positions of a layer see, in pictures of the first size that the module takes."""
        for side in (size,) if size else _SIDES:
            with torch.no_grad(), suppress(SettingsError):
                maps = self.look(torch.zeros(1, 3, side, side, device=self.device), (layer,))[layer]
                return self._measured(layer, side, maps)
        return Reach(0, 0, size or LARGEST)  # looking will say why

    def sees(self, layer: str) -> Sees:
        """Where a position has a gradient, after ReLUs have become linear and maximum poolings averages.

        These hide nothing; what the module does in functions is taken as it is, for one picture of noise.
        """
        linear = self.module
        for kind, other in ((nn.ReLU, _nothing), (nn.MaxPool2d, _average)):
            with suppress(SettingsError):  # it has none
                linear = replaced(linear, kind, other)

        @cache
        def sees(row: int, column: int, size: tuple[int, int]) -> Box:
            noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(self.device)
            with torch.inference_mode(False), torch.enable_grad():
                image = noise.clone().requires_grad_()
                maps = Foreign(linear).look(image, (layer,))[layer]
                seen = maps.flatten(1) if maps.ndim < 4 else maps[:, :, row, column]
                (slope,) = torch.autograd.grad(seen.sum(), image)
            moves = slope[0].ne(0).any(0)
            rows, columns = moves.any(1).nonzero().flatten().tolist(), moves.any(0).nonzero().flatten().tolist()
            if not rows:
                return 0, 0, size[1], size[0]
            return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1

        return sees

    def prepared(self, image: Float[Tensor, "n 3 h w"]) -> Tensor:
        """What its own code is given, after its hooks."""
        return input_of(self.module, image)

    def blank(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Black."""
        return torch.zeros_like(image)

    def _measured(self, layer: str, side: int, maps: Tensor) -> Reach:
        if maps.ndim < 4 or max(maps.shape[2:]) == 1:
            return Reach(0, 0, side)
        row, column = maps.shape[2] // 2, maps.shape[3] // 2
        sees = self.sees(layer)
        (left, top, right, bottom), before = sees(row, column, (side, side)), sees(row, column - 1, (side, side))
        return Reach(max(right - left, bottom - top), left - before[0] or round(side / maps.shape[3]))

    def _attempt(self, image: Tensor, layers: Iterable[str]) -> _Found | Exception:
        check_inference(self.module)
        if image.requires_grad:
            check_differentiable(self.module)
        layers = tuple(layers)
        try:
            return self.features(image.to(self.dtype or image.dtype), layers)
        except VggappsError:
            raise
        except (RuntimeError, ValueError, AssertionError) as error:  # what modules raise for shapes they don't take
            if out_of_memory(error):
                raise
            return error

    def _refused(self, image: Tensor, error: Exception) -> SettingsError:
        height, width = image.shape[2:]
        why = next(iter(str(error).splitlines()), type(error).__name__)
        hint = "a network with linear layers takes one size: give it as size=, or choose a layer before them"
        if _COLOURS.search(why):
            hint = "wrap it in a module that takes RGB pictures in [0, 1]"
        return SettingsError(f"{self.name} can't look at a picture of {width} x {height} px: {why}", hint)


def luminance(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """What is grey of pictures."""
    grey: Tensor = rgb_to_grayscale(image)
    return grey


def _nothing(relu: nn.Module) -> nn.Module:
    return nn.Identity().train(relu.training)


def _average(pool: nn.Module) -> nn.Module:
    assert isinstance(pool, nn.MaxPool2d)
    return nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode).train(pool.training)
