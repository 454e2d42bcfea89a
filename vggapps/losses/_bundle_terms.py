"""The terms of a bundle besides feature losses: comparisons of pixels, and regularizers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from vggapps.errors import SettingsError

Function = Callable[..., Tensor]


class Regularizer(nn.Module):
    """A term of the output alone, for a :class:`~vggapps.losses.Bundle`: total variation, a prior, a penalty.

    >>> from vggapps.losses.functional import total_variation
    >>> smooth = Regularizer(partial(total_variation, kind="l1"))

    Args:
        function: of the pictures; it returns one value per picture, or a scalar.

    Raises:
        SettingsError: it does not take one argument.
    """

    def __init__(self, function: Function) -> None:
        super().__init__()
        if (count := _positional_count(function)) not in (None, 1):
            raise SettingsError(
                f"{name_of(function)} takes {count} pictures, and a regularizer takes one",
                "pass a comparison of two pictures to the bundle directly",
            )
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """The term of these pictures."""
        return self.function(x)

    def extra_repr(self) -> str:
        return name_of(self.function)


class Comparison(nn.Module):
    """A function of output and target, and perhaps ``mask=``, as a module."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, y: Tensor, **mask: Tensor) -> Tensor:
        """The term of these pictures."""
        return self.function(x, y, **mask)

    def extra_repr(self) -> str:
        return name_of(self.function)


def as_module(name: str, loss: object) -> nn.Module:
    """A loss of a bundle as a module, refused if it can't be called with an output and a target."""
    if isinstance(loss, Regularizer):
        return loss
    if not callable(loss):
        raise SettingsError(
            f"'{name}' is a {type(loss).__name__}",
            "pass a loss such as PerceptualLoss or LPIPS, a function of two pictures, or a Regularizer",
        )
    if (count := _positional_count(loss)) not in (None, 2):
        raise SettingsError(
            f"'{name}' does not compare two pictures: {name_of(loss)} takes {count}",
            "use Regularizer(...) for a term of the output alone, or lambda x, y: ... for another order of arguments",
        )
    return loss if isinstance(loss, nn.Module) else Comparison(loss)


def takes_mask(loss: Function) -> bool:
    """Whether a loss has a ``mask`` argument."""
    parameters = _parameters(loss.function if isinstance(loss, Comparison) else loss)
    return any(p.name == "mask" or p.kind is p.VAR_KEYWORD for p in parameters or ())


def name_of(function: object) -> str:
    """A short name: ``total_variation(kind='l1')``."""
    if isinstance(function, partial):
        options = [repr(a) for a in function.args] + [f"{key}={value!r}" for key, value in function.keywords.items()]
        return f"{name_of(function.func)}({', '.join(options)})"
    if isinstance(function, Regularizer | Comparison):
        return name_of(function.function)
    if isinstance(function, nn.Module):
        return f"{type(function).__name__}()"
    return getattr(function, "__name__", type(function).__name__).replace("<lambda>", "lambda")


def _positional_count(function: object) -> int | None:
    """The number of required positional arguments; None if unknown or variable."""
    parameters = _parameters(function)
    if parameters is None or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return sum(p.default is p.empty for p in by_place)


def _parameters(function: object) -> list[inspect.Parameter] | None:
    called = function.forward if isinstance(function, nn.Module) else function
    try:
        return list(inspect.signature(called).parameters.values())  # type: ignore[arg-type]
    except (TypeError, ValueError):  # written in C
        return None
