"""Settings: frozen dataclasses whose fields are declared by :func:`setting` with help and bounds.

The options of the command line, the controls of the page and the recipes in pictures are generated from them.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from vggapps.errors import SettingsError, argument, unknown


class Settings(Protocol):
    """Any dataclass instance."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


S = TypeVar("S", bound=Settings)
_LARGEST = 2**63 - 1  # int64, the largest integer of torch, NumPy and other programs' JSON
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_LONGEST = 80  # characters of a value in an error


def setting(
    default: Any = MISSING,
    *,
    help: str,
    minimum: float | None = None,
    maximum: float | None = None,
    metavar: str | None = None,
    panel: str = "The picture",
    files: bool = False,
) -> Any:
    """A dataclass field with a help text, inclusive bounds and the heading of its group.

    With ``files`` its value is a path, except for the lower-case words of the metavar: ``content|noise|FILE``.
    """
    bounds = {"minimum": minimum, "maximum": maximum}
    metadata = {"help": help, **bounds, "metavar": metavar, "panel": panel, "files": files}
    return dataclasses.field(default=default, metadata=metadata)


@cache
def hints(settings: type[Settings]) -> dict[str, Any]:
    """The resolved types of the fields."""
    resolved = get_type_hints(settings)
    return {f.name: resolved[f.name] for f in fields(settings)}


def check(settings: Settings) -> None:
    """Validate every field against its type, choices and bounds; to be called from ``__post_init__``.

    Values are normalized, so that settings can be JSON: NumPy scalars and integers such as ``3.0`` become Python
    numbers, paths become strings, lists become tuples. Strings of fields that also take numbers are not checked.

    Raises:
        SettingsError: for the first field with a wrong type, a number that is not finite (or not an integer), a value
            out of bounds or an unknown choice.
    """
    for field in fields(settings):
        value = _convert(argument(field.name), getattr(settings, field.name), hints(type(settings))[field.name])
        object.__setattr__(settings, field.name, value)
        low, high = field.metadata.get("minimum"), field.metadata.get("maximum")
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
            raise SettingsError(f"{argument(field.name)} is {value}", "it must be " + " and ".join(bounds))


def _convert(name: str, value: Any, hint: Any) -> Any:
    """The value as an instance of the type hint."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if getattr(value, "ndim", None) == 0:  # a scalar of NumPy or torch
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
    raise SettingsError(f"{name} is {_shown(value)}", f"give it {_described(kinds)}")


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


def _described(kinds: Sequence[Any]) -> str:
    """The types in words."""
    words = {bool: "true or false", str: "text", float: "a number", int: "a number"}
    listed = "a list of one name or more"
    known = [listed if get_origin(kind) is tuple else words[kind] for kind in kinds if kind is not NoneType]
    return " or ".join(dict.fromkeys(known))


def _shown(value: object) -> str:
    """The repr of a value, shortened, in one line."""
    try:
        text = " ".join(_SHORT.repr(value).split())
    except ValueError:  # Python limits the digits of integers
        return "a number with too many digits"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def to_dict(settings: Settings) -> dict[str, Any]:
    """All fields as JSON, defaults included: they may change in later versions."""
    return dataclasses.asdict(settings)  # type: ignore[call-overload,no-any-return]


def writable(name: str) -> str:
    r"""A file name as valid Unicode; most names stay unchanged.

    On Linux, file names are bytes that need not be UTF-8. Python represents invalid bytes by lone surrogates, which
    can't be encoded; here each becomes ``\x`` and two hexadecimal digits.

    >>> print(writable("caf\udce9.jpg"))
    caf\xe9.jpg
    """
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # other surrogates, which are possible on Windows
        return name.encode("utf-8", "backslashreplace").decode()


def from_dict(settings: type[S], values: Mapping[str, Any]) -> S:
    """The inverse of :func:`to_dict`.

    Raises:
        SettingsError: an unknown field, or a value that :func:`check` rejects.
    """
    known = [f.name for f in fields(settings)]
    for name in values:
        if name not in known:
            raise unknown("setting", name, known)
    return settings(**values)
