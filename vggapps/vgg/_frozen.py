"""Layers of a frozen network, whose backward pass goes to the picture alone.

Autograd keeps every convolution's input, for the gradient of weights that nobody wants here, and every pooling's input
with 64-bit indices. What the gradient towards the picture needs is only which numbers were positive and which of four
was the largest: a byte each, and where a pooling follows, a byte for four. The values and gradients are the same; the
memory kept for the backward pass falls to a quarter and less. Inside ``torch.func`` autograd's own way is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggapps.vgg._derivatives import transformed
from vggapps.vgg._exact import without_autocast

# What a step does to a convolution's output before it hands it on.
Then = Literal["nothing", "relu", "relu and pool"]
_NONE = 4  # in a byte that says which of four was passed on: none of them


Stage = Callable[[Tensor], Tensor]


def lean(layers: Iterable[tuple[str, nn.Module]], wanted: Collection[str]) -> Iterator[tuple[str, Stage]]:
    """The layers as steps that keep little for the backward pass.

    A convolution is joined with its ReLU and its pooling where nobody wants what lies between; the step has the name
    of the last. Whatever is not a plain frozen layer stays the module that it is: layers that learn, that somebody
    has put in place of ours, or that have hooks.
    """
    rest = deque(layers)
    while rest:
        name, module = rest.popleft()
        if type(module) is nn.Conv2d and not module.weight.requires_grad and _is_plain(module):
            then: Then = "nothing"
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


def _convolve(conv: nn.Conv2d, then: Then, x: Tensor) -> Tensor:
    padding: Any = conv.padding
    if conv.padding_mode != "zeros":
        x = F.pad(x, conv._reversed_padding_repeated_twice, mode=conv.padding_mode)
        padding = (0, 0)
    if torch.is_grad_enabled() and not transformed(x):
        return _Convolve.apply(x, conv.weight, conv.bias, padding, then)[0]  # type: ignore[no-untyped-call,no-any-return]
    y = F.conv2d(x, conv.weight, conv.bias, padding=padding)
    if then != "nothing":
        y = y.relu_()
    return F.max_pool2d(y, 2) if then == "relu and pool" else y


def _relu(x: Tensor) -> Tensor:
    if torch.is_grad_enabled() and not transformed(x):
        return _Relu.apply(x)[0]  # type: ignore[no-untyped-call,no-any-return]
    return x.relu()


def _max_pool(x: Tensor) -> Tensor:
    if torch.is_grad_enabled() and not transformed(x):
        return _MaxPool.apply(x)[0]  # type: ignore[no-untyped-call,no-any-return]
    return F.max_pool2d(x, 2)


def _quarters(x: Tensor) -> list[Tensor]:
    """The four pixels of each 2×2 square, row by row, as views."""
    height, width = (side // 2 * 2 for side in x.shape[2:])
    return [x[:, :, row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)]


def _pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Maxima, and which of the four each was: the first of equal ones, as ``max_pool2d`` has it."""
    a, b, c, d = _quarters(x)
    top, bottom = torch.maximum(a, b), torch.maximum(c, d)
    upper, lower = _bytes(b > a), _bytes(d > c) + 2
    # Arithmetic of bytes, in which a difference below 0 comes back in the sum: ``where`` takes them one by one.
    which = upper + _bytes(bottom > top) * (lower - upper)
    return torch.maximum(top, bottom), which


def _unpool(grad: Tensor, which: Tensor, shape: torch.Size) -> Tensor:
    """The gradient to the places that the maxima came from; zero elsewhere."""
    n, channels, height, width = shape
    # Rows × 2 × columns × 2 with the channels last: no copy where they lie so.
    back = grad.new_empty(n, height // 2, 2, width // 2, 2, channels)
    grad, which = grad.permute(0, 2, 3, 1), which.permute(0, 2, 3, 1)
    for corner in range(4):
        back[:, :, corner // 2, :, corner % 2] = grad * _bytes(which == corner)
    back = back.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
    return F.pad(back, (0, width % 2, 0, height % 2)) if back.shape != shape else back


def _bytes(mask: Tensor) -> Tensor:
    """A mask as zeros and ones, for a product, which is several times as fast as ``where``."""
    return mask.to(torch.uint8)


class _Convolve(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], then: Then
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
        ctx.set_materialize_grads(False)  # or zeros would be made as the gradient of what has none
        ctx.save_for_backward(weight, output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, None, None, None, None]:  # type: ignore[override]
        if grad is None:
            return None, None, None, None, None
        weight, kept = ctx.saved_tensors
        if ctx.then == "relu":
            grad = grad * _bytes(kept)
        elif ctx.then == "relu and pool":
            n, _c, height, width = ctx.shape
            sides = [s + 2 * p - k + 1 for s, p, k in zip((height, width), ctx.padding, weight.shape[2:], strict=True)]
            grad = _unpool(grad, kept, torch.Size((n, weight.shape[0], *sides)))
        # In the dtype that the convolution ran in: autocast may be on or off by now.
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
        ctx.set_materialize_grads(False)  # or zeros would be made as the gradient of what has none
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
        ctx.set_materialize_grads(False)  # or zeros would be made as the gradient of what has none
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: None) -> Tensor | None:  # type: ignore[override]
        (which,) = ctx.saved_tensors
        return None if grad is None else _unpool(grad, which, ctx.shape)
