"""Settings: declared once, used everywhere.

A room declares one frozen dataclass whose fields are made by :func:`setting`. The command line makes options
of it, the page makes controls, and pictures carry it; none of them repeats a default, a bound or a help.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from vggapps.errors import SettingsError, unknown


class Settings(Protocol):
    """Any dataclass instance."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


S = TypeVar("S", bound=Settings)
_LARGEST = 2**63 - 1  # the largest whole number that torch, NumPy and other programs' JSON take
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_LONGEST = 80  # letters of a value in an error


def setting(
    default: Any = MISSING,
    *,
    help: str,
    minimum: float | None = None,
    maximum: float | None = None,
    metavar: str | None = None,
    panel: str = "The picture",
) -> Any:
    """A dataclass field with the text and the bounds (both inclusive) that people see, under the panel's heading."""
    metadata = {"help": help, "minimum": minimum, "maximum": maximum, "metavar": metavar, "panel": panel}
    return dataclasses.field(default=default, metadata=metadata)


@cache
def hints(settings: type[Settings]) -> dict[str, Any]:
    """The fields' types, resolved."""
    resolved = get_type_hints(settings)
    return {f.name: resolved[f.name] for f in fields(settings)}


def option_name(field: str) -> str:
    """``style_weight`` as people type it: ``--style-weight``."""
    return "--" + field.replace("_", "-")


def check(settings: Settings) -> None:
    """Check every field against its type, its choices and its bounds; call it from ``__post_init__``.

    What means the same is written the same, also into a frozen dataclass: NumPy's numbers and ``3.0`` for a whole
    number become Python's, a path becomes text, a list becomes a tuple. So every settings object can be JSON. Where a
    type allows text besides numbers, what text means is left to the dataclass.

    Raises:
        SettingsError: the first field that is not of its type, not a finite (or whole) number, out of bounds, or not
            among its choices.
    """
    for field in fields(settings):
        value = _fit(option_name(field.name), getattr(settings, field.name), hints(type(settings))[field.name])
        object.__setattr__(settings, field.name, value)
        low, high = field.metadata.get("minimum"), field.metadata.get("maximum")
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
            raise SettingsError(f"{option_name(field.name)} is {value}", "it must be " + " and ".join(bounds))


def _fit(name: str, value: Any, hint: Any) -> Any:
    """The value as the hint has it."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if getattr(value, "ndim", None) == 0:  # a number of NumPy or torch
        value = value.item()
    if isinstance(value, os.PathLike):
        value = os.fsdecode(value)
    if (value is None and NoneType in kinds) or (isinstance(value, str) and str in kinds):
        return value
    if isinstance(value, bool) and bool in kinds:
        return value
    if choices := [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]:
        for choice in choices:
            if type(value) is type(choice) and value == choice:
                return choice
        raise unknown(name, value if isinstance(value, str) else _shown(value), map(str, choices))
    if isinstance(value, list | tuple) and any(get_origin(kind) is tuple for kind in kinds):
        if value and all(isinstance(word, str) for word in value):
            return tuple(value)
    elif isinstance(value, numbers.Real) and not isinstance(value, bool) and (float in kinds or int in kinds):
        return _number(name, value, whole=float not in kinds)
    raise SettingsError(f"{name} is {_shown(value)}", f"give it {_wanted(kinds)}")


def _number(name: str, value: Any, *, whole: bool) -> int | float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise SettingsError(f"{name} is {_shown(value)}", "give it a number")
    if not whole:
        return value if isinstance(value, int) else number
    exact = int(value)
    if value != exact:
        raise SettingsError(f"{name} is {_shown(value)}", "give it a whole number")
    if abs(exact) > _LARGEST:
        raise SettingsError(f"{name} is {_shown(value)}", f"it must be at most {_LARGEST}")
    return exact


def _wanted(kinds: Sequence[Any]) -> str:
    """What the types take, in words."""
    words = {bool: "true or false", str: "text", float: "a number", int: "a number"}
    listed = "a list of one name or more"
    known = [listed if get_origin(kind) is tuple else words[kind] for kind in kinds if kind is not NoneType]
    return " or ".join(dict.fromkeys(known))


def _shown(value: object) -> str:
    """A value as Python writes it, but short and in one line."""
    try:
        text = " ".join(_SHORT.repr(value).split())
    except ValueError:  # Python does not write numbers of thousands of digits
        return "a number of too many digits"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def to_dict(settings: Settings) -> dict[str, Any]:
    """For JSON. Every field is there: a default left out would change when the program's does."""
    return dataclasses.asdict(settings)  # type: ignore[call-overload,no-any-return]


def nameless(settings: S, *files: str) -> S:
    """The settings with files named without their folders: a picture that is passed on should not tell where its
    maker lives.
    """
    words = {field: getattr(settings, field) for field in files}
    return dataclasses.replace(settings, **{field: word and _without_folder(word) for field, word in words.items()})


def _without_folder(word: str) -> str:
    """The file's name; before it the network's, if there is one, as in ``vgg16=/data/mine.pth``."""
    network = re.match(r"vgg\w+=", word)
    return (network[0] if network else "") + writable(Path(word[network.end() :] if network else word).name)


def writable(name: str) -> str:
    r"""A file's name as text that can be written anywhere; most names stay as they are.

    On Linux a name is bytes, and need not be UTF-8. Python stands lone surrogates for the bytes that are not, which
    no encoding takes; here each becomes ``\x`` and its two digits.

    >>> print(writable("caf\udce9.jpg"))
    caf\xe9.jpg
    """
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # other surrogates, which Windows allows
        return name.encode("utf-8", "backslashreplace").decode()


def from_dict(settings: type[S], values: Mapping[str, Any]) -> S:
    """The reverse of :func:`to_dict`.

    Raises:
        SettingsError: a name that this version does not have, or a value that :func:`check` refuses.
    """
    known = [f.name for f in fields(settings)]
    for name in values:
        if name not in known:
            raise unknown("setting", name, known)
    return settings(**values)
