"""Settings: declared once, used everywhere.

A room declares one frozen dataclass whose fields are made by :func:`setting`. The command line makes options
of it, the page makes controls, and pictures carry it; none of them repeats a default, a bound or a help.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from vggapps.errors import SettingsError, unknown


class Settings(Protocol):
    """Any dataclass instance."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


S = TypeVar("S", bound=Settings)


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
    """Check every field against its type's choices and its bounds; call it from ``__post_init__``.

    Raises:
        SettingsError: the first field that is out of bounds, not a finite (or whole) number, or not among its
            choices.
    """
    for field in fields(settings):
        name, value = option_name(field.name), getattr(settings, field.name)
        if value is None:
            continue
        hint = hints(type(settings))[field.name]
        kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
        if choices and value not in choices:
            raise unknown(name, str(value), map(str, choices))
        low, high = field.metadata.get("minimum"), field.metadata.get("maximum")
        if (float not in kinds and int not in kinds) or (str in kinds and isinstance(value, str)):
            continue  # a word, which the dataclass itself looks at
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise SettingsError(f"{name} is {value!r}", "give it a number")
        if float not in kinds and value != int(value):
            raise SettingsError(f"{name} is {value!r}", "give it a whole number")
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
            raise SettingsError(f"{name} is {value}", "it must be " + " and ".join(bounds))


def to_dict(settings: Settings) -> dict[str, Any]:
    """For JSON. Every field is there: a default left out would change when the program's does."""
    return dataclasses.asdict(settings)  # type: ignore[call-overload,no-any-return]


def nameless(settings: S, *files: str) -> S:
    """The settings with files named without their folders: a picture that is passed on should not tell where its
    maker lives.
    """
    words = {field: getattr(settings, field) for field in files}
    return dataclasses.replace(settings, **{field: word and Path(word).name for field, word in words.items()})


def from_dict(settings: type[S], values: Mapping[str, Any]) -> S:
    """The reverse of :func:`to_dict`; lists become tuples, a name that this version has not is an error."""
    known = [f.name for f in fields(settings)]
    for name in values:
        if name not in known:
            raise unknown("setting", name, known)
    return settings(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
