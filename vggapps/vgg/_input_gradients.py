"""Layers of a frozen network with a backward pass for the gradient of the input only.

Autograd saves the input of every convolution, for the gradient of its weights, and the input of every pooling with
64-bit indices. The gradient of the input needs only the signs, and which of four values was the largest: one byte
each, and before a pooling one byte for four. Values and gradients are the same; the memory saved for the backward pass
falls to a quarter or less. Inside ``torch.func`` autograd's own backward pass is used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggapps.vgg._derivatives import is_transformed
from vggapps.vgg._exact import without_autocast

# What follows a convolution in the same step.
Epilogue = Literal["nothing", "relu", "relu and pool"]
_NONE = 4  # for the index of the largest of four: none is positive


LayerStep = Callable[[Tensor], Tensor]


def input_gradient_steps(
    layers: Iterable[tuple[str, nn.Module]], wanted: Collection[str]
) -> Iterator[tuple[str, LayerStep]]:
    """The layers as steps that save little memory for the backward pass.

    A convolution is fused with its ReLU and its pooling if the outputs between are not wanted; the step has the name of
    the last of them. Trainable layers, layers of other types and layers with hooks stay modules.
    """
    rest = deque(layers)
    while rest:
        name, module = rest.popleft()
        if type(module) is nn.Conv2d and not module.weight.requires_grad and _is_plain(module):
            then: Epilogue = "nothing"
            if name not in wanted and rest and _is_relu(rest[0][1]):
                (name, _), then = rest.popleft(), "relu"
                if name not in wanted and rest and _is_max_pool(rest[0][1]):
                    (name, _), then = rest.popleft(), "relu and pool"
            yield name, partial(_convolve, module, then)
        elif _is_relu(module):
            yield name, _relu
        elif _is_max_pool(module):
            yield name, _max_pool
        else:
            yield name, module


def _is_plain(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return not any(hooks)


def _is_relu(module: nn.Module) -> bool:
    return type(module) is nn.ReLU and _is_plain(module)


def _is_max_pool(module: nn.Module) -> bool:
    return getattr(module, "kind", "") == "max" and _is_plain(module)


def _convolve(conv: nn.Conv2d, then: Epilogue, x: Tensor) -> Tensor:
    padding: Any = conv.padding
    if conv.padding_mode != "zeros":
        x = F.pad(x, conv._reversed_padding_repeated_twice, mode=conv.padding_mode)
        padding = (0, 0)
    if torch.is_grad_enabled() and not is_transformed(x):
        return _Convolve.apply(x, conv.weight, conv.bias, padding, then)[0]  # type: ignore[no-untyped-call,no-any-return]
    y = F.conv2d(x, conv.weight, conv.bias, padding=padding)
    if then != "nothing":
        y = y.relu_()
    return F.max_pool2d(y, 2) if then == "relu and pool" else y


def _relu(x: Tensor) -> Tensor:
    if torch.is_grad_enabled() and not is_transformed(x):
        return _Relu.apply(x)[0]  # type: ignore[no-untyped-call,no-any-return]
    return x.relu()


def _max_pool(x: Tensor) -> Tensor:
    if torch.is_grad_enabled() and not is_transformed(x):
        return _MaxPool.apply(x)[0]  # type: ignore[no-untyped-call,no-any-return]
    return F.max_pool2d(x, 2)


def _quarters(x: Tensor) -> list[Tensor]:
    """The four pixels of each 2×2 square, row by row, as views."""
    height, width = (side // 2 * 2 for side in x.shape[2:])
    return [x[:, :, row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)]


def _pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Maxima, and the index of each among its four: the first of equal ones, as in ``max_pool2d``."""
    a, b, c, d = _quarters(x)
    top, bottom = torch.maximum(a, b), torch.maximum(c, d)
    upper, lower = _bytes(b > a), _bytes(d > c) + 2
    # Byte arithmetic, where a negative difference wraps around and back in the sum, is faster than ``where``.
    which = upper + _bytes(bottom > top) * (lower - upper)
    return torch.maximum(top, bottom), which


def _unpool(grad: Tensor, which: Tensor, shape: torch.Size) -> Tensor:
    """The gradient at the positions of the maxima; zero elsewhere."""
    n, channels, height, width = shape
    # Rows × 2 × columns × 2 × channels: no copy in channels-last memory.
    back = grad.new_empty(n, height // 2, 2, width // 2, 2, channels)
    grad, which = grad.permute(0, 2, 3, 1), which.permute(0, 2, 3, 1)
    for corner in range(4):
        back[:, :, corner // 2, :, corner % 2] = grad * _bytes(which == corner)
    back = back.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
    return F.pad(back, (0, width % 2, 0, height % 2)) if back.shape != shape else back


def _bytes(mask: Tensor) -> Tensor:
    """A mask as zeros and ones: a product is several times as fast as ``where``."""
    return mask.to(torch.uint8)


class _Convolve(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], then: Epilogue
    ) -> tuple[Tensor, Tensor]:
        y = F.conv2d(x, weight, bias, padding=padding)
        if then == "nothing":
            return y, y.new_empty(0)
        y = y.relu_()
        if then == "relu":
            return y, y > 0
        y, which = _pool(y)
        return y, which.masked_fill_(y <= 0, _NONE)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, weight, _, ctx.padding, ctx.then = inputs
        ctx.shape, ctx.dtype = x.shape, x.dtype
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)  # or zeros would be allocated for the mask
        ctx.save_for_backward(weight, output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, None, None, None, None]:  # type: ignore[override]
        if grad is None:
            return None, None, None, None, None
        weight, mask = ctx.saved_tensors
        if ctx.then == "relu":
            grad = grad * _bytes(mask)
        elif ctx.then == "relu and pool":
            n, _c, height, width = ctx.shape
            sides = [s + 2 * p - k + 1 for s, p, k in zip((height, width), ctx.padding, weight.shape[2:], strict=True)]
            grad = _unpool(grad, mask, torch.Size((n, weight.shape[0], *sides)))
        # In the dtype of the forward pass: autocast may have changed since.
        with without_autocast(grad):
            back = F.conv_transpose2d(grad, weight.to(grad.dtype), padding=ctx.padding)
        return back.to(ctx.dtype), None, None, None, None


class _Relu(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.relu(), x > 0

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)  # or zeros would be allocated for the mask
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: None) -> Tensor | None:  # type: ignore[override]
        return None if grad is None else grad * _bytes(ctx.saved_tensors[0])


class _MaxPool(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        return _pool(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.shape = inputs[0].shape
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)  # or zeros would be allocated for the mask
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: None) -> Tensor | None:  # type: ignore[override]
        (which,) = ctx.saved_tensors
        return None if grad is None else _unpool(grad, which, ctx.shape)
