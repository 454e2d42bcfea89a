"""How objectives are written: each is declared once, above the function that makes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from vggapps.objectives._objective import Objective

_ARGUMENT = re.compile("[A-Z]+")
_PATTERNS = {"LAYER": "([^:]+)", "CHANNEL": "([^@]+)"}  # of words that end where a sign begins; others take the rest
Make = TypeVar("Make", bound="Callable[..., Objective]")


@dataclass(frozen=True)
class Form:
    """One way to write an objective.

    >>> Form("LAYER:CHANNEL", "a channel", print).match("conv4_3:12")
    ['conv4_3', '12']

    Attributes:
        text: how it is written. Capitals stand for the function's arguments, in this order: ``LAYER``, ``CHANNEL``,
            ``ROW``, ``COLUMN``, ``CLASS``, ``OBJECTIVE``; ``VECTOR`` and ``IMAGE``, which are files, give two each,
            their content and a name.
        help: what it means, for lists.
        make: the function.
    """

    text: str
    help: str
    make: Callable[..., Objective]

    @cached_property
    def name(self) -> str:
        """Of a form that is a call, such as ``diversity(LAYER)``; empty for others."""
        return self.text.partition("(")[0] if "(" in self.text else ""

    @cached_property
    def arguments(self) -> list[str]:
        """Its words in capitals."""
        return _ARGUMENT.findall(self.text)

    def match(self, text: str) -> list[str] | None:
        """The arguments' words in a text of this form; None for a text of another. Not for calls."""
        pattern = _ARGUMENT.sub(lambda word: _PATTERNS.get(word[0], "(.+)"), re.escape(self.text))
        found = re.fullmatch(pattern, text, re.S)
        return None if found is None else list(found.groups())


FORMS: list[Form] = []
"""The text forms of all objectives, in the order of their declaration."""


def written(text: str, help: str) -> Callable[[Make], Make]:
    """Declare how an objective is written; :func:`~vggapps.objectives.parse` knows it from then on.

    >>> @written("brightness(LAYER)", "the mean of a layer")
    ... def brightness(layer): ...
    >>> FORMS.pop().name
    'brightness'

    Args:
        text: see :class:`Form`.
        help: what it means, in a few words.
    """

    def declare(make: Make) -> Make:
        FORMS.append(Form(text, help, make))
        return make

    return declare
