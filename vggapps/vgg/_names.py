"""Names of layers in arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from vggapps.errors import SettingsError, unknown

OUTPUT = ""
"""The layer name of a network's output; ``named_modules()`` gives the network itself the same name."""


def as_names(layers: str | Iterable[str]) -> tuple[str, ...]:
    """One name or several, as a tuple."""
    return tuple(layers) if isinstance(layers, Iterable) and not isinstance(layers, str) else (layers,)


def unknown_layer(word: object, known: Sequence[str], indexed: Mapping[str, str]) -> SettingsError:
    """The error for an unknown layer, with the layer of torchvision's index or the nearest name.

    >>> indexed = {"features.34": "conv5_4", "features.35": "relu5_4"}
    >>> print(unknown_layer(35, ["conv5_4", "relu5_4"], indexed))
    there is no layer '35' (layers have names: features.35 is relu5_4, and a slice features[:35] ends with conv5_4)

    Args:
        word: the unknown name.
        known: valid names.
        indexed: valid names by torchvision's index, from ``torchvision_names``.
    """
    if not isinstance(word, str | int) or isinstance(word, bool):
        return SettingsError(
            f"a layer is given as {type(word).__name__}: {word!r}",
            f"give names, ['{known[1]}', '{known[-1]}'], or weights by name, {{'{known[1]}': 1.0, '{known[-1]}': 0.5}}",
        )
    found = re.fullmatch(r"(?:.*?(features|classifier)[.\[])?(\d+)\]?", str(word))
    if not found:
        return unknown("layer", word, known)
    part, index = found[1] or "features", int(found[2])
    row = {key: name for key, name in indexed.items() if key.startswith(part)}
    if not (name := row.get(f"{part}.{index}")):
        examples = [f"{key} is {name}" for key, name in row.items()]
        return SettingsError(
            f"there is no layer '{word}'", f"layers have names: {', '.join(examples[:1] + examples[-1:])}"
        )
    before = row.get(f"{part}.{index - 1}")
    ends = f", and a slice {part}[:{index}] ends with {before}" if before else ""
    return SettingsError(f"there is no layer '{word}'", f"layers have names: {part}.{index} is {name}{ends}")
