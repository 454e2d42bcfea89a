"""Weights of losses, checked where the loss is made."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping

from vggapps.errors import SettingsError
from vggapps.vgg._names import listed


def check_weight(name: str, weight: object) -> float:
    """A weight as a number.

    Args:
        name: what it is the weight of.
        weight: a number of Python or NumPy, or a tensor of one number that does not learn.

    Raises:
        SettingsError: it is something else, text from a configuration file for one; negative; or not finite.
    """
    if getattr(weight, "ndim", None) == 0:
        if getattr(weight, "requires_grad", False):
            raise SettingsError(f"the weight of '{name}' is a tensor that learns", "multiply the parts of breakdown()")
        weight = weight.item()  # type: ignore[attr-defined]
    if not isinstance(weight, numbers.Real) or isinstance(weight, bool):
        raise SettingsError(f"the weight of '{name}' is {_shown(weight)}", _remedy(weight))
    number = float(weight)
    if not 0 <= number < math.inf:
        raise SettingsError(f"the weight of '{name}' is {number:g}", "give a finite number of at least 0")
    return number


def weights_of(layers: str | Iterable[str] | Mapping[str, float]) -> dict[str, float]:
    """By layer, 1 where only names are given. Whether a network has such layers is for the network to say.

    Raises:
        SettingsError: a wrong weight, a layer twice, or neither names nor weights by name.
    """
    if isinstance(layers, Mapping):
        return {layer: check_weight(str(layer), weight) for layer, weight in layers.items()}
    names = listed(layers)
    for name in names:
        if not isinstance(name, str | int):
            raise SettingsError(
                f"a layer is given as {type(name).__name__}: {name!r}",
                "give names, ['relu3_3', 'relu4_3'], or weights by name, {'relu3_3': 1.0, 'relu4_3': 0.5}",
            )
        if names.count(name) > 1:
            raise SettingsError(f"layer '{name}' is named more than once", f"give it a weight: {{'{name}': 2.0}}")
    return dict.fromkeys(names, 1.0)


def _shown(weight: object) -> str:
    return repr(weight) if isinstance(weight, str | bool | None) else f"a {type(weight).__name__}"


def _remedy(weight: object) -> str:
    try:
        number = float(weight) if isinstance(weight, str) else math.nan
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return f"give the number {number:g}, not text; YAML takes 1e-2 for text, and 1.0e-2 for a number"
    return "give a number"
